import io
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tasks.engines import weight_hash
from tasks.errors import DataFormatError, ModelFolderError, TrainingError
from tasks.training import TrainingSpec, train_model
from tasks.training.run import build_trainer
from tasks.training.train import _make_job
from tasks.training.worker import run_job


def make_spec(**fields: Any) -> TrainingSpec:
    values = {"steps": 6, "batch_size": 8, "learning_rate": 5e-3, "num_threads": 1, **fields}
    return TrainingSpec.model_validate(values)


def train_here(
    spec: TrainingSpec, file: Path, start: Path, reference: Path | None, output: Path
) -> dict[str, Any]:
    """Train in this process, without the start of another; the last report."""
    reports = io.BytesIO()
    run_job(_make_job(spec, [file], start, reference, output), reports)
    last: dict[str, Any] = json.loads(reports.getvalue().splitlines()[-1])
    return last


def read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    model = AutoModelForCausalLM.from_pretrained(folder)
    return dict(model.state_dict())


def test_a_model_is_trained_described_and_found_again(tiny_llama, write_rows, tmp_path):
    file, output = write_rows("sft"), tmp_path / "model"
    reports: list[dict[str, float]] = []
    spec = make_spec(steps=20)
    model = train_model(spec, [file], tiny_llama, None, output, reports.append)
    assert model.path == str(output)
    assert model.weight_hash == weight_hash(output) != weight_hash(tiny_llama)
    assert [report["step"] for report in reports] == list(range(1, 21))
    assert reports[-1]["loss"] < 0.8 * reports[0]["loss"]
    assert model.metrics["steps"] == 20
    card = json.loads((output / "selfloom.json").read_text())
    assert card["weight_hash"] == model.weight_hash
    assert card["parent_weight_hash"] == weight_hash(tiny_llama)
    assert TrainingSpec.model_validate(card["spec"]) == spec
    assert {path.name for path in tmp_path.iterdir()} == {"model", "rows.parquet"}
    for name in ("config.json", "chat_template.jinja"):
        assert (output / name).read_text() == (tiny_llama / name).read_text()
    assert AutoTokenizer.from_pretrained(output)("12").input_ids
    assert train_model(spec, [file], tiny_llama, None, output, reports.append) == model
    assert len(reports) == 20
    with pytest.raises(TrainingError, match="is not the model of this run"):
        train_model(make_spec(seed=1), [file], tiny_llama, None, output)


def children_of(pid: int, command: bytes) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in children if command in Path(f"/proc/{one}/cmdline").read_bytes()]


# The checkpoints of the two are written and read by the same code; dpo has more to put in them.
@pytest.mark.parametrize("method", [pytest.param("sft", marks=pytest.mark.slow), "dpo"])
def test_a_killed_run_goes_on_and_ends_with_the_same_weights(
    tiny_llama, write_rows, tmp_path, method
):
    # 24 rows in batches of 8: the kill falls into the fourth pass over the rows.
    spec = make_spec(method=method, steps=14, checkpoint_every_steps=4)
    file = write_rows(method)
    whole = train_here(spec, file, tiny_llama, None, tmp_path / "whole")

    def kill_at_step_10(report: dict[str, float]) -> None:
        if report["step"] == 10:
            (server,) = children_of(os.getpid(), b"tasks.fork_server")
            (worker,) = children_of(server, b"tasks.training.worker")
            os.kill(worker, signal.SIGKILL)

    output, steps = tmp_path / "killed", []
    with pytest.raises(TrainingError, match="exit code -9"):
        train_model(spec, [file], tiny_llama, None, output, kill_at_step_10)
    assert not output.exists()
    # A kill in the middle of a checkpoint leaves a part of it.
    unfinished = tmp_path / ".killed.training" / "checkpoints" / "checkpoint-12"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    model = train_model(spec, [file], tiny_llama, None, output, lambda r: steps.append(r["step"]))
    assert steps[0] == 9
    assert model.weight_hash == whole["weight_hash"]


def test_dpo_raises_the_chosen_over_the_rejected(tiny_smollm3, tiny_llama, write_rows, tmp_path):
    spec = make_spec(method="dpo", steps=15, nll_weight=1.0, learning_rate=3e-3)
    done = train_here(spec, write_rows("dpo"), tiny_smollm3, None, tmp_path / "model")
    metrics = done["metrics"]
    assert metrics["rewards_margins_first"] == pytest.approx(0, abs=1e-4)
    assert metrics["rewards_margins_last"] > 0.1
    assert metrics["logps_chosen_last"] > metrics["logps_chosen_first"]
    assert "logps_rejected_last" in metrics
    other = train_here(spec, write_rows("dpo"), tiny_smollm3, tiny_llama, tmp_path / "other")
    assert abs(other["metrics"]["rewards_margins_first"]) > 0.1
    assert other["weight_hash"] != done["weight_hash"]


def test_kto_parts_good_from_bad_rows(tiny_smollm3, tiny_llama, write_rows, tmp_path):
    spec = make_spec(method="kto", steps=20, learning_rate=3e-3, optimizer="rmsprop")
    done = train_here(spec, write_rows("kto"), tiny_smollm3, None, tmp_path / "model")
    metrics = done["metrics"]
    assert metrics["rewards_chosen_first"] == pytest.approx(0, abs=1e-4)
    assert metrics["rewards_chosen_last"] > metrics["rewards_rejected_last"] + 0.1
    other = train_here(spec, write_rows("kto"), tiny_smollm3, tiny_llama, tmp_path / "other")
    assert abs(other["metrics"]["rewards_chosen_first"]) > 0.1
    assert other["weight_hash"] != done["weight_hash"]


