"""Rows that break naive code come back as they were, by every way out, or are refused by name."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import CardFields, ExportSpec, RowError, Warehouse, export_dataset, run_sql

MakeRow = Callable[..., dict[str, Any]]

TEXTS = {
    "huge": "ab\n" * 1_750_000,  # 5 MB
    "nul": "before\0after",
    "empty": "",
    "controls": "\x1b[2J\r\x07\x7f\u202e",
    "quotes": "\"',;\\ \n```|<script>{{ 7 * 7 }}",
    "astral": "🂡 \U0010ffff e\u0301",
    "like json": '{"a": [1, null]}',
    "like a number": "1e999",
    "blank": " \t ",
}


@pytest.fixture(scope="module")
def hostile(
    tmp_path_factory: pytest.TempPathFactory, make_hostile: Callable[..., dict[str, Any]]
) -> Warehouse:
    """Returns a warehouse in which samples, answers, prompts and examples have such texts."""
    warehouse = Warehouse.open(tmp_path_factory.mktemp("hostile") / "warehouse")
    tables: dict[str, list[dict[str, Any]]] = {}
    for name, text in TEXTS.items():
        messages = [{"role": "user", "content": text}]
        prompt = {"prompt_id": f"q-{name}"}
        tables.setdefault("prompts", []).append(
            make_hostile("prompts", f"q-{name}", messages=messages, reference=text)
        )
        tables.setdefault("samples", []).append(
            make_hostile("samples", f"s-{name}", text=text, purpose="train", **prompt)
        )
        for check, value in (("answer", {"label": text}), ("reference", {"value": 0.0})):
            tables.setdefault("scores", []).append(
                make_hostile(
                    "scores", f"{check}-{name}", sample_id=f"s-{name}", check=check, **value
                )
            )
        tables.setdefault("executions", []).append(
            make_hostile("executions", f"x-{name}", sample_id=f"s-{name}", stdout=text)
        )
        tables.setdefault("votes", []).append(
            make_hostile("votes", f"v-{name}", answer=text, rank=1, **prompt)
        )
        completion = [{"role": "assistant", "content": text}]
        sources = {"sample_ids": [f"s-{name}"], "vote_ids": [f"v-{name}"]}
        tables.setdefault("examples", []).append(
            make_hostile(
                "examples", f"e-{name}", prompt=messages, completion=completion, **prompt, **sources
            )
        )
    tables["prompts"].append(make_hostile("prompts", "q-never", reference=None))
    tables["samples"].append(
        make_hostile(
            "samples", "s-outage", prompt_id="q-gone", text="", purpose="train", status="error",
            error="the engine died", mean_logprob=None,
        )
    )  # fmt: skip
    for table, rows in tables.items():
        warehouse.write(table, rows, run="r", round=1, part="p")
    return warehouse


@pytest.fixture(scope="module")
def make_hostile() -> MakeRow:
    """Returns make_row, for fixtures of the module."""
    from tests.storage.conftest import valid_row

    return valid_row


def test_they_are_read_as_they_were_written(hostile: Warehouse) -> None:
    rows = {row["id"]: row for row in hostile.read("samples").to_pylist()}
    assert {name: rows[f"s-{name}"]["text"] for name in TEXTS} == TEXTS
    assert (rows["s-outage"]["text"], rows["s-outage"]["mean_logprob"]) == ("", None)
    with hostile.connect() as connection:
        found = connection.execute("SELECT id, text FROM samples WHERE status = 'ok'").fetchall()
    assert {id.removeprefix("s-"): text for id, text in found} == TEXTS


def test_a_lone_surrogate_is_refused_with_its_row(warehouse: Warehouse, make_row: MakeRow) -> None:
    rows = [make_row("samples", "good"), make_row("samples", "bad", text="half \ud800")]
    with pytest.raises(RowError, match=r"row 1, field 'text'.*surrogates not allowed"):
        warehouse.write("samples", rows, run="r", round=1, part="p")
    assert warehouse.read("samples").num_rows == 0


@pytest.mark.parametrize("name", TEXTS)
def test_every_view_and_macro_takes_them(name: str, hostile: Warehouse) -> None:
    with hostile.connect() as connection:

        def ask(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(query).fetchall()

        prompt = f"WHERE prompt_id = 'q-{name}'"
        text = TEXTS[name]
        assert ask(f"SELECT answer, is_right FROM answers {prompt}") == [(text, False)]
        assert ask(f"SELECT problem, voted FROM disagreements {prompt}") == [(text, text)]
        assert ask(f"SELECT problem, pass_rate FROM worst_prompts {prompt}") == [(text, 0.0)]
        assert ask(f"SELECT label, text FROM training_labels {prompt}") == [(text, text)]
        query = f"SELECT labels_before FROM round_diff('r', 1, 2) {prompt}"
        assert ask(query) == [([text],)]
        query = f"SELECT text FROM lineage('e-{name}') WHERE id = 's-{name}'"
        assert ask(query) == [(text,)]
        query = f"SELECT text FROM learned_from('s-{name}') WHERE id = 'e-{name}'"
        assert ask(query) == [(text,)]
        for view in ("flaky", "row_counts", "rounds_overview"):
            ask(f"FROM {view}")


def test_prompts_without_samples_and_samples_without_answers(hostile: Warehouse) -> None:
    with hostile.connect() as connection:
        query = "SELECT samples, answered, pass_rate FROM worst_prompts WHERE prompt_id = 'q-never'"
        assert connection.execute(query).fetchall() == [(0, 0, None)]
        query = "SELECT count(*) FROM answers WHERE sample_id = 's-outage'"
        assert connection.execute(query).fetchall() == [(0,)], "nothing votes that has no answer"


def test_csv_and_json_give_them_back(hostile: Warehouse, tmp_path: Path) -> None:
    query = "SELECT id, text, error FROM samples ORDER BY id"
    expected = {f"s-{name}": text for name, text in TEXTS.items()} | {"s-outage": ""}
    run_sql(hostile, query, "json", tmp_path / "out.json")
    rows = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert {row["id"]: row["text"] for row in rows} == expected
    run_sql(hostile, query, "csv", tmp_path / "out.csv")
    limit = csv.field_size_limit(sys.maxsize)
    try:
        with open(tmp_path / "out.csv", encoding="utf-8", newline="") as file:
            read = {row["id"]: row["text"] for row in csv.DictReader(file)}
    finally:
        csv.field_size_limit(limit)
    assert read == expected
    assert len((run_sql(hostile, query, "table").text or "").encode()) < 20_000, "cut, not refused"


def test_files_of_columns_give_them_back(hostile: Warehouse, tmp_path: Path) -> None:
    query = "SELECT text, error FROM samples WHERE status = 'ok' ORDER BY id"
    expected = [text for _, text in sorted((f"s-{name}", text) for name, text in TEXTS.items())]
    run_sql(hostile, query, "parquet", tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet")["text"].to_pylist() == expected
    run_sql(hostile, query, "arrow", tmp_path / "out.arrow")
    with pa.ipc.open_file(tmp_path / "out.arrow") as file:
        table = file.read_all()
    assert table["text"].to_pylist() == expected
    assert table["error"].null_count == len(TEXTS)


def test_an_export_gives_them_back(hostile: Warehouse, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    spec = ExportSpec(tables=("examples", "prompts"))
    export_dataset(hostile, tmp_path / "out", spec, CardFields("x\n---\n# y | <b>"))
    cache = str(tmp_path / "cache")
    loaded = datasets.load_dataset(str(tmp_path / "out"), "examples", cache_dir=cache)["train"]
    found = {row["id"].removeprefix("e-"): row["completion"][0]["content"] for row in loaded}
    assert found == TEXTS
    prompts = datasets.load_dataset(str(tmp_path / "out"), "prompts", cache_dir=cache)
    (split,) = prompts.values()
    assert [row["reference"] for row in split if row["id"] == "q-never"] == [None]


def test_a_plain_client_reads_them(hostile: Warehouse) -> None:
    with duckdb.connect(str(hostile.root / "selfloom.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT text FROM samples WHERE id = 's-nul'").fetchall()
    assert rows == [("before\0after",)]
