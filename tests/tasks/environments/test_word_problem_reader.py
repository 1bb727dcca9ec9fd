"""Reading a word problem gives the equation that it was made of."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.environments.word_problem_reader import read_equation
from tasks.environments.word_problems import render, sample_equation


@given(st.integers(0, 10**6), st.integers(1, 4))
def test_every_problem_is_read_back(seed: int, num_steps: int) -> None:
    rng = random.Random(seed)
    equation = sample_equation(rng, num_steps)
    assert read_equation(render(equation, rng)) == equation


@pytest.mark.parametrize(
    "problem",
    [
        "",
        "Ana has 5 pens.",
        "Ana has 5 pens. How many pens does Ana have now?",
        "Ana has 5 pens. Then Ben buys 2 more. How many pens does Ana have now?",
        "Ana has 5 pens. Then Ana buys 2 more. How many books does Ana have now?",
        "Ana has 5 pens. Then Ana gives away 5 of them. How many pens does Ana have now?",
        "Ana has 5 pens. The pens are divided by 2. How many pens does Ana have now?",
        "Ana has 5 pens. The pens are divided by 0. How many pens does Ana have now?",
        "Ana has 5 pens. Ana is glad. How many pens does Ana have now?",
    ],
)
def test_what_is_no_problem_or_makes_no_sense_is_not_read(problem: str) -> None:
    assert read_equation(problem) is None
