"""Rows get the table's schema, or an error that names table, row and field."""

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import TABLES, RowError, UnknownTableError
from storage.rows import to_arrow

MakeRow = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("table", TABLES)
def test_a_row_of_required_columns_gets_the_schema(table: str, make_row: MakeRow) -> None:
    result = to_arrow(table, [make_row(table, "a")], run="r", round=3)
    assert result.schema.equals(TABLES[table], check_metadata=True)
    row = result.to_pylist()[0]
    assert (row["run"], row["round"]) == ("r", 3)
    assert all(row[f.name] is None for f in TABLES[table] if f.nullable)


@pytest.mark.parametrize("table", TABLES)
def test_no_rows_are_a_table_too(table: str) -> None:
    assert to_arrow(table, [], run="r", round=0).schema == TABLES[table]
    empty = TABLES[table].empty_table()
    assert to_arrow(table, empty, run="r", round=0).num_rows == 0


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("nope", 1, "no such column; expected id, run"),
        ("text", None, "missing or null"),
        ("text", 5, "expected string, got 5"),
        ("text", "\ud800", "expected string"),
        ("seed", "x", "expected int64, got 'x'"),
        ("seed", 2**63, "expected int64"),
        ("turn", 1.5, "expected int32, got 1.5"),
        ("parent_ids", ["a", None], "empty item"),
        ("parent_ids", "a", "expected list"),
        ("mean_logprob", float("nan"), "is NaN"),
        ("purpose", "test", "expected train|evaluate|imported"),
        ("status", None, "missing or null"),
        ("sampling", "{", "expected JSON text"),
        ("sampling", '{"t": NaN}', "expected JSON text"),
        ("sampling", {"t": float("nan")}, "expected a JSON value"),
        ("run", "other", "is 'other' but the part is of 'r'"),
        ("round", 9, "is 9 but the part is of 1"),
        ("id", "0", "is there twice"),
    ],
)
def test_errors_name_table_row_and_field(
    field: str, value: object, problem: str, make_row: MakeRow
) -> None:
    rows = [make_row("samples", str(index)) for index in range(4)]
    rows[2][field] = value
    with pytest.raises(RowError) as caught:
        to_arrow("samples", rows, run="r", round=1)
    assert f"table 'samples', row 2, field '{field}': " in str(caught.value)
    assert problem in str(caught.value)


def test_a_missing_column_is_named(make_row: MakeRow) -> None:
    row = make_row("votes", "a")
    del row["answer"]
    with pytest.raises(RowError, match="row 0, field 'answer': missing"):
        to_arrow("votes", [row], run="r", round=1)


def test_messages_need_role_and_content(make_row: MakeRow) -> None:
    row = make_row("prompts", "a", messages=[{"role": "user"}])
    with pytest.raises(RowError, match="row 0, field 'messages': has an empty item"):
        to_arrow("prompts", [row], run="r", round=1)


def test_arrow_tables_are_cast_and_checked(make_row: MakeRow) -> None:
    row = make_row("votes", "a")
    wide = pa.Table.from_pylist([row]).set_column(2, "answer", pa.array(["3"], pa.large_string()))
    assert to_arrow("votes", wide, run="r", round=1).schema == TABLES["votes"]
    text = pa.Table.from_pylist([row, row | {"id": "b", "count": 2**40}])
    with pytest.raises(RowError, match="row 1, field 'count': expected int32"):
        to_arrow("votes", text, run="r", round=1)


def test_json_columns_take_mappings(make_row: MakeRow) -> None:
    row = make_row("samples", "a", sampling={"top_p": 1.0, "a": ["ü"]})
    result = to_arrow("samples", [row], run="r", round=1)
    assert result["sampling"].to_pylist() == ['{"a": ["ü"], "top_p": 1.0}']


def test_unknown_table() -> None:
    with pytest.raises(UnknownTableError, match=r"^table 'sample': expected one of prompts"):
        to_arrow("sample", [], run="r", round=1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.floats(allow_nan=False)),
        max_size=5,
    )
)
def test_values_survive(make_row: MakeRow, values: list[tuple[str, float]]) -> None:
    rows = [
        make_row("votes", str(i), answer=answer, weight=weight)
        for i, (answer, weight) in enumerate(values)
    ]
    read = to_arrow("votes", rows, run="r", round=1).to_pylist()
    assert [(row["answer"], row["weight"]) for row in read] == values
    assert json.dumps([{**row, "run": "r", "round": 1} for row in rows], sort_keys=True) == (
        json.dumps(read, sort_keys=True)
    )
