"""The command as a user types it: what is printed, and what is refused before anything starts."""

import contextlib
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest
from typer.main import get_command

from flows import launch, server
from flows.cli import app, main
from flows.plans import make_config
from flows.recipes import RECIPES, find_recipe
from flows.run_lock import hold_run
from storage import Warehouse
from tasks.seed_models import seed_model_path
from tests.tasks.conftest import finished_warehouse, warehouse_of_two_runs

__all__ = ["finished_warehouse", "warehouse_of_two_runs"]  # fixtures

COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
VERBS = [name for name, command in COMMANDS.items() if not hasattr(command, "commands")]


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


Selfloom = Callable[..., Ended]


@pytest.fixture
def selfloom(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Selfloom]:
    """Runs the command in an empty folder, where Prefect must not be started."""

    def refuse() -> str:
        pytest.fail("Prefect was started")

    for module in (launch, server):
        monkeypatch.setattr(module, "ensure_api", refuse)
    # A server that an earlier test of this process started is not one of the user's settings.
    for module in (launch, server):
        monkeypatch.setattr(module, "configured_api", lambda: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    before = dict(os.environ)

    def run(*arguments: str, stdin: str | None = None) -> Ended:
        monkeypatch.setattr(sys, "argv", ["selfloom", *arguments])
        monkeypatch.setattr(sys, "stdin", None if stdin is None else io.StringIO(stdin))
        status: object = 0
        try:
            main()
        except SystemExit as ending:
            status = ending.code or 0
        assert isinstance(status, int)
        return Ended(status, *capsys.readouterr())

    yield run
    for name in os.environ.keys() - before.keys():
        del os.environ[name]


def refused(ended: Ended, *words: str) -> None:
    """It is one message that names the thing, and no traceback."""
    assert ended.status == 1
    assert ended.err.startswith("selfloom: ")
    assert "Traceback" not in ended.err and "not foreseen" not in ended.err
    for word in words:
        assert word in ended.err


def test_the_help_lists_every_verb_and_fits_100_columns(selfloom: Selfloom) -> None:
    ended = selfloom("--help")
    assert ended.status == 0
    for verb in VERBS:
        assert re.search(rf"^│ {verb} ", ended.out, re.MULTILINE)
    expected = {"demo", "run", "bootstrap", "evaluate", "import-samples", "sql", "report"}
    expected |= {"diff", "export", "promote", "rollback", "compare", "gc", "verify"}
    expected |= {"schedule", "notify"}
    assert set(VERBS) == expected | {"ui"} and set(COMMANDS) == {*VERBS, "recipes", "sandbox"}
    assert max(map(len, ended.out.splitlines())) <= 100


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_has_an_example(verb: str, selfloom: Selfloom) -> None:
    ended = selfloom(verb, "--help")
    assert ended.status == 0
    assert re.search(rf"^ selfloom {verb}\b", ended.out, re.MULTILINE)


def test_recipes_show_paper_labels_and_switches_within_100_columns(selfloom: Selfloom) -> None:
    out = selfloom("recipes").out
    assert max(map(len, out.splitlines())) <= 100
    for recipe in RECIPES.values():
        line = next(line for line in out.splitlines() if line.startswith(f" {recipe.name} "))
        assert recipe.paper in line and recipe.labels in line
        assert recipe.config().start_from in line
        assert recipe.title in " ".join(out.split())
    assert "selfloom recipes show RECIPE" in out


def test_a_recipe_is_explained_within_100_columns(selfloom: Selfloom) -> None:
    out = selfloom("recipes", "show", "scpo").out
    assert max(map(len, out.splitlines())) <= 100
    assert "w(x) = (V(y+) - V(y-)) / k" in out and "arXiv 2411.04109" in out
    assert "sample (8 at T 0.7) -> vote -> select (vote_pairs)" in out
    assert "  min_share = 0.5\n      tau / k: smallest vote share of the chosen answer." in out
    assert "training.beta = 0.5" in out and "training.method" in out
    assert "gate." not in out  # as everywhere
    refused(selfloom("recipes", "show", "no_such"), "recipe 'no_such': there are")


def test_printed_settings_are_a_settings_file(selfloom: Selfloom, tmp_path: Path) -> None:
    (tmp_path / "scpo.json").write_text(selfloom("recipes", "--settings", "scpo").out)
    assert make_config("scpo", tmp_path / "scpo.json", []) == find_recipe("scpo").config()


RUNS_THAT_ARE_REFUSED: dict[str, tuple[list[str], str]] = {
    "recipe": (["rest_me"], "recipe 'rest_me': there are "),
    "environment": (["lmsi", "--environment", "gsm9k"], "environment 'gsm9k': there are"),
    "engine": (["lmsi", "--set", "engine.name=vllmm"], "engine 'vllmm': there are transformers"),
    "field": (["lmsi", "--set", "training.stpes=5"], "did you mean training.steps?"),
    "range": (["lmsi", "--set", "prompts.num=0"], "prompts.num: Input should be greater"),
    "type": (["lmsi", "--set", "seed=soon"], "seed: Input should be a valid integer"),
    "no value": (["lmsi", "--set", "seed"], "expected field=value"),
    "no field": (["lmsi", "--set", "=3"], "expected field=value"),
    "file": (["lmsi", "--config", "none.json"], "settings file none.json"),
    "seed model": (["lmsi", "--base-model", "seed:larger"], "seed model 'larger': there are"),
    "model": (["lmsi", "--base-model", "nowhere"], "model 'nowhere' is neither a folder nor"),
    "promoted": (["lmsi", "--base-model", "promoted:x"], "run 'x' has no promoted model"),
    "approval": (["lmsi", "--approval"], "approval: nobody could answer"),
    "run": (["lmsi", "--run", "a/b"], "run 'a/b': expected 1 to 100 letters"),
    "sandbox": (["lmsi", "--set", "sandbox.backend=jail"], "backend='jail'; expected one of"),
    "problems": (
        ["lmsi", "--environment", "copy", "--set", "evaluation.difficulties=[1]"],
        "evaluation.difficulties",
    ),
}


@pytest.mark.sandbox
@pytest.mark.parametrize("what", RUNS_THAT_ARE_REFUSED)
def test_a_run_is_refused_before_prefect_starts(what: str, selfloom: Selfloom) -> None:
    arguments, words = RUNS_THAT_ARE_REFUSED[what]
    refused(selfloom("run", *arguments), words)


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("missing", "words"), [("tokenizer*", "has no tokenizer"), ("*.safetensors", "no weights")]
)
def test_an_incomplete_model_folder_is_named(
    missing: str, words: str, selfloom: Selfloom, tmp_path: Path
) -> None:
    model = shutil.copytree(seed_model_path("programs"), tmp_path / "model")
    for file in model.glob(missing):
        file.unlink()
    refused(selfloom("run", "lmsi", "--base-model", "model"), str(model), words)
    refused(selfloom("evaluate", "model"), str(model), words)


