"""Rounds for the tests of selections: a few samples per prompt, with what the checks said."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from storage import TABLES, Warehouse, content_id
from storage.catalog import attach_memory
from storage.rows import to_arrow
from tasks.checks.votes import VOTES, vote

Row = dict[str, Any]
RUN = "r"
SCORED = ("judge", "win_rate", "similarity")  # checks that a sample's `scores` are written under


class Drawn(NamedTuple):
    """A sample of a test: its answer, its text, whether it is right, and what went wrong."""

    answer: str | None
    text: str
    is_right: bool = False
    verdict: str = "accepted"
    purpose: str = "train"
    scores: tuple[float, ...] = ()
    num_tokens: int = 1
    policy: str = "m"


def write_round(w: Warehouse, prompts: Sequence[Sequence[Drawn]]) -> None:
    """Replace round 1 by these samples, with their executions, scores and votes."""
    for table in TABLES:
        shutil.rmtree(w.root / f"tables/{table}/run={RUN}", ignore_errors=True)
    for table, rows in tables_of(prompts).items():
        w.write(table, rows, run=RUN, round=1, part="all")
    vote(w, run=RUN, round=1)


def load_round(
    connection: duckdb.DuckDBPyConnection, prompts: Sequence[Sequence[Drawn]]
) -> dict[str, object]:
    """Make plain tables of these samples, votes included, and return what names the round."""
    attach_memory(connection)
    place: dict[str, object] = {"run": RUN, "round": 1}
    rows = tables_of(prompts)
    for table, schema in TABLES.items():
        given = rows.get(table, [])
        filled = to_arrow(table, given, run=RUN, round=1) if given else schema.empty_table()
        make_table(connection, table, filled)
    make_table(connection, "votes", connection.sql(VOTES.bind(connection, place)).to_arrow_table())
    return {**place, "seed": 0}


def make_table(connection: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    connection.register("given", rows)
    connection.execute(f"CREATE OR REPLACE TABLE {name} AS FROM given")
    connection.unregister("given")


def tables_of(prompts: Sequence[Sequence[Drawn]]) -> dict[str, list[Row]]:
    """The rows of `prompts`, `samples`, `executions` and `scores`."""
    tables: dict[str, list[Row]] = {"prompts": [], "samples": [], "executions": [], "scores": []}
    for p, drawn in enumerate(prompts):
        prompt = content_id("prompt", p)
        tables["prompts"].append(
            {
                "id": prompt,
                "environment": "test",
                "messages": [{"role": "user", "content": f"{p}?"}],
                "reference": "1",
                "source": "seed",
                "parent_ids": [],
                "split": "train",
                "metadata": "{}",
                "difficulty": p,
            }
        )
        for i, one in enumerate(drawn):
            sample = content_id("sample", p, i)
            tables["samples"].append(
                {"id": sample, "prompt_id": prompt, "parent_ids": [], "role": "program",
                 "purpose": one.purpose, "turn": 0, "index": i, "policy_id": one.policy,
                 "weight_hash": "h", "engine": "e", "sampling": "{}", "seed": 0, "text": one.text,
                 "num_tokens": one.num_tokens, "finish_reason": "stop", "status": "ok"}
            )  # fmt: skip
            tables["executions"].append(
                {"id": content_id("execution", sample), "sample_id": sample, "test_ids": [],
                 "verdict": one.verdict, "stdout": "", "stderr": "", "stdout_truncated": False,
                 "stderr_truncated": False, "wall_ms": 1.0, "cpu_ms": 1.0, "backend": "b",
                 "isolation": "i", "limits_enforced_by": "l", "flags": [], "attempts": 1}
            )  # fmt: skip
            fault = one.verdict == "sandbox_fault"
            for check in ("answer", "reference"):
                tables["scores"].append(
                    {"id": content_id("score", sample, check), "sample_id": sample, "check": check,
                     "version": "1", "detail": "{}", "status": "error" if fault else "ok",
                     "error": "fault" if fault else None,
                     "label": one.answer if check == "answer" and not fault else None,
                     "value": float(one.is_right) if check == "reference" and not fault else None}
                )  # fmt: skip
            for check, (number, value) in product(SCORED, enumerate(one.scores)):
                tables["scores"].append(
                    {"id": content_id("score", sample, check, number), "sample_id": sample,
                     "check": check, "version": str(number), "detail": "{}", "status": "ok",
                     "label": None, "value": value}
                )  # fmt: skip
    return tables


def right(*texts: str) -> list[Drawn]:
    return [Drawn("1", text, is_right=True) for text in texts]


def wrong(*texts: str, answer: str = "2") -> list[Drawn]:
    return [Drawn(answer, text) for text in texts]
