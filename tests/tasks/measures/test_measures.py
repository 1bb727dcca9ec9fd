"""Every measure is what the model's own logits say, computed directly in float64."""

import math
from collections.abc import Callable

import pytest

from tasks.engines import Engine, Messages, TokenScores
from tasks.errors import OptionError
from tasks.measures import (
    Entropy,
    ForwardBackward,
    Likelihood,
    Measure,
    PerplexityGap,
    PTrue,
    Reading,
    SelfCertainty,
    Subject,
    measure_batch,
    version_of,
)
from tests.tasks.measures.conftest import PROMPTS, SAMPLES, Direct

SUBJECTS = [Subject(PROMPTS[prompt], text, reason == "stop") for prompt, text, reason in SAMPLES]
QUESTIONS = {"p0": "2+2?", "p1": "Name a {answer} prime."}


def user(text: str) -> Messages:
    return [{"role": "user", "content": text}]


def sum_of(direct: Direct, one: Subject) -> float:
    return sum(direct.logprobs(one.messages, one.text, one.is_ended))


def mean_of(direct: Direct, one: Subject) -> float:
    return sum_of(direct, one) / len(direct.logprobs(one.messages, one.text, one.is_ended))


def entropy_of(direct: Direct, one: Subject) -> float:
    _, table = direct.distributions(one.messages, one.text)
    own = table if one.is_ended else table[:-1]
    return -(own.exp() * own).sum().item() / len(own)


def certainty_of(direct: Direct, one: Subject) -> float:
    """The paper's own form: -1 / (n V) * sum_i sum_j log(V p(j | x, y_<i))."""
    _, table = direct.distributions(one.messages, one.text)
    own = table if one.is_ended else table[:-1]
    size = own.shape[1]
    return -(own + math.log(size)).sum().item() / (len(own) * size)


def p_true_of(direct: Direct, one: Subject) -> float:
    question = next(m["content"] for m in one.messages if m["role"] == "user")
    asked = (
        f"Question: {question}\nProposed Answer: {one.text}\nIs the proposed answer:\n"
        " (A) True\n (B) False\nThe proposed answer is:"
    )
    true, false = (
        math.exp(sum(direct.logprobs(user(asked), option, end=False))) for option in ("(A)", "(B)")
    )
    return true / (true + false)


def perplexities(direct: Direct, one: Subject) -> tuple[float, float]:
    system = [m for m in one.messages if m["role"] == "system"]
    without = Subject([*system, *user("")], one.text, one.is_ended)
    return math.exp(-mean_of(direct, one)), math.exp(-mean_of(direct, without))


def gap_of(direct: Direct, one: Subject) -> float:
    given, alone = perplexities(direct, one)
    return alone - given


def ifd_of(direct: Direct, one: Subject) -> float:
    given, alone = perplexities(direct, one)
    return given / alone


def forward_backward_of(direct: Direct, one: Subject) -> float:
    question = next(m["content"] for m in one.messages if m["role"] == "user")
    asked = f"{one.text}\n\nWrite the question that this is the answer to."
    back = direct.logprobs(user(asked), question, end=False)
    return 0.3 * mean_of(direct, one) + 0.7 * sum(back) / len(back)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (Likelihood(), sum_of),
        (Likelihood(value="mean"), mean_of),
        (Entropy(), entropy_of),
        (SelfCertainty(), certainty_of),
        (PTrue(), p_true_of),
        (PerplexityGap(), gap_of),
        (PerplexityGap(value="ifd"), ifd_of),
        (ForwardBackward(forward_weight=0.3), forward_backward_of),
    ],
)
def test_a_measure_is_what_the_logits_say(
    engine: Engine,
    direct: Direct,
    measure: Measure,
    expected: Callable[[Direct, Subject], float],
) -> None:
    readings = measure_batch(engine, measure, SUBJECTS)
    wanted = [expected(direct, subject) for subject in SUBJECTS]
    assert len({round(value, 6) for value in wanted}) == len(SUBJECTS)
    assert [reading.error for reading in readings] == [None] * len(SUBJECTS)
    assert [reading.value for reading in readings] == pytest.approx(wanted, rel=2e-5)


