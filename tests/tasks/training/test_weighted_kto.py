"""KTO: TRL's trainer on the same rows, the paper's formula, and a weight per row."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import KTOConfig, KTOTrainer

from tasks.engines.chat_format import encode_rows
from tasks.training.weighted_kto import (
    LabelCollator,
    WeightedKTOTrainer,
    with_mismatched,
    with_reference,
)

ROWS: list[dict[str, Any]] = [
    {
        "prompt": [{"role": "user", "content": prompt}],
        "completion": [{"role": "assistant", "content": completion}],
        "label": label,
    }
    for prompt, completion, label in (
        ("12+3=", "15", True),
        ("1+1=", "I think 3", False),
        ("2*4=", "it is 8, sure", True),
        ("9-9=", "1", False),
        ("5-1=", "4", True),
    )
]


def make_arguments(tmp_path: Path, **fields: Any) -> KTOConfig:
    return KTOConfig(
        output_dir=str(tmp_path),
        beta=0.4,
        bf16=False,
        use_cpu=True,
        report_to="none",
        remove_unused_columns=False,
        gradient_checkpointing=False,
        per_device_train_batch_size=3,
        **fields,
    )


@pytest.fixture
def reference(tiny_llama, tmp_path):
    """A model that differs from the start."""
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path / "reference")
    return tmp_path / "reference"


def build(folder: Path, reference: Path, tmp_path: Path, weight: list[float] | None = None) -> Any:
    """Our trainer on the rows."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = encode_rows(
        tokenizer, [row["prompt"] for row in ROWS], [row["completion"] for row in ROWS]
    )
    rows: list[dict[str, Any]] = [
        {"prompt_ids": own.prompt, "completion_ids": own.completion, "label": row["label"]}
        for own, row in zip(encoded, ROWS, strict=True)
    ]
    for row, value in zip(rows, weight or [1.0] * len(rows), strict=True):
        row["weight"] = value
    collator = LabelCollator(pad_token_id=0)
    model = AutoModelForCausalLM.from_pretrained(reference)
    rows = with_reference(model, with_mismatched(rows, 3), collator, 3)
    return WeightedKTOTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder),
        args=make_arguments(tmp_path, precompute_ref_log_probs=True),
        train_dataset=Dataset.from_list(rows),
        data_collator=collator,
        processing_class=tokenizer,
    )


def batches(trainer: Any) -> list[dict[str, torch.Tensor]]:
    return [dict(batch) for batch in trainer.get_train_dataloader()]


def test_rows_loss_and_gradient_are_those_of_the_stock_trainer(tiny_llama, reference, tmp_path):
    stock: Any = KTOTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_llama),
        ref_model=AutoModelForCausalLM.from_pretrained(reference),
        args=make_arguments(tmp_path),
        train_dataset=Dataset.from_list(ROWS),
        processing_class=AutoTokenizer.from_pretrained(tiny_llama),
    )
    ours = build(tiny_llama, reference, tmp_path)
    for name in ("prompt_ids", "completion_ids", "KL_completion_ids", "label"):
        assert list(stock.train_dataset[name]) == list(ours.train_dataset[name])
    for expected, found in zip(batches(stock), batches(ours), strict=True):
        losses, gradients = [], []
        for trainer, batch in ((stock, expected), (ours, found)):
            trainer.model.zero_grad()
            loss = trainer.compute_loss(trainer.model, batch)
            loss.backward()
            losses.append(loss.item())
            gradients.append([p.grad.clone() for p in trainer.model.parameters()])
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        assert abs(losses[0] - 0.5) > 1e-3  # what a policy that has not moved would have
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-6)


def logratio(models: list[Any], prompt: list[int], completion: list[int]) -> float:
    """Log-probability of a completion under the first model, less that under the second."""
    sums = []
    for model in models:
        with torch.no_grad():
            logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
        picked = logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])
        sums.append(picked.sum().item())
    return float(sums[0] - sums[1])


def test_the_loss_is_the_papers_with_a_weight_per_row(tiny_llama, reference, tmp_path):
    weight = [0.5, 2.0, 0.0, 1.0, 0.25]
    trainer = build(tiny_llama, reference, tmp_path, weight)
    trainer.good_weight, trainer.bad_weight = 1.5, 0.75
    models = [AutoModelForCausalLM.from_pretrained(p).double() for p in (tiny_llama, reference)]
    rows, start = list(trainer.train_dataset), 0
    for batch in batches(trainer):
        own = rows[start : start + len(batch["label"])]
        kl = [logratio(models, row["prompt_ids"], row["KL_completion_ids"]) for row in own]
        baseline, losses = max(0.0, sum(kl) / len(kl)), []
        for row, factor in zip(own, weight[start:], strict=False):
            moved = logratio(models, row["prompt_ids"], row["completion_ids"]) - baseline
            sign, side = (1, 1.5) if row["label"] else (-1, 0.75)
            value = 1 - 1 / (1 + 2.718281828459045 ** (-sign * 0.4 * moved))
            losses.append(side * factor * value)
        found = trainer.compute_loss(trainer.model, batch).item()
        assert found == pytest.approx(sum(losses) / len(losses), rel=1e-4)
        start += len(own)
    assert start == len(ROWS)
