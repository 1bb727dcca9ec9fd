"""How far a model agrees with itself on held-out problems: a sign of its accuracy without labels.

Source of its use: Lee et al. 2025, arXiv 2502.01612, section 6: the answers of several models vote,
and the next difficulty is taken up once the current one is answered almost without fault.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from tasks.evaluation.metrics import ProblemResult


def agreement_by_difficulty(results: Sequence[ProblemResult]) -> dict[int, float]:
    """Mean share of a problem's drawn samples that give its most frequent answer, per difficulty.

    A sample without an answer agrees with none. Problems without drawn samples, and those of no
    difficulty, are left out.

    Args:
        results: One model on the held-out problems.
    """
    shares: dict[int, list[float]] = defaultdict(list)
    for result in results:
        if result.difficulty is not None and result.answers:
            votes = Counter(answer for answer in result.answers if answer is not None)
            most = max(votes.values(), default=0)
            shares[result.difficulty].append(most / len(result.answers))
    return {level: sum(found) / len(found) for level, found in sorted(shares.items())}


def frontier(agreement: Mapping[int, float], *, base: int, step: int, at_least: float) -> int:
    """The first difficulty beyond `base` that comes after only difficulties the model masters.

    Args:
        agreement: Of the model with itself, by difficulty.
        base: Hardest difficulty whose labels the model was shown.
        step: Distance of the difficulties that are taken up one after the other.
        at_least: Agreement from which a difficulty counts as mastered.
    """
    level = base + step
    while agreement.get(level, 0.0) >= at_least:
        level += step
    return level
