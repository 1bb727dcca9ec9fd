"""Options that several commands share, and the panels of the help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SETTINGS, PLACE = "Settings", "Where"
LOOPS, TABLES, SERVICE = "Loops and models", "Tables", "Overview"
WarehouseOption = Annotated[
    Path,
    typer.Option(
        "--warehouse", "-w", help="Folder with all tables and models.", rich_help_panel=PLACE
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="One setting, e.g. training.steps=200; repeatable, stronger than --config.",
        rich_help_panel=SETTINGS,
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        help="JSON file with any of the settings that `selfloom recipes --settings` prints.",
        rich_help_panel=SETTINGS,
    ),
]
