"""The shell of `selfloom sql`: lines as a user types them, and DuckDB's own where there is one."""

import builtins
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.cli import main
from storage import Warehouse
from tests.tasks.conftest import finished_warehouse

__all__ = ["finished_warehouse"]  # a fixture

Type = Callable[..., str]


class Terminal(io.StringIO):
    """A standard input at which somebody sits."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def command(
    finished_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> list[str]:
    """Makes `selfloom sql` find a terminal, and no programs; more arguments may be added."""
    arguments = ["selfloom", "sql", "-w", str(finished_warehouse.root)]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return arguments


@pytest.fixture
def type_in(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Type:
    """Types lines into the shell and returns what it prints; None is Ctrl-C."""

    def run(*lines: str | None) -> str:
        given: Iterator[str | None] = iter(lines)

        def read(prompt: str = "") -> str:
            print(prompt, end="")
            try:
                line = next(given)
            except StopIteration:
                raise EOFError from None
            if line is None:
                raise KeyboardInterrupt
            return line

        monkeypatch.setattr(builtins, "input", read)
        try:
            main()
        except SystemExit as ending:
            assert not ending.code
        out, err = capsys.readouterr()
        return out + err

    return run


def test_queries_end_with_a_semicolon(type_in: Type) -> None:
    out = type_in("", ".format csv", "SELECT round,", "  run FROM rounds", "WHERE round > 2;")
    assert out.endswith("round,run\n3,labels\nselfloom> \n")


def test_an_error_ends_the_query_and_not_the_shell(type_in: Type) -> None:
    out = type_in("SELEC 1;", ".format json", "SELECT 7 AS n;")
    assert "syntax error" in out and '[{"n": 7}]' in out


def test_an_interrupt_drops_what_was_typed(type_in: Type) -> None:
    out = type_in(".format csv", "SELECT nothing", None, "SELECT 8 AS n;")
    assert "n\n8\n" in out and "nothing" not in out.replace("SELECT nothing", "")


def test_commands_show_tables_macros_and_columns(type_in: Type) -> None:
    out = type_in(".tables", ".docs votes", ".help", ".nonsense", ".quit", "SELECT 'too late';")
    assert "One candidate answer of one prompt" in out
    assert "round_diff(of_run, round_a, round_b)" in out
    assert "Canonical answer." in out
    assert out.count(".format FORMAT") == 2
    assert "too late" not in out


def test_the_next_session_has_the_history(type_in: Type, tmp_path: Path) -> None:
    readline = pytest.importorskip("readline")
    readline.clear_history()
    readline.add_history("SELECT 1;")
    type_in(".quit")
    assert (tmp_path / "state" / "selfloom" / "sql_history").read_text() == "SELECT 1;\n"
    readline.clear_history()
    type_in(".quit")
    assert readline.get_history_item(1) == "SELECT 1;"
    readline.clear_history()


def test_the_shell_of_duckdb_is_taken_where_it_is_installed(
    command: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "duckdb"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    command += ["--format", "csv"]
    with pytest.raises(SystemExit) as ending:
        main()
    assert not ending.value.code
    database = Path(command[3]) / "selfloom.duckdb"
    assert capfd.readouterr().out == f"-readonly -csv {database}\n"


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--explain"], "need a query"),
        (["--output", "x.csv"], "need a query"),
        (["--format", "parquet"], "is not text"),
    ],
)
def test_what_needs_a_query_says_so(
    option: list[str], words: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command += option
    with pytest.raises(SystemExit) as ending:
        main()
    assert ending.value.code == 1
    assert words in capsys.readouterr().err
