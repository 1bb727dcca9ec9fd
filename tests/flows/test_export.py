"""selfloom export: from the command to a dataset that trainers take as it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from storage import Warehouse
from tasks.import_samples import import_samples
from tests.flows.test_cli import Selfloom, refused, selfloom

__all__ = ["selfloom"]  # a fixture


@pytest.fixture
def imported(tmp_path: Path) -> Warehouse:
    """Six prompts with three answers each, two of them right, as examples and pairs."""
    lines = [
        {
            "prompt": f"{i}+1?",
            "responses": [f"A: {i + 1}", f"so\nA: {i + 1}", "A: 99"],
            "gold": i + 1,
        }
        for i in range(6)
    ]
    lines = [line | {"gold": str(line["gold"])} for line in lines]
    file = tmp_path / "sums.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    warehouse = Warehouse.open(tmp_path / "warehouse")
    import_samples(warehouse, file, run="sums")
    return warehouse


def load(folder: Path, cache: Path, *names: str) -> Any:
    datasets = pytest.importorskip("datasets")
    return datasets.load_dataset(str(folder), *names, cache_dir=str(cache))


def test_an_export_is_loaded_by_config_and_split(
    selfloom: Selfloom, imported: Warehouse, tmp_path: Path
) -> None:
    ended = selfloom(
        "export", "out", "--run", "sums", "--test-share", "0.4", "--license", "apache-2.0",
        "--language", "en",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    assert f'datasets.load_dataset("{tmp_path}/out", "pairs")' in ended.out
    examples = load(tmp_path / "out", tmp_path / "cache")
    assert set(examples) == {"train", "test"}, "the first table is the default"
    prompts = {split: {row["prompt_id"] for row in rows} for split, rows in examples.items()}
    assert prompts["train"] and prompts["test"] and prompts["train"].isdisjoint(prompts["test"])
    pairs = load(tmp_path / "out", tmp_path / "cache", "pairs")
    both = [row for rows in pairs.values() for row in rows]
    assert sorted(both, key=lambda row: row["id"]) == sorted(
        imported.read("pairs").to_pylist(), key=lambda row: str(row["id"])
    )


@pytest.mark.slow
def test_trl_trains_on_an_export_without_a_column_change(
    selfloom: Selfloom, imported: Warehouse, tiny_llama: Path, tmp_path: Path
) -> None:
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    assert selfloom("export", "out").status == 0
    settings: dict[str, Any] = {
        "output_dir": str(tmp_path / "trained"), "max_steps": 2, "per_device_train_batch_size": 2,
        "bf16": False, "use_cpu": True, "max_length": 128, "gradient_checkpointing": False,
        "save_strategy": "no",
    }  # fmt: skip
    cache = tmp_path / "cache"
    sft = SFTTrainer(
        model=str(tiny_llama),
        args=SFTConfig(**settings),
        train_dataset=load(tmp_path / "out", cache, "examples")["train"],
    )
    dpo = DPOTrainer(
        model=str(tiny_llama),
        args=DPOConfig(**settings),
        train_dataset=load(tmp_path / "out", cache, "pairs")["train"],
    )
    assert sft.train().global_step == 2
    assert dpo.train().global_step == 2


def test_what_cannot_be_exported_is_said(
    selfloom: Selfloom, imported: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    refused(selfloom("export", "full"), "full is not free")
    refused(selfloom("export", "out", "--run", "none"), "no rows in examples, pairs, labels")
    refused(selfloom("export", "out", "--table", "pears"), "table 'pears': expected one of")
    refused(selfloom("export", "out", "--model", "none"), "snapshot 'none' is neither")
    refused(selfloom("export", "out", "--test-share", "1"), "test_share=1.0; expected a share")
    refused(selfloom("export", "out", "--push", "me/mine"), "no token for the Hugging Face hub")
    refused(selfloom("export", "out", "-w", "nowhere"), "no warehouse at")
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.glob(".*.tmp")] == []
