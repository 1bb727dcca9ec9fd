"""Which programs and tests are credible: those that pass each other, like linked pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Ranks(NamedTuple):
    """Ranks, each side over its best one.

    Attributes:
        programs: list[num_programs] of float in [0, 1].
        tests: list[num_tests] of float in [0, 1].
    """

    programs: list[float]
    tests: list[float]


def rank(
    passed: Sequence[Sequence[bool | None]], *, damping: float = 0.85, iterations: int = 10
) -> Ranks:
    """Ranks of programs and tests after a number of iterations, all beginning with 1.

    In each iteration a program keeps (1 - damping) of its rank and gets damping times the ranks of
    the tests that it passes; a test gets those of the programs that pass it. Both read the ranks of
    the iteration before.

    Args:
        passed: num_programs rows of num_tests values: whether the program passes the test. None,
            where nobody knows, is no link.
        damping: In [0, 1].
        iterations: At least 1.

    Source: CodeDPO (2410.05605), section 3.2. Ranks grow without bound there; here both sides are
        scaled, which changes no order and no ratio.

    Example:
        >>> ranks = rank([[True, True], [True, False], [False, False]])
        >>> ranks.programs[0], ranks.programs[1] > ranks.programs[2] > 0
        (1.0, True)
    """
    links = np.array([[value is True for value in row] for row in passed], dtype=np.float64)
    links = links.reshape(len(passed), -1)
    programs, tests = np.ones(links.shape[0]), np.ones(links.shape[1])
    for _ in range(iterations):
        programs, tests = (
            (1 - damping) * programs + damping * (links @ tests),
            (1 - damping) * tests + damping * (links.T @ programs),
        )
        most = max(programs.max(initial=0.0), tests.max(initial=0.0))
        if most > 0:
            programs, tests = programs / most, tests / most
    return Ranks(_scaled(programs), _scaled(tests))


def _scaled(ranks: np.ndarray) -> list[float]:
    most = float(ranks.max(initial=0.0))
    return [float(value) / most if most > 0 else 0.0 for value in ranks]
