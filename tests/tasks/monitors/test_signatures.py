"""Each failure signature is found where the sources saw it, and not in a healthy round."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.evaluation.metrics import Interval
from tasks.headroom import Headroom, Loop
from tasks.monitors import Finding, MonitorSpec, monitor_round, no_headroom
from tasks.monitors import signatures as s
from tasks.monitors.spec import CORRECTIONS, MonitorName
from tasks.round_metrics import RoundMetrics

SPEC = MonitorSpec()
HEALTHY = RoundMetrics(
    num_prompts=100,
    num_samples=800,
    samples_per_prompt=8.0,
    error_share=0.0,
    answered_share=0.99,
    distinct_answers_per_prompt=2.5,
    truncated_share=0.01,
    repeating_share=0.0,
    mean_tokens=40.0,
    num_voted_prompts=100,
    mean_majority_share=0.9,
    unanimous_coverage=0.8,
    newest_difficulty=3,
    newest_majority_share=0.9,
    newest_unanimous_coverage=0.8,
    top_answer="12",
    top_answer_share=0.05,
    top_reference_share=0.04,
    majority_accuracy=0.95,
    num_examples=700,
    selected_accuracy=0.97,
    verdicts={"accepted": 700, "wrong_answer": 100},
)


def found(metrics: RoundMetrics, *earlier: RoundMetrics, **options: object) -> list[Finding]:
    return monitor_round(metrics, earlier, labels="votes", **options)  # type: ignore[arg-type]


def test_a_healthy_round_has_no_findings() -> None:
    assert found(HEALTHY) == []
    assert found(HEALTHY, HEALTHY, HEALTHY) == []


def test_an_empty_round_only_lacks_rows() -> None:
    assert [f.name for f in found(RoundMetrics())] == ["training_rows"]


def collapsed(share: float) -> dict[str, float]:
    """What a rubric judge leaves that says one thing in this share of its judgements."""
    return {"num_judgements": 200, "top_score_share": share, "score_entropy": 0.1}


def biased(first: float, swap: float) -> dict[str, float]:
    """What a pair judge leaves that prefers the first answer in this share of its judgements."""
    return {"num_judgements": 200, "num_pairs": 100, "first_share": first, "swap_consistency": swap}


# One worsened field (or two), and the finding it must bring.
WORSE = [
    ("constant_answer", "stop", {"top_answer_share": 0.9}),
    ("truncation", "warn", {"truncated_share": 0.3}),
    ("truncation", "stop", {"truncated_share": 0.6}),
    ("repetition", "warn", {"repeating_share": 0.2}),
    ("repetition", "stop", {"repeating_share": 0.5}),
    ("outage", "warn", {"error_share": 0.05}),
    ("outage", "stop", {"verdicts": {"accepted": 100, "sandbox_fault": 100}}),
    ("length_drift", "warn", {"mean_tokens": 70.0}),
    ("length_drift", "stop", {"mean_tokens": 110.0}),
    ("length_drift", "stop", {"mean_tokens": 10.0}),
    ("diversity_loss", "warn", {"distinct_answers_per_prompt": 1.1}),
    ("error_avalanche", "stop", {"newest_majority_share": 0.35}),
    ("error_avalanche", "stop", {"newest_majority_share": 0.7}),
    ("error_avalanche", "stop", {"newest_unanimous_coverage": 0.6}),
    ("label_accuracy", "warn", {"selected_accuracy": 0.67}),
    ("chosen_logprob", "warn", {"chosen_logprob_start": -0.5, "chosen_logprob_end": -0.6}),
    ("chosen_logprob", "stop", {"chosen_logprob_start": -0.5, "chosen_logprob_end": -1.5}),
    ("outage", "warn", {"lost_score_share": 0.1}),
    ("length_bias", "warn", {"chosen_tokens": 80.0, "rejected_tokens": 40.0}),
    ("length_bias", "stop", {"chosen_tokens": 140.0, "rejected_tokens": 40.0}),
    ("judge_collapse", "warn", {"judges": {"judge": {"all": collapsed(0.9)}}}),
    ("judge_collapse", "stop", {"judges": {"judge": {"all": collapsed(0.977)}}}),
    ("position_bias", "warn", {"judges": {"pairs": {"all": biased(0.68, 0.6)}}}),
    ("position_bias", "warn", {"judges": {"pairs": {"all": biased(0.5, 0.3)}}}),
    ("position_bias", "stop", {"judges": {"pairs": {"all": biased(0.05, 0.1)}}}),
    ("judge_drift", "stop", {"rewards": {"tau": -0.1, "num_ranked": 40}}),
    ("training_rows", "warn", {"num_examples": 120}),
    ("training_rows", "stop", {"num_examples": 5}),
]


@pytest.mark.parametrize(("name", "severity", "change"), WORSE, ids=str)
def test_each_signature_is_recognized_alone(
    name: str, severity: str, change: dict[str, object]
) -> None:
    findings = found(replace(HEALTHY, **change), HEALTHY)  # type: ignore[arg-type]
    assert [(f.name, f.severity) for f in findings] == [(name, severity)]
    (finding,) = findings
    assert str(finding).startswith(f"{severity}: {name}: ")
    assert finding.message.endswith(".") and any(ch.isdigit() for ch in finding.message)


def test_a_task_with_two_answers_is_not_a_constant_answer() -> None:
    yes = replace(HEALTHY, top_answer="yes", top_answer_share=0.6)
    assert found(yes)[0].name == "constant_answer"
    assert found(replace(yes, top_reference_share=0.55)) == []
    unlabeled = replace(yes, top_reference_share=None)
    assert found(unlabeled, replace(unlabeled, top_answer_share=0.5)) == []


def test_a_few_prompts_cannot_show_a_constant_answer() -> None:
    assert found(replace(HEALTHY, top_answer_share=1.0, num_voted_prompts=5)) == []


def test_longer_answers_to_harder_problems_are_not_drift() -> None:
    harder = replace(HEALTHY, newest_difficulty=9, mean_tokens=400.0)
    assert found(harder, HEALTHY) == []


def test_agreement_of_a_model_that_is_right_is_not_lost_diversity() -> None:
    same = replace(HEALTHY, distinct_answers_per_prompt=1.0)
    assert found(replace(same, majority_accuracy=0.995), HEALTHY) == []
    assert found(replace(same, majority_accuracy=None), HEALTHY)[0].name == "diversity_loss"


def test_the_avalanche_needs_votes_and_no_references() -> None:
    blind = replace(
        HEALTHY,
        newest_majority_share=0.6,
        majority_accuracy=None,
        selected_accuracy=None,
        top_reference_share=None,
    )
    (finding,) = found(blind, HEALTHY)
    assert (finding.name, finding.value, finding.threshold) == ("error_avalanche", 0.6, 0.75)
    assert "0.600 after 0.900 in the round before" in finding.message
    assert monitor_round(blind, [HEALTHY], labels="references") == []


def test_a_slow_fall_is_caught_by_the_bound() -> None:
    rounds = [replace(HEALTHY, newest_unanimous_coverage=c) for c in (0.98, 0.9, 0.82)]
    spec = MonitorSpec(min_newest_unanimous=0.85)
    assert found(rounds[1], rounds[0], spec=spec) == []
    assert found(rounds[2], *rounds[:2], spec=spec)[0].threshold == 0.85


def test_pairs_that_run_out_are_found_over_several_rounds() -> None:
    # Iterative RPO on ARC: 20k, 11k, 5k pairs.
    rounds = [
        replace(HEALTHY, num_examples=0, num_pairs=n, disputed_share=n / 100) for n in (40, 22, 10)
    ]
    spec = MonitorSpec(min_training_rows=1)
    assert found(rounds[1], rounds[0], spec=spec) == []
    (finding,) = found(rounds[2], *rounds[:2], spec=spec)
    assert (finding.name, finding.severity) == ("wrong_answers", "warn")
    assert "0.10 pairs per prompt against 0.40" in finding.message
    assert "10.0% of prompts have more than one answer" in finding.message


def test_both_log_probabilities_are_named() -> None:
    fallen = replace(
        HEALTHY,
        chosen_logprob_start=-0.5,
        chosen_logprob_end=-0.7,
        rejected_logprob_start=-0.6,
        rejected_logprob_end=-2.0,
    )
    assert "that of the rejected ones from -0.600 to -2.000" in found(fallen)[0].message


def test_batches_differ_by_hundredths_of_a_nat() -> None:
    lower = replace(HEALTHY, chosen_logprob_start=-0.50, chosen_logprob_end=-0.54)
    assert found(lower) == []
    assert found(lower, spec=MonitorSpec(warn_chosen_logprob_drop=0.03))[0].severity == "warn"
    assert found(lower, spec=MonitorSpec(max_chosen_logprob_drop=0.03))[0].severity == "stop"


def test_a_judge_of_right_answers_may_say_the_same() -> None:
    fair = collapsed(0.97) | {"reference_agreement": 0.9}
    assert found(replace(HEALTHY, judges={"judge": {"all": fair}})) == []
    few = collapsed(0.97) | {"num_judgements": 10}
    assert found(replace(HEALTHY, judges={"judge": {"all": few}})) == []
    assert found(replace(HEALTHY, rewards={"tau": -0.5, "num_ranked": 3})) == []
    assert found(replace(HEALTHY, rewards={"tau": 0.3, "num_ranked": 90})) == []


def test_the_settings_say_what_a_finding_leads_to() -> None:
    bad = replace(HEALTHY, selected_accuracy=0.5, truncated_share=0.3, top_answer_share=1.0)
    spec = MonitorSpec(
        actions={"truncation": "stop", "label_accuracy": "ignore", "constant_answer": "hotter"}
    )
    first, second = found(bad, spec=spec)
    assert str(first).startswith("stop: truncation: ") and not first.withholds
    # Bad enough to stop: the round is not used, but the loop goes on, corrected.
    assert str(second).startswith("hotter: constant_answer: ") and second.withholds
    (mild,) = found(
        replace(HEALTHY, truncated_share=0.3), spec=MonitorSpec(actions={"truncation": "shrink"})
    )
    assert mild.done == "shrink" and not mild.withholds
    with pytest.raises(ValidationError, match=r"actions\.truncation"):
        MonitorSpec.model_validate({"actions": {"truncation": "panic"}})
    with pytest.raises(ValidationError, match=r"actions\.no_such_monitor"):
        MonitorSpec.model_validate({"actions": {"no_such_monitor": "warn"}})


def test_stops_come_first() -> None:
    bad = replace(HEALTHY, selected_accuracy=0.5, truncated_share=0.3, top_answer_share=1.0)
    assert [f.severity for f in found(bad)] == ["stop", "warn", "warn"]


MONOTONE = {
    "constant_answer": "top_answer_share",
    "truncation": "truncated_share",
    "repetition": "repeating_share",
    "outage": "error_share",
}


@given(st.sampled_from(sorted(MONOTONE)), st.floats(0, 1), st.floats(0, 1))
def test_a_worse_share_is_never_judged_milder(name: str, one: float, other: float) -> None:
    rank = {None: 0, "warn": 1, "stop": 2}

    def judged(value: float) -> int:
        worse: dict[str, Any] = {MONOTONE[name]: value}
        finding = getattr(s, name)(replace(HEALTHY, **worse), [], SPEC)
        return rank[finding.severity if finding else None]

    low, high = sorted((one, other))
    assert judged(low) <= judged(high)


def measured(loop: Loop, high: float) -> Headroom:
    zero = Interval(0.0, 0.0)
    return Headroom(loop, "Why.", 50, 8, 0.6, 0.5, 0.9, -0.1, Interval(-0.2, high), 0.3, zero, 0, 0)


def test_votes_worse_than_greedy_stop_a_voting_loop() -> None:
    finding = no_headroom(HEALTHY, "votes", measured("labels", -0.02))
    assert finding is not None and finding.severity == "stop" and finding.value == -0.1
    assert no_headroom(HEALTHY, "references", measured("labels", -0.02)) is None


def test_no_gap_warns() -> None:
    for labels in ("votes", "references"):
        finding = no_headroom(HEALTHY, labels, measured("none", 0.05))
        assert finding is not None and finding.severity == "warn"
    assert no_headroom(HEALTHY, "votes", measured("label_free", 0.05)) is None


def test_without_a_measurement_the_rounds_own_prompts_tell() -> None:
    worse = replace(HEALTHY, majority_gain=-0.05)
    finding = no_headroom(worse, "votes")
    assert finding is not None and "-0.050" in finding.message
    assert no_headroom(replace(worse, majority_gain=0.1), "votes") is None
    assert no_headroom(replace(worse, majority_accuracy=1.0), "votes") is None


def test_the_docs_have_every_monitor_and_action() -> None:
    docs = (Path(__file__).parents[3] / "docs" / "monitors.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", docs, re.M)) == {
        *get_args(MonitorName),
        *("ignore", "warn", "stop"),
        *CORRECTIONS,
    }


def test_thresholds_are_checked() -> None:
    with pytest.raises(ValidationError, match=r"warn_truncated_share=0\.6 is above"):
        MonitorSpec(warn_truncated_share=0.6)
    with pytest.raises(ValidationError, match="max_newest_drop"):
        MonitorSpec(max_newest_drop=2.0)
