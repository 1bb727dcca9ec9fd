"""What the verbs about tables print: exports and differences."""

from __future__ import annotations

import json
import re
from pathlib import Path

import typer

from flows.errors import SettingError
from flows.show import Rows, print_rows
from storage import (
    Difference,
    ExportReport,
    RoundRef,
    Snapshot,
    Warehouse,
    count_differences,
    diff_tables,
    diff_training,
    find_snapshot,
)
from storage.marker import MARKER

_ROUND = re.compile(r"(?P<run>.+)/(?P<round>\d+)")
_SHOWN_CHARACTERS = 40

Side = Warehouse | RoundRef | Snapshot


def show_export(report: ExportReport) -> None:
    """Print what an export wrote, and how to load it."""
    print_rows(
        [
            {"config": own.table, "split": split, "rows": str(rows)}
            for own in report.configs
            for split, rows in own.rows.items()
        ]
    )
    typer.echo(f"Dataset:  {report.folder}")
    typer.echo("Load it:")
    for own in report.configs:
        # A whole dataset is loaded from a local folder only.
        files = {split: f"{report.folder}/{own.table}/{split}-*.parquet" for split in own.rows}
        is_local = isinstance(report.folder, Path)
        call = f'"{report.folder}", "{own.table}"' if is_local else f'"parquet", data_files={files}'
        typer.echo(f"  datasets.load_dataset({call})")


def show_diff(warehouse: Path, first: str, second: str, limit: int, as_json: bool) -> None:
    """Print what differs between two warehouses, or two sets of training rows of one.

    Args:
        warehouse: Folder of the warehouse that holds rounds and frozen tables.
        first: Folder of a warehouse, RUN/ROUND, a model, or the start of a snapshot's hash.
        second: The other one.
        limit: Largest number of single differences to print.
        as_json: Print one JSON object instead of tables.

    Raises:
        SettingError: A warehouse is compared with something else, or a round has no rows.
        SnapshotNotFoundError: There is nothing of that name.
        WarehouseNotFoundError: There is no warehouse.
    """
    sides = [_side(warehouse, name) for name in (first, second)]
    a, b = sides
    if isinstance(a, Warehouse) and isinstance(b, Warehouse):
        _show_warehouses(a, b, limit, as_json)
    elif isinstance(a, Warehouse) or isinstance(b, Warehouse):
        raise SettingError(
            f"{first} and {second}: a warehouse can be compared with a warehouse only; name two "
            "warehouses, or two of RUN/ROUND, a model or a snapshot's hash"
        )
    else:
        _show_training(Warehouse.open(warehouse, create=False), a, b, limit, as_json)


def _side(warehouse: Path, name: str) -> Side:
    if (Path(name) / MARKER).is_file():
        return Warehouse.open(name, create=False)
    house = Warehouse.open(warehouse, create=False)
    match = _ROUND.fullmatch(name)
    if match is None:
        return find_snapshot(house, name)
    ref = RoundRef(match["run"], int(match["round"]))
    with house.connect() as connection:
        query = "SELECT round FROM training_labels WHERE run = ? GROUP BY ALL ORDER BY ALL"
        rounds = [number for (number,) in connection.execute(query, [ref.run]).fetchall()]
    if ref.round not in rounds:
        raise SettingError(
            f"{name}: no training rows; run {ref.run!r} has some in rounds {rounds or '(none)'}"
        )
    return ref


def _show_warehouses(a: Warehouse, b: Warehouse, limit: int, as_json: bool) -> None:
    counts = [own for own in count_differences(a, b) if own.rows_first or own.rows_second]
    unequal = [own.table for own in counts if own.only_first or own.only_second or own.differs]
    found: list[Difference] = []
    for table in unequal:
        found += diff_tables(a, b, tables=[table], limit=limit)
    if as_json:
        _print_json("warehouses", counts=counts, changes=found[:limit])
        return
    print_rows([{k: str(v) for k, v in own._asdict().items()} for own in counts])
    print_rows(
        [
            {"table": own.table, "where": f"{own.run}/{own.round}", "row": own.id,
             "kind": own.kind, "columns": ", ".join(own.columns) or "-",
             "values": _short(own.detail)}
            for own in found[:limit]
        ],
    )  # fmt: skip
    typer.echo(f"{len(unequal)} tables differ" if unequal else "the same rows in every table")


def _show_training(
    house: Warehouse, a: RoundRef | Snapshot, b: RoundRef | Snapshot, limit: int, as_json: bool
) -> None:
    counts, changes = diff_training(house, a, b, limit=limit)
    if as_json:
        _print_json("training rows", counts=counts, changes=changes)
        return
    print_rows([{k: str(v) for k, v in own._asdict().items()} for own in counts])
    rows: Rows = [
        {
            "change": own.change,
            "table": own.table,
            "prompt": own.prompt_id,
            "before": _short(" | ".join(own.labels_before)) or "-",
            "after": _short(" | ".join(own.labels_after)) or "-",
        }
        for own in changes
    ]
    print_rows(rows)
    differing = sum(own.prompts for own in counts if own.change != "same")
    if differing > len(changes):
        typer.echo(f"and {differing - len(changes)} more; --limit shows more, --json whole texts")
    typer.echo(f"{differing} prompts differ" if differing else "the same training rows")


def _print_json(kind: str, **parts: object) -> None:
    named = {
        name: [own._asdict() for own in rows] if isinstance(rows, list) else rows
        for name, rows in parts.items()
    }
    typer.echo(json.dumps({"kind": kind} | named, indent=2, ensure_ascii=False))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
