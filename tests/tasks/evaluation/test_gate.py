"""The paired test against enumeration; the gate's rules, their sentences and its monotonicity."""

import itertools
import json
import random
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.errors import EvaluationError
from tasks.evaluation.gate import decide
from tasks.evaluation.gate_spec import GateSpec
from tasks.evaluation.paired import (
    Outcome,
    PairedSuite,
    mcnemar_p_value,
    pair_outcomes,
    sign_flip_p_value,
)


def suite(name: str, wins: int, losses: int, both: int = 0, neither: int = 0) -> PairedSuite:
    kinds = [(False, True)] * wins + [(True, False)] * losses
    kinds += [(True, True)] * both + [(False, False)] * neither
    outcomes = (Outcome(f"p{i:04d}", 1 + i % 2, a, b) for i, (a, b) in enumerate(kinds))
    return PairedSuite(name, tuple(outcomes))


@given(st.integers(0, 9), st.integers(0, 9))
def test_mcnemar_is_the_share_of_sign_assignments_with_as_many_wins(wins: int, losses: int) -> None:
    n = wins + losses
    as_many = sum(sum(signs) >= wins for signs in itertools.product((0, 1), repeat=n))
    assert mcnemar_p_value(wins, losses) == float(Fraction(as_many, 2**n))


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_falls_with_wins_and_rises_with_losses(wins: int, losses: int) -> None:
    p = mcnemar_p_value(wins, losses)
    assert 0.0 < p <= 1.0
    assert mcnemar_p_value(wins + 1, losses) <= p <= mcnemar_p_value(wins, losses + 1)


def test_mcnemar_is_finite_on_suites_too_large_for_floats() -> None:
    assert mcnemar_p_value(3000, 3000) == pytest.approx(0.505, abs=0.001)
    assert mcnemar_p_value(6000, 0) == 0.0


CHANGES = st.lists(st.integers(-3, 3), max_size=8)


@given(CHANGES)
def test_the_paired_test_is_the_share_of_sign_assignments_with_as_large_a_sum(
    changes: list[int],
) -> None:
    as_many = sum(
        sum(s * c for s, c in zip(signs, changes, strict=True)) >= sum(changes)
        for signs in itertools.product((-1, 1), repeat=len(changes))
    )
    expected = float(Fraction(as_many, 2 ** len(changes)))
    assert sign_flip_p_value(changes) == pytest.approx(expected, rel=1e-12)


def test_small_tails_keep_their_digits() -> None:
    assert sign_flip_p_value([2] * 200) == pytest.approx(2.0**-200, rel=1e-12)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=30), st.data())
def test_one_more_right_sample_never_raises_the_p_value(
    changes: list[int], data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, len(changes) - 1))
    better = [*changes[:row], changes[row] + 1, *changes[row + 1 :]]
    assert sign_flip_p_value(better) <= sign_flip_p_value(changes) * (1 + 1e-12)


OUTCOMES = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30)
SPECS = st.builds(
    GateSpec,
    alpha=st.sampled_from([0.05, 0.3, 1.0]),
    min_gain=st.sampled_from([-0.1, 0.0, 0.1]),
    non_inferiority_margin=st.sampled_from([0.0, 0.05, 0.3]),
    non_inferiority=st.sampled_from(["confidence", "observed", "off"]),
    max_difficulty_drop=st.sampled_from([None, 0.0, 0.2]),
    min_problems=st.sampled_from([1, 20]),
    primary_suites=st.sampled_from([(), ("a",)]),
    num_resamples=st.just(200),
)


@settings(deadline=None)
@given(OUTCOMES, OUTCOMES, SPECS, st.data())
def test_one_more_right_answer_never_turns_a_promotion_into_a_rejection(
    first: list[tuple[bool, bool]],
    second: list[tuple[bool, bool]],
    spec: GateSpec,
    data: st.DataObject,
) -> None:
    suites = [
        PairedSuite(name, tuple(Outcome(f"p{i}", i % 3, *kind) for i, kind in enumerate(kinds)))
        for name, kinds in (("a", first), ("b", second))
    ]
    before = decide(suites, spec).promote
    which = data.draw(st.integers(0, 1))
    row = data.draw(st.integers(0, len(suites[which].outcomes) - 1))
    outcomes = list(suites[which].outcomes)
    outcomes[row] = replace(outcomes[row], candidate=True)
    suites[which] = replace(suites[which], outcomes=tuple(outcomes))
    assert decide(suites, spec).promote >= before


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=60, max_size=60), st.randoms())
def test_the_decision_does_not_depend_on_problem_order(
    kinds: list[tuple[bool, bool]],
    rng: random.Random,
) -> None:
    outcomes = [Outcome(f"p{i}", None, *kind) for i, kind in enumerate(kinds)]
    shuffled = list(outcomes)
    rng.shuffle(shuffled)
    spec = GateSpec(num_resamples=100)
    one = decide([PairedSuite("s", tuple(outcomes))], spec)
    assert one == decide([PairedSuite("s", tuple(shuffled))], spec)


def test_a_clear_gain_is_promoted_with_the_numbers() -> None:
    decision = decide([suite("word_problems", wins=30, losses=5, both=100, neither=65)])
    assert decision.promote and decision.verdict == "promoted"
    text = " ".join(decision.reasons)
    assert "wins 30 problems and loses 5" in text
    assert "from 0.525 to 0.650 (+0.125)" in text
    assert all(reason[0].isupper() and reason.endswith(".") for reason in decision.reasons)


def test_the_same_model_twice_is_rejected() -> None:
    decision = decide([suite("s", wins=0, losses=0, both=50, neither=50)])
    assert not decision.promote
    assert "p = 1, above alpha = 0.05" in decision.reasons[0]


