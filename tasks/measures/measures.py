"""The measures: each says what to ask the engine about a completion, and what its answer means."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.engines import Messages, TokenScores
from tasks.errors import OptionError
from tasks.measures import formulas
from tasks.measures.measure import Reading, Subject

Pairs = list[tuple[Messages, str]]

# Kadavath et al. (2207.05221), section 4: the question, the model's own answer, and two options.
P_TRUE_TEMPLATE = """Question: {question}
Proposed Answer: {answer}
Is the proposed answer:
 (A) True
 (B) False
The proposed answer is:"""

BACK_TEMPLATE = """{answer}

Write the question that this is the answer to."""


@dataclass(frozen=True)
class Likelihood:
    """Log-probability of the completion after its prompt.

    Attributes:
        name: Name of the check.
        value: Whether the value is the sum or the mean over tokens; the detail has both.
        keep_tokens: Whether the detail has the log-probability of every token.
    """

    name: str = "logprob"
    value: Literal["sum", "mean"] = "sum"
    keep_tokens: bool = False

    def pairs(self, subject: Subject) -> Pairs:
        """The completion after its prompt."""
        return [(subject.messages, subject.text)]

    def read(self, subject: Subject, scores: Sequence[TokenScores]) -> Reading:
        """The sum or mean."""
        logprobs = _own_tokens(scores[0].logprobs, subject)
        if not logprobs:
            return _no_tokens()
        numbers = {"sum": formulas.sum_logprob(logprobs), "mean": formulas.mean(logprobs)}
        detail: dict[str, object] = {**numbers, "num_tokens": len(logprobs)}
        if self.keep_tokens:
            detail["tokens"] = [value if math.isfinite(value) else None for value in logprobs]
        return Reading(numbers[self.value], detail)


@dataclass(frozen=True)
class SelfCertainty:
    """Mean over tokens of KL(uniform || next-token distribution): high where the model is sure.

    Equal to -1/(T V) sum_t sum_v log(V p(v | x, y_<t)).

    Source: Kang et al. (2502.18581), section 3.
    """

    name: str = "self_certainty"

    def pairs(self, subject: Subject) -> Pairs:
        """The completion after its prompt."""
        return [(subject.messages, subject.text)]

    def read(self, subject: Subject, scores: Sequence[TokenScores]) -> Reading:
        """The mean over the completion's tokens."""
        return _token_mean(scores[0].self_certainties, subject)


@dataclass(frozen=True)
class Entropy:
    """Mean over tokens of the entropy of the next-token distribution, in nats: low where sure."""

    name: str = "entropy"

    def pairs(self, subject: Subject) -> Pairs:
        """The completion after its prompt."""
        return [(subject.messages, subject.text)]

    def read(self, subject: Subject, scores: Sequence[TokenScores]) -> Reading:
        """The mean over the completion's tokens."""
        return _token_mean(scores[0].entropies, subject)


@dataclass(frozen=True)
class PTrue:
    """The probability with which a model calls an answer true, over true and false.

    Attributes:
        name: Name of the check.
        template: The user message; `{question}` and `{answer}` are filled in.
        true: What the model would say of a true answer.
        false: What it would say of a false one.

    Raises:
        OptionError: If the template lacks a field.

    Source: Kadavath et al. (2207.05221), section 4.
    """

    name: str = "p_true"
    template: str = P_TRUE_TEMPLATE
    true: str = "(A)"
    false: str = "(B)"

    def __post_init__(self) -> None:
        """Refuse a template that does not show the model what it is to judge."""
        _check_template(self.template, "{question}", "{answer}")

    def pairs(self, subject: Subject) -> Pairs:
        """Both answers to the question whether the completion is true."""
        asked = _fill(self.template, question=_question(subject), answer=subject.text)
        return [([{"role": "user", "content": asked}], text) for text in (self.true, self.false)]

    def read(self, subject: Subject, scores: Sequence[TokenScores]) -> Reading:
        """The normalised probability; the detail has how likely either answer is at all."""
        # Without the end: whether the model would say more after "(A)" is not the question.
        true, false = (formulas.sum_logprob(one.logprobs[:-1]) for one in scores)
        if math.isinf(true) and math.isinf(false):
            return Reading(None, error="not_finite: neither answer has any probability")
        mass = math.exp(true) + math.exp(false)
        return Reading(formulas.p_true(true, false), {"mass": mass})