def test_tokens_are_kept_where_asked(engine: Engine, direct: Direct) -> None:
    (reading,) = measure_batch(engine, Likelihood(keep_tokens=True), SUBJECTS[1:2])
    one = SUBJECTS[1]
    expected = direct.logprobs(one.messages, one.text, end=False)
    assert reading.detail["tokens"] == pytest.approx(expected, abs=1e-4)
    assert reading.detail["num_tokens"] == len(one.text)


def test_the_options_of_p_true_are_its_own(engine: Engine, direct: Direct) -> None:
    measure = PTrue(template="{question} {answer}?", true="yes", false="no way")
    (reading,) = measure_batch(engine, measure, SUBJECTS[:1])
    yes, no = (
        math.exp(sum(direct.logprobs(user("2+2? four?"), text, end=False)))
        for text in ("yes", "no way")
    )
    assert reading.value == pytest.approx(yes / (yes + no), rel=2e-5)
    assert reading.detail["mass"] == pytest.approx(yes + no, rel=1e-4)


class FixedEngine:
    """Answers every pair with the same scores."""

    def __init__(self, scores: TokenScores) -> None:
        self.scores = scores

    def score(self, pairs: list[tuple[Messages, str]]) -> list[TokenScores]:
        return [self.scores] * len(pairs)


ALL: list[Measure] = [
    Likelihood(),
    Entropy(),
    SelfCertainty(),
    PTrue(),
    PerplexityGap(),
    PerplexityGap(value="ifd"),
    ForwardBackward(),
]


def reading_of(measure: Measure, scores: TokenScores, is_ended: bool = True) -> Reading:
    engine = FixedEngine(scores)
    subject = Subject(user("2+2?"), "4", is_ended)
    (reading,) = measure_batch(engine, measure, [subject])  # type: ignore[arg-type]
    return reading


@pytest.mark.parametrize("measure", ALL)
def test_an_engine_that_cannot_score_gives_its_error_and_no_value(measure: Measure) -> None:
    reading = reading_of(measure, TokenScores([], error="context_overflow: too long"))
    assert reading == Reading(None, {}, "context_overflow: too long")


@pytest.mark.parametrize("measure", ALL)
def test_a_token_without_any_probability_is_not_a_score(measure: Measure) -> None:
    infinite = [-math.inf] * 3
    reading = reading_of(measure, TokenScores(infinite, infinite, infinite))
    assert reading.value is None
    assert reading.error is not None and reading.error.startswith("not_finite: ")


@pytest.mark.parametrize("measure", [Entropy(), SelfCertainty()])
def test_an_engine_without_distributions_is_an_error(measure: Measure) -> None:
    reading = reading_of(measure, TokenScores([-1.0, -2.0]))
    assert reading.value is None
    assert reading.error is not None and reading.error.startswith("unsupported: ")


@pytest.mark.parametrize("measure", [one for one in ALL if one.name != "p_true"])
def test_a_text_cut_off_before_its_first_token_has_nothing_to_measure(measure: Measure) -> None:
    reading = reading_of(measure, TokenScores([-1.0], [1.0], [1.0]), is_ended=False)
    assert reading.value is None
    assert reading.error is not None and reading.error.startswith("no_tokens: ")


def test_another_parameter_is_another_version() -> None:
    versions = [version_of(one) for one in [*ALL, PTrue(true="True", false="False")]]
    assert len(set(versions)) == len(versions)
    assert version_of(Likelihood("a")) == version_of(Likelihood("b"))


def test_what_cannot_be_measured_is_refused_at_once() -> None:
    with pytest.raises(OptionError, match=r"\{answer\} missing"):
        PTrue(template="{question}")
    with pytest.raises(OptionError, match="holds"):
        ForwardBackward(back_template="{question} {answer}")
    with pytest.raises(OptionError, match="forward_weight=2"):
        ForwardBackward(forward_weight=2)