def test_a_gain_within_noise_is_rejected() -> None:
    assert not decide([suite("s", wins=12, losses=8, both=100)]).promote


def test_a_loop_without_a_gate_promotes_also_what_got_worse() -> None:
    open_gate = GateSpec(alpha=1.0, min_gain=-1.0, non_inferiority="off")
    assert decide([suite("s", wins=0, losses=100)], open_gate).promote
    slightly = open_gate.model_copy(update={"min_gain": -0.1})
    assert decide([suite("s", wins=0, losses=10, both=90)], slightly).promote
    assert not decide([suite("s", wins=0, losses=11, both=89)], slightly).promote
    with pytest.raises(ValidationError, match="min_gain"):
        GateSpec(min_gain=-1.5)


def test_a_mean_that_rises_through_one_suite_does_not_hide_a_loss_on_another() -> None:
    suites = [suite("big", wins=60, losses=5, both=100), suite("small", wins=0, losses=12, both=48)]
    decision = decide(suites)
    assert decision.statistics.primary.p_value < 0.001
    assert not decision.promote
    assert decision.reasons[0].startswith("Suite small: accuracy changes by -0.200")
    assert decide(suites, GateSpec(non_inferiority="off")).promote


def test_only_primary_suites_have_to_gain() -> None:
    suites = [suite("new", wins=40, losses=2, both=20), suite("old", wins=3, losses=3, both=300)]
    assert decide(suites, GateSpec(primary_suites=("new",))).promote
    assert not decide(suites, GateSpec(primary_suites=("old",))).promote


def test_the_first_suite_is_primary_where_none_is_named() -> None:
    suites = [suite("own", wins=1, losses=1, both=200), suite("other", wins=60, losses=0)]
    assert not decide(suites).promote
    assert decide(suites[::-1]).promote


def test_samples_count_as_shares_of_a_problem() -> None:
    outcomes = tuple(Outcome(f"p{i}", None, 1, 2 + i % 2) for i in range(60))
    decision = decide([PairedSuite("s", outcomes, num_answers=4)])
    assert decision.promote
    primary = decision.statistics.primary
    assert (primary.incumbent_accuracy, primary.candidate_accuracy) == (0.25, 0.625)
    assert (primary.num_problems, primary.wins, primary.losses) == (60, 60, 0)
    other = suite("t", wins=1, losses=0)
    with pytest.raises(EvaluationError, match="different numbers of answers"):
        decide(
            [PairedSuite("s", outcomes, num_answers=4), other], GateSpec(primary_suites=("s", "t"))
        )


def test_a_share_of_alpha_decides_and_is_named() -> None:
    suites = [suite("s", wins=20, losses=9, both=100)]
    assert decide(suites).promote
    decision = decide(suites, level=0.025)
    assert not decision.promote and not decision.statistics.is_significant
    assert "above 0.025, this test's share of the run's alpha = 0.05" in decision.reasons[0]


def test_an_observed_margin_is_looser_than_a_confident_one() -> None:
    suites = [suite("new", wins=40, losses=2, both=20), suite("old", wins=9, losses=10, both=81)]
    spec = GateSpec(primary_suites=("new",))
    assert not decide(suites, spec).promote
    assert decide(suites, spec.model_copy(update={"non_inferiority": "observed"})).promote


def test_too_few_problems_and_lost_answers_are_rejected() -> None:
    few = decide([suite("s", wins=20, losses=0)])
    assert not few.promote and "only 20 problems" in few.reasons[0]
    lost = replace(suite("s", wins=60, losses=0), num_unpaired=6)
    decision = decide([lost])
    assert not decision.promote and "6 of 66 problems" in decision.reasons[0]


def test_a_forgotten_difficulty_is_caught_when_asked_for() -> None:
    kinds = [(1, True, False)] * 10 + [(1, True, True)] * 40 + [(2, False, True)] * 50
    outcomes = tuple(Outcome(f"p{i}", *kind) for i, kind in enumerate(kinds))
    suites = [PairedSuite("s", outcomes)]
    assert decide(suites).promote
    decision = decide(suites, GateSpec(max_difficulty_drop=0.1))
    assert not decision.promote
    assert "difficulty 1: accuracy falls from 1.000 to 0.800 on 50 problems" in decision.reasons[0]
    assert [c.name for c in decision.statistics.difficulties["s"]] == [
        "difficulty 1",
        "difficulty 2",
    ]


def test_pairing_keeps_what_both_answered_and_counts_the_rest() -> None:
    paired = pair_outcomes("s", {"a": True, "b": False}, {"b": True, "c": True}, {"b": 3})
    assert paired.outcomes == (Outcome("b", 3, False, True),)
    assert paired.num_unpaired == 2
    with pytest.raises(EvaluationError, match="share no prompt id"):
        pair_outcomes("s", {"a": True}, {"b": True})


def test_a_decision_is_json() -> None:
    decision = decide([suite("s", wins=30, losses=5, both=100)])
    assert json.loads(json.dumps(decision.to_dict()))["statistics"]["primary"]["wins"] == 30


def test_bad_input_names_the_field() -> None:
    with pytest.raises(ValidationError, match="alpha"):
        GateSpec(alpha=0.0)
    with pytest.raises(ValidationError, match="margin"):
        GateSpec(margin=0.1)  # type: ignore[call-arg]
    with pytest.raises(EvaluationError, match="frontier"):
        decide([suite("s", 1, 0)], GateSpec(primary_suites=("frontier",)))
    with pytest.raises(EvaluationError, match="counts of problems"):
        mcnemar_p_value(-1, 0)
