"""The interactive shell of `selfloom sql`: DuckDB's own where it is installed, else a small one."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import typer

from flows.errors import SettingError
from flows.show import print_query
from storage import QueryError, Warehouse
from storage.catalog import CATALOG, quoted
from storage.sql.query import FORMATS, Format

PROMPT, MORE = "selfloom> ", "     ...> "
HELP = """\
A query ends with ;  Ctrl-C drops it, Ctrl-D leaves.
.tables          tables, views and macros, with what they hold
.docs TABLE      columns of a table or view, with what they hold
.format FORMAT   how rows are shown: table, csv or json
.help, .quit"""
_TABLES = """
SELECT view_name AS name, comment FROM duckdb_views() WHERE NOT internal
UNION ALL
SELECT function_name || '(' || array_to_string(parameters, ', ') || ')', comment
FROM duckdb_functions() WHERE function_type = 'table_macro' AND NOT internal
ORDER BY contains(name, '('), name
"""
_HISTORY_LINES = 1000


def open_shell(warehouse: Path, format: Format | None) -> None:
    """Ask one query after the other, until the end of the input.

    Args:
        warehouse: Folder of the warehouse.
        format: How rows are shown at first; None: as a table.

    Raises:
        WarehouseNotFoundError: There is no warehouse.
        SettingError: The format is not one for a terminal.
    """
    if format not in (None, "table", "csv", "json"):
        raise SettingError(f"format {format!r} is not text; give a query and --output FILE")
    house = Warehouse.open(warehouse, create=False)
    duckdb = shutil.which("duckdb")
    if duckdb is not None:
        look = [f"-{format}"] if format in ("csv", "json") else []
        typer.echo(f"{duckdb} -readonly {house.root / CATALOG}", err=True)
        subprocess.run([duckdb, "-readonly", *look, str(house.root / CATALOG)], check=False)
        return
    typer.echo(f"{house.uri}; .help lists commands, .tables the tables")
    with _history():
        _Shell(house, format or "table").run()


class _Shell:
    """Reads lines and runs what they make; an error ends the query, not the shell."""

    def __init__(self, house: Warehouse, format: Format) -> None:
        self.house = house
        self.format: Format = format

    def run(self) -> None:
        lines: list[str] = []
        while True:
            try:
                line = input(MORE if lines else PROMPT)
                if not lines and line.startswith("."):
                    if line.strip() in (".quit", ".exit"):
                        return
                    self.command(*line.split())
                    continue
                lines += [line] if lines or line.strip() else []
                if line.rstrip().endswith(";"):
                    query, lines = "\n".join(lines), []
                    self.ask(query)
            except EOFError:
                typer.echo()
                return
            except KeyboardInterrupt:
                typer.echo()
                lines = []

    def ask(self, query: str, format: Format | None = None) -> None:
        try:
            print_query(self.house, query, format or self.format)
        except QueryError as error:
            typer.secho(str(error), fg="red", err=True)

    def command(self, name: str, *words: str) -> None:
        if name == ".tables":
            self.ask(_TABLES, "table")
        elif name == ".docs" and len(words) == 1:
            self.ask(
                "SELECT column_name, data_type, comment FROM duckdb_columns() "
                f"WHERE NOT internal AND table_name = {quoted(words[0])} ORDER BY column_index",
                "table",
            )
        elif name == ".format" and words and words[0] in ("table", "csv", "json"):
            self.format = next(own for own in FORMATS if own == words[0])
        else:
            typer.echo(HELP)


@contextlib.contextmanager
def _history() -> Iterator[None]:
    """Line editing with a history that the next session still has, where Python has readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    file = state / "selfloom" / "sql_history"
    with contextlib.suppress(OSError):
        readline.read_history_file(file)
    try:
        yield
    finally:
        readline.set_history_length(_HISTORY_LINES)
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(file)
