"""CodeDPO's ranking against one matrix to the tenth power."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.crossing import rank

CELL = st.sampled_from([True, False, None])
MATRIX = st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda size: st.lists(
        st.lists(CELL, min_size=size[1], max_size=size[1]), min_size=size[0], max_size=size[0]
    )
)


def by_power(
    passed: list[list[bool | None]], damping: float, iterations: int
) -> tuple[list[float], list[float]]:
    """One graph of programs and tests: (1-d) I + d A, to a power, times ones."""
    links = np.array([[float(value or 0) for value in row] for row in passed])
    num_programs, num_tests = links.shape
    graph = np.zeros((num_programs + num_tests,) * 2)
    graph[:num_programs, num_programs:] = links
    graph[num_programs:, :num_programs] = links.T
    step = (1 - damping) * np.eye(len(graph)) + damping * graph
    ranks = np.linalg.matrix_power(step, iterations) @ np.ones(len(graph))
    sides = ranks[:num_programs], ranks[num_programs:]
    programs, tests = ([float(v) for v in side / max(side.max(), 1e-300)] for side in sides)
    return programs, tests


@settings(max_examples=25)
@given(MATRIX, st.sampled_from([0.0, 0.3, 0.85, 1.0]), st.integers(1, 12))
def test_ranks_are_those_of_the_power(
    passed: list[list[bool | None]], damping: float, iterations: int
) -> None:
    found = rank(passed, damping=damping, iterations=iterations)
    programs, tests = by_power(passed, damping, iterations)
    assert found.programs == pytest.approx(programs)
    assert found.tests == pytest.approx(tests)


@settings(max_examples=25)
@given(MATRIX, st.randoms(use_true_random=False))
def test_order_does_not_matter(
    passed: list[list[bool | None]], random: np.random.Generator
) -> None:
    order = list(range(len(passed)))
    random.shuffle(order)
    first, second = rank(passed), rank([passed[i] for i in order])
    assert second.programs == pytest.approx([first.programs[i] for i in order])
    assert second.tests == pytest.approx(first.tests)


@settings(max_examples=25)
@given(MATRIX)
def test_who_passes_more_of_the_same_tests_never_ranks_lower(
    passed: list[list[bool | None]],
) -> None:
    ranks = rank(passed).programs
    for i, one in enumerate(passed):
        for j, other in enumerate(passed):
            if all(mine is True or its is not True for mine, its in zip(one, other, strict=True)):
                assert ranks[i] >= ranks[j] - 1e-12


def test_a_credible_test_outweighs_two_that_wrong_programs_agree_on() -> None:
    # Four programs pass the same three tests; one passes as many, of which two are wrong.
    agree = [True, True, True, False, False]
    ranks = rank([agree, agree, agree, agree, [True, False, False, True, True]])
    assert ranks.programs[4] < ranks.programs[0] == 1.0
    assert min(ranks.tests[:3]) > max(ranks.tests[3:])


def test_many_iterations_do_not_overflow() -> None:
    ranks = rank([[True] * 100 for _ in range(100)], iterations=1000)
    assert set(ranks.programs) == set(ranks.tests) == {1.0}
    assert rank([[False]], damping=1.0) == ([0.0], [0.0])
