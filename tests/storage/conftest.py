"""Warehouses and valid rows for the tests of the storage room."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from storage import TABLES, Warehouse
from storage.columns import MESSAGES

REPOSITORY = Path(__file__).parents[2]


def _value(field: pa.Field) -> Any:
    """Returns a valid value of a column that must not be null."""
    metadata = field.metadata or {}
    if b"values" in metadata:
        return metadata[b"values"].decode().split("|")[0]
    if metadata.get(b"format") == b"json":
        return "{}"
    if field.type == MESSAGES:
        return [{"role": "user", "content": "1 + 1?"}]
    if pa.types.is_list(field.type):
        return []
    if pa.types.is_boolean(field.type):
        return False
    if pa.types.is_integer(field.type):
        return 1
    return 0.5 if pa.types.is_floating(field.type) else f"some {field.name}"


TABLE_KEYS = ("run", "round")


def valid_row(table: str, id: str, **fields: Any) -> dict[str, Any]:
    """Returns a valid row of a table from the fields that matter."""
    schema = TABLES[table]
    row = {f.name: _value(f) for f in schema if not f.nullable and f.name not in TABLE_KEYS}
    return row | {"id": id} | fields


@pytest.fixture
def make_row() -> Callable[..., dict[str, Any]]:
    """Returns a function that makes a valid row of a table from the fields that matter."""
    return valid_row


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """Returns a new warehouse."""
    return Warehouse.open(tmp_path / "warehouse")


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[str]]:
    """Returns a function that starts Python code in a process of its own."""

    def run(code: str, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run