def test_sppo_moves_both_log_ratios_to_their_targets(tiny_llama, write_rows, tmp_path):
    rates = {"chosen_win_rate": [0.7] * 24, "rejected_win_rate": [0.2] * 24}
    fields = {"method": "dpo", "dpo_loss": "sppo", "beta": 0.2, "learning_rate": 3e-3, "steps": 30}
    file, spec = write_rows("dpo", **rates), make_spec(**fields)
    metrics = train_here(spec, file, tiny_llama, None, tmp_path / "model")["metrics"]
    # At the start both log-ratios are 0, and the targets are 1 and -1.5.
    assert metrics["loss_first"] == pytest.approx((1.0**2 + 1.5**2) / 2, rel=1e-3)
    assert metrics["loss_last"] < 0.5 * metrics["loss_first"]
    with pytest.raises(DataFormatError, match="row 0: chosen_win_rate is null"):
        train_model(spec, [write_rows("dpo")], tiny_llama, None, tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_each_optimizer_takes_its_own_steps(tiny_llama, write_rows, tmp_path):
    hashes = set()
    for name in ("adamw", "rmsprop", "adafactor"):
        spec = make_spec(optimizer=name, learning_rate=1e-3)
        done = train_here(spec, write_rows("sft"), tiny_llama, None, tmp_path / name)
        assert done["metrics"]["loss_last"] < done["metrics"]["loss_first"]
        hashes.add(done["weight_hash"])
    assert len(hashes) == 3


@pytest.mark.parametrize("method", ["sft", "dpo", "kto"])
def test_a_skipped_row_does_not_shift_the_others(tiny_llama, write_rows, tmp_path, method):
    def messages(text: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": text}]

    # Row 7 has no room for a completion; what belongs to the rows behind it stays with them.
    prompts = [messages("x" * 60 if i == 7 else f"{i}?") for i in range(24)]
    shares = [i / 24 for i in range(24)]
    columns: dict[str, list[float]] = {"weight": [i / 2 for i in range(24)]}
    if method == "dpo":
        names = ("soft_label", "chosen_win_rate", "rejected_win_rate")
        columns |= dict.fromkeys(names, shares)
    file = write_rows(method, prompt=prompts, **columns)
    spec = make_spec(method=method, max_length=40, checkpoint_every_steps=0)
    job = _make_job(spec, [file], tiny_llama, None, tmp_path / "model")
    trainer: Any = build_trainer(job, lambda report: None)
    kept = [i for i in range(24) if i != 7]
    for name, values in columns.items():
        assert list(trainer.train_dataset[name]) == [values[i] for i in kept]
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    ids = trainer.train_dataset["input_ids" if method == "sft" else "prompt_ids"]
    texts = tokenizer.batch_decode(list(ids))
    assert all(f"{i}?" in text for i, text in zip(kept, texts, strict=True))
    if method == "kto":
        assert list(trainer.train_dataset["label"]) == [i % 3 > 0 for i in kept]


@pytest.mark.parametrize("method", ["sft", "dpo", "kto"])
def test_adapters_are_merged_and_kept(tiny_llama, write_rows, tmp_path, method):
    spec = make_spec(method=method, lora_r=4, lora_alpha=16, learning_rate=2e-2)
    done = train_here(spec, write_rows(method), tiny_llama, None, tmp_path / "model")
    before, after = read_tensors(tiny_llama), read_tensors(tmp_path / "model")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.endswith("_proj.weight")}
    assert done["weight_hash"] == weight_hash(tmp_path / "model")
    assert (tmp_path / "model" / "adapter" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "sft", "loss_reduction": "token"},
        {"method": "sft", "loss_reduction": "sequence"},
        {"method": "dpo", "nll_weight": 0.5},
    ],
)
def test_a_batch_in_parts_is_the_same_batch(tiny_llama, write_rows, tmp_path, fields):
    weights = [0.5 + (i % 3) for i in range(24)]
    file = write_rows(fields["method"], weight=weights)
    for parts in (1, 4):
        spec = make_spec(steps=3, gradient_accumulation=parts, learning_rate=1e-3, **fields)
        train_here(spec, file, tiny_llama, None, tmp_path / str(parts))
    start, whole, split = (
        torch.cat([value.flatten() for value in read_tensors(folder).values()])
        for folder in (tiny_llama, tmp_path / "1", tmp_path / "4")
    )
    # Adam turns rounding of tiny gradients into steps, so single weights may differ.
    assert (whole - split).norm() < 0.02 * (whole - start).norm()


def test_what_can_be_refused_is_refused_before_work_begins(tiny_llama, write_rows, tmp_path):
    output = tmp_path / "model"
    with pytest.raises(ModelFolderError):
        train_model(make_spec(), [write_rows("sft")], tmp_path / "nowhere", None, output)
    with pytest.raises(DataFormatError, match="no column 'chosen'"):
        train_model(make_spec(method="dpo"), [write_rows("sft")], tiny_llama, None, output)
    assert not list(tmp_path.glob(".*.training"))


def test_rows_without_room_for_a_completion_are_an_error(tiny_llama, write_rows, tmp_path):
    prompts = [[{"role": "user", "content": "x" * 20}]] * 24
    file = write_rows("sft", prompt=prompts)
    with pytest.raises(DataFormatError, match="raise max_length"):
        train_here(make_spec(max_length=8), file, tiny_llama, None, tmp_path / "model")
