"""What takes room in a warehouse and nothing refers to: found first, deleted on request.

Rows of tables are never touched, and neither is what a row names (model folders, training rows that
a model saw) or what an unfinished round goes on from (shards, journals, checkpoints).
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from storage.commit import staging
from storage.places import AnyPath
from storage.shards import PENDING_FOLDER
from storage.warehouse import Warehouse

Kind = Literal["model", "training rows", "shard", "scratch files"]
_TRAINED = re.compile(r"\.?(?P<run>.+)-r(?P<round>\d+)(\.training)?")


class Garbage(NamedTuple):
    """Something that nothing refers to."""

    kind: Kind
    path: AnyPath
    num_bytes: int
    reason: str


class _Known(NamedTuple):
    """What the tables say: rows that name files, and rounds that are done."""

    model_paths: set[str]
    snapshots: set[str]
    done: set[tuple[str, int]]
    runs: set[str]


def find_garbage(warehouse: Warehouse, min_age_s: float) -> list[Garbage]:
    """Returns what can be deleted, by kind and path; deletes nothing.

    Args:
        warehouse: The warehouse.
        min_age_s: Leave alone what changed within so many seconds: another machine may be about to
            write the row that names it.
    """
    known = _known(warehouse)
    found = [
        *_models(warehouse, known),
        *_snapshots(warehouse, known),
        *_shards(warehouse, known),
        *_scratch(warehouse, known),
    ]
    newest = time.time() - min_age_s
    return [
        Garbage(kind, path, sum(size for size, _ in files), reason)
        for kind, path, reason in found
        if (files := list(_files(path))) and max(changed for _, changed in files) <= newest
    ]


def delete_garbage(warehouse: Warehouse, garbage: Iterable[Garbage]) -> None:
    """Deletes what `find_garbage` found; each folder disappears in one step.

    Args:
        warehouse: The warehouse; no process may be working on a run of it.
        garbage: What to delete.
    """
    for number, one in enumerate(garbage):
        if isinstance(one.path, Path):
            with staging(warehouse.root) as folder:
                os.replace(one.path, folder / str(number))
            _remove_empty(one.path.parent, warehouse.root)
        else:
            assert not isinstance(warehouse.place, Path)
            one.path.fs.rm(one.path.path, recursive=True)
            local = warehouse.root / one.path.relative_to(warehouse.place).as_posix()
            shutil.rmtree(local, ignore_errors=True)


def _known(warehouse: Warehouse) -> _Known:
    with warehouse.connect() as con:
        models = con.execute("SELECT DISTINCT path, snapshot_hash FROM models").fetchall()
        done = con.execute("SELECT DISTINCT run, round FROM rounds").fetchall()
        runs = con.execute("SELECT DISTINCT run FROM prompts").fetchall()
    return _Known(
        {str(path) for path, _ in models},
        {str(snapshot) for _, snapshot in models},
        {(str(run), int(number)) for run, number in done},
        {str(run) for (run,) in runs},
    )


_Found = tuple[Kind, AnyPath, str]


def _models(warehouse: Warehouse, known: _Known) -> Iterator[_Found]:
    for path in _entries(warehouse.place / "models"):
        if f"models/{path.name}" in known.model_paths:
            continue
        match = _TRAINED.fullmatch(path.name)
        if match is None or match["run"] not in known.runs:
            yield "model", path, "no row of models names it"
        elif (match["run"], int(match["round"])) in known.done:
            yield "model", path, "its round is done, and no row of models names it"


def _snapshots(warehouse: Warehouse, known: _Known) -> Iterator[_Found]:
    for path in _entries(warehouse.place / "snapshots"):
        if path.stem not in known.snapshots:
            yield "training rows", path, "no model in models was trained on them"


def _shards(warehouse: Warehouse, known: _Known) -> Iterator[_Found]:
    # Journals are always on the local disk.
    for root in dict.fromkeys([warehouse.place, warehouse.root]):
        for path in _matches(root / PENDING_FOLDER, "*/run=*/round=*"):
            run = path.parent.name.removeprefix("run=")
            if (run, int(path.name.removeprefix("round="))) in known.done:
                yield "shard", path, "its round is done"


def _scratch(warehouse: Warehouse, known: _Known) -> Iterator[_Found]:
    for run in _entries(warehouse.root / "scratch"):
        for path in _entries(run):
            if path.name.isdecimal() and (run.name, int(path.name)) in known.done:
                yield "scratch files", path, "its round is done"


def _entries(folder: AnyPath) -> list[AnyPath]:
    return _matches(folder, "*")


def _matches(folder: AnyPath, pattern: str) -> list[AnyPath]:
    found: list[AnyPath] = list(folder.glob(pattern)) if folder.is_dir() else []
    return sorted(found, key=str)


def _files(path: AnyPath) -> Iterator[tuple[int, float]]:
    """Yields size and time of the last change of every file."""
    for own in [path] if path.is_file() else _matches(path, "**/*"):
        if own.is_file():
            stat = own.stat()
            yield stat.st_size, stat.st_mtime


def _remove_empty(folder: Path, root: Path) -> None:
    """Removes folders that became empty, up to the one that belongs to the layout."""
    while len(folder.relative_to(root).parts) > 1:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
