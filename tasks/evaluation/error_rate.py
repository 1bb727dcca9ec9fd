"""How the rounds of a run share the gate's error rate, so that many tries promote no luck."""

from __future__ import annotations

from collections.abc import Sequence


def level_of_test(alpha: float, found: Sequence[bool], planned_rounds: int | None = None) -> float:
    """Returns the level of a run's next test.

    The k-th test of a run has a share of alpha, and where the test before it found a gain, also
    that one's level: what a true discovery did not use up goes on to the next test. Over any number
    of rounds, the probability that a candidate which is no better passes its test stays within
    alpha. It needs each test to hold its level given what came before. Loops reuse their held-out
    problems: an incumbent that was lucky on them is harder to beat on them, so that errs towards
    rejection.

    Args:
        alpha: Error rate of the whole run, in (0, 1]; 1 means no test at all.
        found: Whether each test before this one was within its level, in order.
        planned_rounds: Rounds that share alpha equally. None: round k has 1 / (k (k + 1)) of it,
            which sums to 1 over any number of rounds.

    Returns:
        Level in [0, alpha].

    Source:
        Online fallback: Tian and Ramdas, "Online control of the familywise error rate", 2021
        (arXiv 1910.04900), section 2; after Wiens, "A fixed sequence Bonferroni procedure", 2003.

    Example:
        >>> [round(level_of_test(0.05, [False] * k), 4) for k in range(3)]
        [0.025, 0.0083, 0.0042]
        >>> [round(level_of_test(0.05, [True] * k), 4) for k in range(3)]
        [0.025, 0.0333, 0.0375]
    """
    if alpha == 1.0:
        return 1.0
    level = 0.0
    for k, carries in enumerate((False, *found), start=1):
        if planned_rounds is None:
            share = 1.0 / (k * (k + 1))
        else:
            share = 1.0 / planned_rounds if k <= planned_rounds else 0.0
        level = alpha * share + (level if carries else 0.0)
    return level