def test_a_sandbox_that_cannot_start_is_named_with_the_fix(
    selfloom: Selfloom, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/gone.sock")
    for arguments in (["run", "rest_em"], ["evaluate", "seed:programs"], ["demo"]):
        refused(selfloom(*arguments), "no sandbox works", "bwrap is not installed", "install it")
    assert not (tmp_path / "warehouse" / "tables" / "samples" / "run=words-rest-em").exists()


@pytest.mark.sandbox
def test_a_run_that_another_process_works_on_is_refused(selfloom: Selfloom) -> None:
    with hold_run(Warehouse.open("warehouse"), "mine"):
        refused(selfloom("run", "lmsi", "--run", "mine"), "'mine'", "another process", "--run")


def test_a_full_disk_is_named_before_the_round(
    selfloom: Selfloom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.preflight.SPARE_MIB", 1e9)
    refused(selfloom("run", "length_generalization", "--base-model", "seed:copy"), "make room")


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "length_generalization", "--base-model", "seed:copy"],
        ["sql", "SELECT 1"],
        ["report"],
        ["import-samples", "samples.jsonl"],
    ],
    ids=lambda arguments: str(arguments[0]),
)
def test_a_warehouse_of_another_version_is_left_alone(
    arguments: list[str], selfloom: Selfloom, tmp_path: Path
) -> None:
    (tmp_path / "samples.jsonl").write_text('{"prompt": "1+1?", "completion": "A: 2"}\n')
    marker = Warehouse.open("warehouse").root / "selfloom.json"
    marker.write_text(re.sub(r'(version": )\d+', r"\g<1>99", marker.read_text()))
    refused(selfloom(*arguments), "schema version 99", "nothing was changed")


