"""Dataset folders: the same rows give the same files, and the card tells where they come from."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from storage import (
    TABLES,
    CardFields,
    ExportError,
    ExportSpec,
    SnapshotNotFoundError,
    StoreError,
    Warehouse,
    export_dataset,
    find_snapshot,
    push_to_hub,
    table_hash,
)
from storage.commit import publish_parquet

MakeRow = Callable[..., dict[str, Any]]
CARD = CardFields("Sums", "mit", ("en",))


@pytest.fixture
def filled(warehouse: Warehouse, make_row: MakeRow) -> Warehouse:
    """Returns a warehouse with two rounds of ten pairs, and with their model."""
    for number in (1, 2):
        pairs = [make_row("pairs", f"{number}-{i}", prompt_id=f"q{i}") for i in range(10)]
        warehouse.write("pairs", pairs[::-1], run="r", round=number, part="p")
        sample = {"prompt_id": "q", "policy_id": "m|0", "purpose": "train", "num_tokens": 7}
        sampling = {"temperature": 0.5, "row": number}
        rows = [make_row("samples", f"s{number}", sampling=sampling, **sample)]
        warehouse.write("samples", rows, run="r", round=number, part="p")
        config = {"path": "/home/me/data.jsonl", "seed": 3}
        row = make_row("rounds", f"round-{number}", recipe="scpo", recipe_hash="h", config=config)
        warehouse.write("rounds", [row], run="r", round=number, part="p")
    publish_parquet(
        warehouse.root,
        warehouse.root / "snapshots" / "abcdef0123.parquet",
        warehouse.read("pairs", round=2),
    )
    models = [
        make_row("models", "m|0", path="models/m0", status="base"),
        make_row("models", "m1", snapshot_hash="abcdef0123", status="candidate"),
    ]
    warehouse.write("models", models, run="r", round=2, part="p")
    (warehouse.root / "models" / "m0").mkdir(parents=True)
    card = "---\nlicense: apache-2.0\n---\nA model.\n"
    (warehouse.root / "models" / "m0" / "README.md").write_text(card)
    return warehouse


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_rows_give_the_same_files(filled: Warehouse, tmp_path: Path) -> None:
    first = export_dataset(filled, tmp_path / "a", ExportSpec(run="r"), CARD)
    rows = filled.read("pairs", round=1)
    filled.write("pairs", rows.slice(3), run="r", round=1, part="p")
    filled.write("pairs", rows.slice(0, 3), run="r", round=1, part="another")
    export_dataset(filled, tmp_path / "b", ExportSpec(run="r"), CARD)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert [name for name in files(tmp_path / "a") if name.endswith(".parquet")] == [
        "pairs/train-00000-of-00001.parquet"
    ]
    (config,) = first.configs
    assert config.rows == {"train": 20}
    assert config.content_hash == table_hash(filled, "pairs", run="r")
    table = pq.read_table(tmp_path / "a" / "pairs" / "train-00000-of-00001.parquet")
    assert table.schema.equals(TABLES["pairs"])


def test_large_exports_are_many_files(
    warehouse: Warehouse, make_row: MakeRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.export._BYTES_PER_GROUP", 1)
    monkeypatch.setattr("storage.export._BYTES_PER_FILE", 1)
    rows = [make_row("examples", f"e{i:05d}") for i in range(5000)]
    warehouse.write("examples", rows, run="r", round=1, part="p")
    export_dataset(warehouse, tmp_path / "out", ExportSpec(), CARD)
    paths = sorted((tmp_path / "out" / "examples").iterdir())
    assert len(paths) > 1
    assert paths[-1].name == f"train-{len(paths) - 1:05d}-of-{len(paths):05d}.parquet"
    found = [id for path in paths for id in pq.read_table(path)["id"].to_pylist()]
    assert found == [row["id"] for row in rows]


def test_prompts_do_not_cross_the_splits(filled: Warehouse, tmp_path: Path) -> None:
    spec = ExportSpec(tables=("pairs", "samples", "labels"), test_share=0.5)
    report = export_dataset(filled, tmp_path / "out", spec, CARD)
    assert [config.table for config in report.configs] == ["pairs", "samples"], "labels has no rows"
    folder = tmp_path / "out" / "pairs"
    parts = {
        split: {row["prompt_id"] for row in pq.read_table(file).to_pylist()}
        for split in ("train", "test")
        for file in folder.glob(f"{split}-*.parquet")
    }
    assert parts["train"] | parts["test"] == {f"q{i}" for i in range(10)}
    assert not parts["train"] & parts["test"]


def test_the_card_names_models_licences_settings_and_recipe(
    filled: Warehouse, tmp_path: Path
) -> None:
    from huggingface_hub import DatasetCard

    export_dataset(filled, tmp_path / "out", ExportSpec(), CARD)
    card = DatasetCard.load(tmp_path / "out" / "README.md")
    assert (card.data.license, card.data.language) == ("mit", ["en"])
    assert card.data.size_categories == ["n<1K"]
    assert {"synthetic", "trl", "scpo"} <= set(card.data.tags)
    assert "| m\\|0 |" in card.text and "| apache-2.0 |" in card.text
    assert card.text.count('"seed": 3') == 1, "the same settings once"
    assert "data.jsonl" in card.text and "/home/me" not in card.text
    details = json.loads((tmp_path / "out" / "selfloom.json").read_text())
    (drawn,) = details["generation"]
    assert (drawn["samples"], drawn["tokens"]) == (2, 14)
    assert json.loads(drawn["sampling"]) == {"temperature": 0.5}, "the row in a file is left out"
    assert details["rounds"][0]["config"] == {"path": "data.jsonl", "seed": 3}


def test_what_a_model_saw_is_exported_in_its_order(filled: Warehouse, tmp_path: Path) -> None:
    report = export_dataset(filled, tmp_path / "out", ExportSpec(model="m1"), CARD)
    (config,) = report.configs
    assert (config.table, config.content_hash) == ("pairs", "abcdef0123")
    table = pq.read_table(tmp_path / "out" / "pairs" / "train-00000-of-00001.parquet")
    assert table["id"].to_pylist() == [f"2-{i}" for i in range(9, -1, -1)]
    details = json.loads((tmp_path / "out" / "selfloom.json").read_text())
    assert [row["round"] for row in details["rounds"]] == [2]


def test_snapshots_are_found_by_model_and_by_hash(filled: Warehouse) -> None:
    assert find_snapshot(filled, "m1") == find_snapshot(filled, "abcdef")
    for name, problem in [
        ("m|0", "was trained on nothing"),
        ("abc", "is neither a model nor the start"),
        ("000000", "is neither a model nor the start"),
    ]:
        with pytest.raises(SnapshotNotFoundError, match=problem):
            find_snapshot(filled, name)
    (filled.root / "snapshots" / "abcdef9999.parquet").touch()
    with pytest.raises(SnapshotNotFoundError, match="is ambiguous"):
        find_snapshot(filled, "abcdef")
    (filled.root / "snapshots" / "abcdef0123.parquet").unlink()
    with pytest.raises(SnapshotNotFoundError, match="is missing"):
        find_snapshot(filled, "m1")


def test_a_failed_export_leaves_nothing(filled: Warehouse, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    with pytest.raises(ExportError, match="no rows in labels"):
        export_dataset(filled, tmp_path / "out", ExportSpec(tables=["labels"]), CARD)
    assert set(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_snapshots_and_exports_need_nothing_of_the_machine_that_made_them(
    filled: Warehouse, object_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{object_store}/{tmp_path.name}"
    there = Warehouse.open(f"{url}/w")
    for table in ("pairs", "samples", "rounds", "models"):
        for part in filled.parts(table):
            rows = filled.read(table, run=part.run, round=part.round, part=part.name)
            there.write(table, rows, run=part.run, round=part.round, part=part.name)
    for folder in ("snapshots", "models"):
        shutil.copytree(filled.root / folder, there.root / folder, dirs_exist_ok=True)
        there.keep(there.root / folder)
    monkeypatch.setenv("SELFLOOM_CACHE", str(tmp_path / "elsewhere"))
    there = Warehouse.open(f"{url}/w", create=False)
    assert not (there.root / "models").exists() and not (there.root / "snapshots").exists()
    for name, spec in {"rows": ExportSpec(run="r"), "seen": ExportSpec(model="m1")}.items():
        export_dataset(filled, tmp_path / name, spec, CARD)
        report = export_dataset(there, f"{url}/{name}", spec, CARD)
        assert str(report.folder) == f"{url}/{name}"
        here = tmp_path / f"{name}-again"
        assert not isinstance(report.folder, Path)
        report.folder.fs.get(report.folder.path, str(here), recursive=True)
        assert files(here) == files(tmp_path / name)
    assert b"| apache-2.0 |" in files(tmp_path / "rows")["README.md"]
    # Reading a model's licence has not left half a model behind.
    assert not there.model_path("m0").exists()
    assert find_snapshot(there, "abcdef").path.is_relative_to(there.root)
    with pytest.raises(SnapshotNotFoundError, match=r"s3://.*/snapshots has abcdef0123"):
        find_snapshot(there, "000000")
    with pytest.raises(ExportError, match="is not free"):
        export_dataset(there, f"{url}/rows", ExportSpec(), CARD)
    with pytest.raises(StoreError, match=r"s3://nobucket/x can't be used .*bucket does not exist"):
        export_dataset(there, "s3://nobucket/x", ExportSpec(run="r"), CARD)
    with pytest.raises(ExportError, match="is not on this machine"):
        push_to_hub(report.folder, "me/it")
