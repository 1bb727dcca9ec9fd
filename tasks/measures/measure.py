"""What a measure is: texts to score for one sample, and one number out of their scores."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Protocol

from tasks.engines import Engine, Messages, TokenScores

Detail = Mapping[str, object]


@dataclass(frozen=True)
class Subject:
    """A completion that is to be measured.

    Attributes:
        messages: The chat messages that it answers.
        text: The completion.
        is_ended: Whether the model ended it itself. The end-of-sequence token counts as its last
            token then; a completion that was cut off at the token limit has none.
    """

    messages: Messages
    text: str
    is_ended: bool = True


@dataclass(frozen=True)
class Reading:
    """What a measure says of one completion.

    Attributes:
        value: The number; None where there is none.
        detail: The numbers behind it.
        error: Why there is no value, as "kind: what happened"; None for a value. An error is a
            state, never a value of 0.
    """

    value: float | None
    detail: Detail = field(default_factory=dict)
    error: str | None = None


class Measure(Protocol):
    """A number of a completion that follows from what a model says of texts.

    A frozen dataclass: its fields are what the number depends on, and part of its version.
    """

    @property
    def name(self) -> str:
        """Name of the check in `scores`; letters, digits, '.', '_', '-'."""

    def pairs(self, subject: Subject) -> list[tuple[Messages, str]]:
        """The (messages, completion) pairs that the engine has to score for a subject."""

    def read(self, subject: Subject, scores: Sequence[TokenScores]) -> Reading:
        """The number, from the scores of the subject's pairs; none of them has an error."""


def version_of(measure: Measure) -> str:
    """The version of a measure as `scores` hold it: it changes with any of its parameters.

    Example:
        >>> from tasks.measures import PTrue
        >>> version_of(PTrue()) == version_of(PTrue(name="other"))
        True
        >>> version_of(PTrue()) == version_of(PTrue(template="{question} {answer}"))
        False
    """
    assert is_dataclass(measure) and not isinstance(measure, type)
    fields = {name: value for name, value in asdict(measure).items() if name != "name"}
    text = json.dumps([type(measure).__name__, fields], sort_keys=True)
    return f"1-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def measure_batch(engine: Engine, measure: Measure, subjects: Sequence[Subject]) -> list[Reading]:
    """Measure completions in memory, as a reward function does.

    Args:
        engine: Serves the model that is asked.
        measure: What to measure.
        subjects: The completions.

    Returns:
        One reading per subject; one that the engine can't score has an `error`.

    Raises:
        EngineError: If the engine fails.
    """
    pairs = [measure.pairs(subject) for subject in subjects]
    scores = iter(engine.score([pair for own in pairs for pair in own]))
    return [
        _reading(measure, subject, [next(scores) for _ in own])
        for subject, own in zip(subjects, pairs, strict=True)
    ]


def _reading(measure: Measure, subject: Subject, scores: Sequence[TokenScores]) -> Reading:
    for one in scores:
        if one.error is not None:
            return Reading(None, error=one.error)
    reading = measure.read(subject, scores)
    numbers = [reading.value, *reading.detail.values()]
    if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
        # A ratio to an infinite perplexity would look like a fine 0.
        return Reading(None, error=f"not_finite: {measure.name}: a token has no probability")
    return reading