@pytest.mark.sandbox
def test_bad_rows_of_the_problems_are_named_before_the_run(
    selfloom: Selfloom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [json.dumps({"q": f"what is {i}+1?", "a": str(i + 1)}) for i in range(400)]
    (tmp_path / "problems.jsonl").write_text("\n".join(["{broken", *rows]))
    options = [f"environment.options.{x}" for x in ("path=problems.jsonl", "question=q")]
    sets = [*options, "environment.options.reference=a", "evaluation.num=10", "prompts.num=50"]
    arguments = [part for text in sets for part in ("--set", text)]
    with pytest.raises(pytest.fail.Exception, match="Prefect was started"):
        selfloom("run", "lmsi", "--environment", "jsonl", *arguments)
    notes = capsys.readouterr().out
    assert "note: 1 bad rows are kept out: row 1: not JSON" in notes
    assert "note: evaluation.num=10 is below gate.min_problems=50" in notes


def test_a_query_is_printed_in_every_format(
    selfloom: Selfloom, warehouse_of_two_runs: Warehouse
) -> None:
    query = "SELECT run, round, gate_verdict FROM rounds WHERE round = 1 ORDER BY run"
    rows = [
        {"run": "labels", "round": 1, "gate_verdict": "promoted"},
        {"run": "votes", "round": 1, "gate_verdict": "promoted"},
    ]
    lines = "run,round,gate_verdict\nlabels,1,promoted\nvotes,1,promoted\n"
    assert "│ labels  │     1 │ promoted     │" in selfloom("sql", query).out
    assert json.loads(selfloom("sql", query, "--format", "json").out) == rows
    assert selfloom("sql", "-", "--format", "csv", stdin=query).out == lines
    assert selfloom("sql", "--format", "csv", stdin=query).out == lines
    assert "READ_PARQUET" in selfloom("sql", "--explain", query).out
    assert selfloom("sql", query, "--output", "new/rows.csv").out == "2 rows: new/rows.csv\n"
    assert Path("new/rows.csv").read_text() == lines
    selfloom("sql", query, "--output", "rows.parquet")
    assert pq.read_table("rows.parquet").to_pylist() == rows


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT nothing FROM samples", "nothing"),
        ("DELETE FROM samples", "only read"),
        ("COPY samples TO 'stolen.csv'", "only read"),
        ("SELECT * FROM read_text('/etc/hostname')", "tables only"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("-", "one statement"),  # from a closed stdin
    ],
)
def test_a_query_that_fails_or_writes_is_refused(
    query: str, words: str, selfloom: Selfloom
) -> None:
    Warehouse.open("warehouse")
    refused(selfloom("sql", query), words)
    assert not Path("stolen.csv").exists()


def test_queries_need_a_warehouse_but_no_rows(selfloom: Selfloom) -> None:
    refused(selfloom("sql", "SELECT 1"), "no warehouse at")
    assert not Path("warehouse").exists()
    Warehouse.open("warehouse")
    count = selfloom("sql", "SELECT count(*) AS n FROM samples", "--format", "csv")
    assert count.out == "n\n0\n"
    assert "no rounds" in selfloom("report").out
    shutil.move("warehouse", "elsewhere")
    assert selfloom("sql", "-w", "elsewhere", "FROM pairs", "--format", "json").out == "[]\n"


