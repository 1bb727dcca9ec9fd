"""The file that makes a folder a warehouse, and says with which schemas it was written."""

from __future__ import annotations

import json

from storage.commit import STAGING_FOLDER
from storage.errors import NotAWarehouseError, SchemaVersionError
from storage.places import AnyPath
from storage.schemas import SCHEMA_VERSION

MARKER = "selfloom.json"
"""File that makes a folder a warehouse."""

_FORMAT = "selfloom-warehouse"


def marker_text() -> str:
    """Returns the content of the marker of a new warehouse."""
    return json.dumps({"format": _FORMAT, "schema_version": SCHEMA_VERSION}, indent=2) + "\n"


def check_empty(root: AnyPath) -> None:
    """Refuses a folder that holds other things, in which no warehouse can be made.

    Args:
        root: The folder, which may be missing.

    Raises:
        NotAWarehouseError: If it holds other things.
    """
    if root.exists() and not root.is_dir():
        raise NotAWarehouseError(f"{root} is a file; expected a folder or a path that is free")
    if not root.is_dir():
        return
    # A crash before the marker was committed leaves the staging folder; mounts have lost+found.
    own = {STAGING_FOLDER, "lost+found"}
    others = sorted(
        entry.name
        for entry in root.iterdir()
        if entry.name not in own and not entry.name.startswith(".")
    )
    if others:
        raise NotAWarehouseError(
            f"{root} has no {MARKER} but holds {', '.join(others[:3])}"
            f"{', …' if len(others) > 3 else ''}; expected a warehouse or an empty folder, give "
            "another path"
        )


def check_marker(marker: AnyPath) -> None:
    """Refuses a warehouse that this version cannot read.

    Args:
        marker: Path of its marker.

    Raises:
        NotAWarehouseError: If the marker is damaged or of something else.
        SchemaVersionError: If it was written with another version of the schemas.
    """
    try:
        content = json.loads(marker.read_text(encoding="utf-8"))
        kind, version = content["format"], content["schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise NotAWarehouseError(
            f"{marker} cannot be read ({error!r}); expected "
            f'{{"format": "{_FORMAT}", "schema_version": {SCHEMA_VERSION}}}'
        ) from error
    if kind != _FORMAT:
        raise NotAWarehouseError(f"{marker} says format {kind!r}; expected {_FORMAT!r}")
    if version != SCHEMA_VERSION:
        age = "newer" if isinstance(version, int) and version > SCHEMA_VERSION else "other"
        raise SchemaVersionError(
            f"the warehouse {marker.parent} has schema version {version!r}; this selfloom reads "
            f"version {SCHEMA_VERSION}. Use the {age} selfloom that wrote it or another warehouse "
            "folder, or bring the rows over: they are Parquet files, and docs/schema.md says what "
            "differs between versions; nothing was changed"
        )