@dataclass(frozen=True)
class PerplexityGap:
    """How much the query helps to predict the completion.

    The completion is scored after its prompt, and after the same prompt without its question: the
    system messages and an empty user message, so that the chat template's own tokens are the same.

    Attributes:
        name: Name of the check.
        value: `gap` for ppl(y) - ppl(y | x), `ifd` for ppl(y | x) / ppl(y); the detail has both.

    Source: Li et al. (2308.12032; 2402.00530), see `formulas.ifd`.
    """

    name: str = "perplexity_gap"
    value: Literal["gap", "ifd"] = "gap"

    def pairs(self, subject: Subject) -> Pairs:
        """The completion with and without its query."""
        system = [message for message in subject.messages if message["role"] == "system"]
        without = [*system, {"role": "user", "content": ""}]
        return [(subject.messages, subject.text), (without, subject.text)]

    def read(self, subject: Subject, scores: Sequence[TokenScores]) -> Reading:
        """The gap or the ratio."""
        given, alone = (_own_tokens(one.logprobs, subject) for one in scores)
        if not given:
            return _no_tokens()
        numbers = {
            "gap": formulas.perplexity_gap(given, alone),
            "ifd": formulas.ifd(given, alone),
            "perplexity": formulas.perplexity(given),
            "perplexity_without": formulas.perplexity(alone),
        }
        return Reading(numbers[self.value], numbers)


@dataclass(frozen=True)
class ForwardBackward:
    """Whether a completion follows from the query, and the query from the completion.

    Attributes:
        name: Name of the check.
        back_template: The user message that asks for the query; `{answer}` is filled in.
        forward_weight: Weight of the forward term, in [0, 1].

    Raises:
        OptionError: If the template lacks its field or the weight is out of range.

    Source: see `formulas.forward_backward`.
    """

    name: str = "forward_backward"
    back_template: str = BACK_TEMPLATE
    forward_weight: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a template without the answer, and a weight out of range."""
        _check_template(self.back_template, "{answer}")
        if "{question}" in self.back_template:
            raise OptionError("back_template holds {question}, which is what it asks for")
        if not 0 <= self.forward_weight <= 1:
            raise OptionError(f"forward_weight={self.forward_weight}; expected 0 to 1")

    def pairs(self, subject: Subject) -> Pairs:
        """The completion after its prompt, and the query after the completion."""
        asked = _fill(self.back_template, answer=subject.text)
        back = [{"role": "user", "content": asked}]
        return [(subject.messages, subject.text), (back, _question(subject))]

    def read(self, subject: Subject, scores: Sequence[TokenScores]) -> Reading:
        """The weighted mean of both log-probabilities per token."""
        forward = _own_tokens(scores[0].logprobs, subject)
        # Without the end: a question may go on after its last word.
        backward = scores[1].logprobs[:-1]
        if not forward or not backward:
            return _no_tokens()
        value = formulas.forward_backward(forward, backward, self.forward_weight)
        detail = {"forward": formulas.mean(forward), "backward": formulas.mean(backward)}
        return Reading(value, detail)


def _own_tokens(values: Sequence[float], subject: Subject) -> Sequence[float]:
    """Without the end-of-sequence token, which engines add, where the model wrote none."""
    return values if subject.is_ended else values[:-1]


def _token_mean(values: Sequence[float] | None, subject: Subject) -> Reading:
    if values is None:
        return Reading(None, error="unsupported: the engine does not see whole distributions")
    own = _own_tokens(values, subject)
    if not own:
        return _no_tokens()
    return Reading(formulas.mean(own), {"num_tokens": len(own)})


def _no_tokens() -> Reading:
    return Reading(None, error="no_tokens: the text has no tokens to measure")


def _question(subject: Subject) -> str:
    """What the user asked: the contents of all user messages."""
    asked = [m["content"] for m in subject.messages if m["role"] == "user"]
    return "\n".join(asked)


def _fill(template: str, **values: str) -> str:
    """The template with its fields filled in; other braces stay as they are."""
    # One pass: a value that itself holds "{answer}" is not filled in again.
    return re.sub(r"\{(question|answer)\}", lambda field: values[field[1]], template)


def _check_template(template: str, *fields: str) -> None:
    missing = [field for field in fields if field not in template]
    if missing:
        raise OptionError(f"template {template!r:.80}: {' and '.join(missing)} missing")