def test_an_output_that_is_a_folder_is_refused(selfloom: Selfloom, tmp_path: Path) -> None:
    Warehouse.open("warehouse")
    refused(selfloom("sql", "SELECT 1", "--output", str(tmp_path)), "is a folder")


def test_a_report_is_written_and_its_rounds_printed(
    selfloom: Selfloom, warehouse_of_two_runs: Warehouse
) -> None:
    ended = selfloom("report", "--run", "votes", "--output", "votes.html")
    assert "votes (lmsi)" in ended.out and "labels (rest_em)" not in ended.out
    assert Path("votes.html").stat().st_size > 1000
    refused(selfloom("report", "--run", "none"), "run 'none' is not in the warehouse")


def test_the_real_samples_are_imported_with_the_files_own_verdicts(
    selfloom: Selfloom, shared_data: Path
) -> None:
    ended = selfloom("import-samples", str(shared_data / "gsm8k" / "model_solutions.jsonl"))
    assert "600 rows, 600 prompts, 2400 samples" in ended.out
    assert "verdicts agree with the file's own on 2400 of 2400" in ended.out
    files = re.findall(r'data_files="(.*?)"', ended.out)
    assert all("run=import-model_solutions" in pattern for pattern in files) and len(files) == 2
    for pattern in files:
        assert list(Path("/").glob(pattern.lstrip("/")))


def test_bad_lines_are_kept_out_and_named_by_number(selfloom: Selfloom, tmp_path: Path) -> None:
    good = json.dumps({"prompt": "1+1?", "completions": ["A: 2", "A: 2", "A: 3"], "answer": "2"})
    lines = [good, "{broken", "[1]", json.dumps({"prompt": 5, "completions": ["x"]})]
    (tmp_path / "half.jsonl").write_bytes("\n".join(lines).encode() + b"\n\xff\n")
    ended = selfloom("import-samples", "half.jsonl")
    assert ended.status == 0
    assert "4 bad rows were kept out:" in ended.out
    numbers = re.findall(r"^  row (\d+): ", ended.out, re.MULTILINE)
    assert numbers == ["2", "3", "4", "5"]
    assert "not UTF-8" in ended.out and "not JSON" in ended.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.jsonl"], "none.jsonl: no such file"),
        (["."], "no such file"),
        (["broken.jsonl"], "2 bad rows kept out: row 1: not JSON"),
        (["table.csv"], "can't tell which column is the prompt"),
        (["table.csv", "--prompt", "task", "--completion", "answer"], "no column 'answer'"),
        (["table.csv", "--prompt", "tusk", "--completion", "mine"], "no column 'tusk'"),
        (["table.txt"], "unknown kind of file"),
    ],
)
def test_an_import_that_cannot_work_is_refused(
    arguments: list[str], words: str, selfloom: Selfloom, tmp_path: Path
) -> None:
    (tmp_path / "broken.jsonl").write_text("{\n}}\n")
    (tmp_path / "table.csv").write_text("task,mine\n1+1?,A: 2\n")
    (tmp_path / "table.txt").write_text("task\n")
    refused(selfloom("import-samples", *arguments), words)


def test_a_seed_model_needs_a_known_name_and_a_free_folder(
    selfloom: Selfloom, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    refused(selfloom("bootstrap", "giant", "--output", "model"), "seed model 'giant': there are")
    refused(selfloom("bootstrap", "copy", "--output", "file"), "is a file")


def test_the_page_is_refused_a_port_that_is_taken(selfloom: Selfloom) -> None:
    import socket

    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        refused(selfloom("ui", "--port", port), f"127.0.0.1:{port}", "--port")
