"""Which loop can improve a model: the gap between its labels and its greedy answers.

Training moves a model towards its labels, so a round can gain only where the labels are better than
what the model already answers. Majority votes of an under-trained model are worse than its greedy
answers (measured on a small model: greedy 0.64, maj@8 0.53), and a label-free round then lowers its
accuracy; a checker that picks the right samples still helps there. Nearly perfect votes on harder
problems help even without a gap, because the harder problems are new to the training set: below a
precision of about 0.99 they start an error avalanche instead (length generalization, arXiv
2502.01612).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tasks.errors import EvaluationError
from tasks.evaluation.metrics import Interval, ProblemResult, bootstrap_means, maj_at_k, pass_at_k

Loop = Literal["label_free", "labels", "none"]


class HeadroomSpec(BaseModel):
    """When a loop applies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_gain: float = Field(
        default=0.02,
        ge=0.0,
        le=1.0,
        description="Smallest gap to greedy accuracy that a round can use, as a share of problems.",
    )
    confident_share: float = Field(
        default=1.0,
        gt=0.0,
        le=1.0,
        description="Vote share from which a majority answer would become a label.",
    )
    min_precision: float = Field(
        default=0.99,
        ge=0.0,
        le=1.0,
        description="Accuracy of such labels from which they help even without a gap.",
    )
    min_coverage: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="Share of problems that must get such a label for that.",
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0, description="Level of the intervals.")
    num_resamples: int = Field(
        default=10_000, ge=100, le=1_000_000, description="Bootstrap resamples."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the bootstrap.")


@dataclass(frozen=True)
class Headroom:
    """Greedy, vote and verification accuracy of one model on the same problems.

    Attributes:
        loop: 'label_free' when votes can teach the model, else 'labels' when a checker can, else
            'none'.
        reason: The sentence behind `loop`, with its numbers.
        num_problems: Problems measured.
        num_samples: Fewest samples of any problem; votes and verification use this many.
        greedy: Greedy accuracy.
        vote: Accuracy of the majority of `num_samples` samples.
        verification: Share of problems with a right sample among `num_samples`: what a checker
            finds.
        vote_gain: `vote` minus `greedy`.
        vote_gain_interval: Paired bootstrap interval of `vote_gain`.
        verification_gain: `verification` minus `greedy`.
        verification_gain_interval: Paired bootstrap interval of `verification_gain`.
        confident_coverage: Share of problems whose vote share reaches the spec's `confident_share`.
        confident_precision: Accuracy of the majority answer on those; None when there are none.
    """

    loop: Loop
    reason: str
    num_problems: int
    num_samples: int
    greedy: float
    vote: float
    verification: float
    vote_gain: float
    vote_gain_interval: Interval
    verification_gain: float
    verification_gain_interval: Interval
    confident_coverage: float
    confident_precision: float | None

    def to_dict(self) -> dict[str, object]:
        """Returns a JSON-serialisable form for `rounds.metrics`."""
        return asdict(self)


def headroom(results: Sequence[ProblemResult], spec: HeadroomSpec | None = None) -> Headroom:
    """Returns which loop applies to the model that gave these results, and why.

    Take it with the incumbent, on problems with references that no training row uses, before a
    round.

    Args:
        results: Problems with a greedy mark and at least one sample each; others are left out.
        spec: Thresholds; the defaults when None.

    Raises:
        EvaluationError: If no problem has both a greedy answer and samples.
    """
    spec = spec or HeadroomSpec()
    used = sorted(
        (r for r in results if r.greedy_correct is not None and r.answers),
        key=lambda r: r.prompt_id,
    )
    if not used:
        raise EvaluationError(
            f"none of {len(results)} problems has a greedy answer and samples; draw both for the "
            "same problems before measuring the headroom"
        )
    k = min(len(r.answers) for r in used)
    greedy = np.array([float(bool(r.greedy_correct)) for r in used], dtype=np.float64)
    vote = np.array([maj_at_k(r.answers, r.correct, k) for r in used], dtype=np.float64)
    found = pass_at_k([len(r.correct) for r in used], [sum(r.correct) for r in used], k)
    coverage, precision = _confident(used, spec.confident_share)
    measured = Headroom(
        loop="none",
        reason="",
        num_problems=len(used),
        num_samples=k,
        greedy=float(greedy.mean()),
        vote=float(vote.mean()),
        verification=float(found.mean()),
        vote_gain=float((vote - greedy).mean()),
        vote_gain_interval=_interval(vote - greedy, spec),
        verification_gain=float((found - greedy).mean()),
        verification_gain_interval=_interval(found - greedy, spec),
        confident_coverage=coverage,
        confident_precision=precision,
    )
    return _judged(measured, spec)


def _judged(m: Headroom, spec: HeadroomSpec) -> Headroom:
    """Returns the measurement with its loop and reason."""
    vote_helps = m.vote_gain >= spec.min_gain and m.vote_gain_interval.low > 0.0
    check_helps = m.verification_gain >= spec.min_gain and m.verification_gain_interval.low > 0.0
    precision = m.confident_precision
    precise = (
        precision is not None
        and precision >= spec.min_precision
        and m.confident_coverage >= spec.min_coverage
    )
    loop: Loop = "label_free" if vote_helps or precise else "labels" if check_helps else "none"
    numbers = (
        f"greedy {m.greedy:.3f}, maj@{m.num_samples} {m.vote:.3f} ({m.vote_gain:+.3f}), "
        f"pass@{m.num_samples} {m.verification:.3f} ({m.verification_gain:+.3f}), labels at vote "
        f"share >= {spec.confident_share:g}: coverage {m.confident_coverage:.3f}, precision "
        f"{'none' if precision is None else format(precision, '.3f')}"
    )
    reason = f"{_explain(loop, vote_helps)} On {m.num_problems} problems: {numbers}."
    return replace(m, loop=loop, reason=reason)


def _confident(results: Sequence[ProblemResult], share: float) -> tuple[float, float | None]:
    marks: list[bool] = []
    for result in results:
        votes = Counter(answer for answer in result.answers if answer is not None)
        if not votes:
            continue
        # Ties broken by the answer's text: with share > 0.5 there are none.
        answer, count = min(votes.items(), key=lambda item: (-item[1], item[0]))
        if count >= share * len(result.answers):
            marks.append(result.correct[result.answers.index(answer)])
    precision = sum(marks) / len(marks) if marks else None
    return len(marks) / len(results), precision


def _interval(values: np.ndarray[tuple[int], np.dtype[np.float64]], spec: HeadroomSpec) -> Interval:
    means = bootstrap_means(values, seed=spec.seed, num_resamples=spec.num_resamples)
    tail = (1.0 - spec.confidence) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return Interval(float(low), float(high))


def _explain(loop: Loop, vote_helps: bool) -> str:
    if loop == "label_free":
        return (
            "A label-free loop applies: majority votes beat the greedy answers."
            if vote_helps
            else "A label-free loop applies: confident votes are nearly always right."
        )
    if loop == "labels":
        return (
            "A loop with known answers applies: a checker finds right samples where greedy answers "
            "fail, but majority votes do not beat greedy answers."
        )
    return "No loop applies: neither votes nor a checker beat the greedy answers."
