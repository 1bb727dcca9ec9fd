"""What the documents show works: every query of the SQL cookbook runs and gives rows."""

import re
from pathlib import Path

import pytest

from storage import Warehouse, run_sql
from tests.tasks.conftest import finished_warehouse

__all__ = ["finished_warehouse"]  # a fixture

PROJECT = Path(__file__).parents[1]
COOKBOOK = (PROJECT / "docs" / "sql.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^```sql\n(.*?)^```", COOKBOOK, re.MULTILINE | re.DOTALL)
VIEWS = ("rounds_overview", "row_counts", "round_diff(", "pass_rate_migration(", "disagreements",
         "worst_prompts", "flaky", "lineage(", "learned_from(", "answers")  # fmt: skip


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: " ".join(query.split())[:50])
def test_a_query_of_the_cookbook_runs(query: str, finished_warehouse: Warehouse) -> None:
    num_rows = run_sql(finished_warehouse, query, "json").num_rows
    assert num_rows or query.endswith("-- may be empty\n")


def test_the_cookbook_shows_every_view_and_is_linked() -> None:
    text = "\n".join(QUERIES)
    assert [name for name in VIEWS if name not in text] == []
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert "(docs/sql.md)" in readme and "(docs/schema.md)" in readme
