"""Every column is documented, and what clocks measure is marked."""

from typing import get_args

import pyarrow as pa
import pytest

from storage import TABLES, TRAINING_TABLES
from storage.schemas import TableName, doc_of, unmeasured_columns


@pytest.mark.parametrize("table", TABLES)
def test_keys_come_first_and_every_column_has_a_sentence(table: str) -> None:
    schema = TABLES[table]
    assert schema.names[:3] == ["id", "run", "round"]
    assert len(set(schema.names)) == len(schema.names)
    assert schema.metadata[b"doc"].endswith(b".")
    for field in schema:
        assert doc_of(field)[-1] in ".…", field.name


def test_type_checkers_know_all_tables() -> None:
    assert get_args(TableName) == tuple(TABLES)


def test_measured_columns() -> None:
    measured = {
        f"{table}.{name}"
        for table, schema in TABLES.items()
        for name in set(schema.names) - set(unmeasured_columns(schema))
    }
    assert measured == {
        "executions.wall_ms",
        "executions.cpu_ms",
        "executions.peak_memory_mib",
        "executions.attempts",
        "samples.reused_from",
        "rounds.seconds",
        "rounds.tokens",
        "rounds.estimate",
        "decisions.decided_at",
    }


def test_training_rows_name_their_sources() -> None:
    for table in TRAINING_TABLES:
        for name in ("sample_ids", "score_ids", "vote_ids"):
            assert TABLES[table].field(name).type == pa.list_(pa.string())
