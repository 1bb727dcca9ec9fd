"""Two models compared by what they answered in earlier evaluations; nothing is generated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import duckdb

from tasks.errors import EvaluationError
from tasks.evaluation.gate_spec import GateSpec
from tasks.evaluation.paired import Comparison, compare, pair_outcomes

_QUERY = (Path(__file__).parent / "recorded_results.sql").read_text(encoding="utf-8")


class _Answers(NamedTuple):
    """Which of a model's answers to one problem were right."""

    greedy: list[bool]
    drawn: list[bool]


_Suites = Mapping[str, Mapping[str, Mapping[str, _Answers]]]  # by suite, run and problem


def compare_recorded(
    con: duckdb.DuckDBPyConnection,
    first: str,
    second: str,
    num_samples: int | None = None,
    spec: GateSpec | None = None,
) -> list[Comparison]:
    """Returns the second model against the first one, per suite that both answered.

    Problems are paired within a run that evaluated both models; where there is none, over all runs.

    Args:
        con: A connection from `Warehouse.connect()`.
        first: Weight hash of the first model, in the place of the incumbent.
        second: Weight hash of the second model.
        num_samples: Count so many samples per problem; None for the greedy answer.
        spec: Level, resamples and seed of the lower bound; the defaults when None.

    Raises:
        EvaluationError: They answered no problem in common.
    """
    before, after = _recorded(con, first), _recorded(con, second)
    found = []
    for suite in sorted(before.keys() & after.keys()):
        shared = sorted(before[suite].keys() & after[suite].keys())
        one, other = (
            _num_right(runs, shared[-1:] or sorted(runs), num_samples)
            for runs in (before[suite], after[suite])
        )
        if not one.keys() & other.keys():
            continue
        paired = pair_outcomes(suite, one, other, num_answers=num_samples or 1)
        found.append(compare(suite, paired.outcomes, spec or GateSpec(), paired.num_answers))
    if not found:
        what = f"{num_samples} samples for" if num_samples else "a greedy answer to"
        raise EvaluationError(
            f"the two models have no held-out problem in common that both gave {what}; "
            "`selfloom evaluate` both with the same settings, then compare again"
        )
    return found


def _recorded(con: duckdb.DuckDBPyConnection, weight_hash: str) -> _Suites:
    suites: dict[str, dict[str, dict[str, _Answers]]] = defaultdict(lambda: defaultdict(dict))
    rows = con.execute(_QUERY, {"weight_hash": weight_hash}).fetchall()
    for run, suite, prompt_id, is_greedy, is_correct in rows:
        answers = suites[suite][run].setdefault(prompt_id, _Answers([], []))
        (answers.greedy if is_greedy else answers.drawn).append(bool(is_correct))
    return suites


def _num_right(
    runs: Mapping[str, Mapping[str, _Answers]], names: list[str], num_samples: int | None
) -> dict[str, int]:
    """Right answers by problem, of those with enough of them; of several runs the first counts."""
    right: dict[str, int] = {}
    for name in names:
        for prompt_id, answers in runs[name].items():
            marks = answers.greedy if num_samples is None else answers.drawn
            num = num_samples or 1
            if len(marks) >= num:
                right.setdefault(prompt_id, sum(marks[:num]))
    return right
