from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

from tasks.engines.chat_format import encode_rows
from tasks.training.weighted_sft import ExampleCollator, WeightedSFTTrainer

ROWS: list[dict[str, Any]] = [
    {
        "prompt": [{"role": "user", "content": text}],
        "completion": [{"role": "assistant", "content": "=" * k}],
    }
    for k, text in enumerate(("1+1", "a longer question?", "no"), start=2)
]


def make_arguments(tmp_path: Path) -> SFTConfig:
    return SFTConfig(
        output_dir=str(tmp_path),
        bf16=False,
        use_cpu=True,
        report_to="none",
        gradient_checkpointing=False,
        remove_unused_columns=False,
        max_length=None,
    )


@pytest.fixture
def trainer(tiny_llama, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    rows = encode_rows(
        tokenizer, [row["prompt"] for row in ROWS], [row["completion"] for row in ROWS]
    )
    examples = [
        {
            "input_ids": row.prompt + row.completion,
            "labels": [-100] * len(row.prompt) + row.completion,
        }
        for row in rows
    ]
    return WeightedSFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_llama),
        args=make_arguments(tmp_path),
        train_dataset=Dataset.from_list(examples),
        data_collator=ExampleCollator(pad_token_id=0),
        processing_class=tokenizer,
    )


def make_batch(trainer: Any, **columns: list[float]) -> Any:
    rows = [dict(trainer.train_dataset[i]) for i in range(len(ROWS))]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return trainer.data_collator(rows)


def token_losses(folder: Path, trainer: Any) -> list[list[float]]:
    """The negative log-likelihoods of each row's completion tokens, in double precision."""
    model, losses = AutoModelForCausalLM.from_pretrained(folder).double(), []
    for row in trainer.train_dataset:
        kept = [i for i, label in enumerate(row["labels"]) if label != -100]
        with torch.no_grad():
            logits = model(torch.tensor([row["input_ids"]])).logits[0].log_softmax(-1)
        losses.append([-logits[i - 1, row["input_ids"][i]].item() for i in kept])
    return losses


def test_rows_and_loss_are_those_of_the_stock_trainer(trainer, tiny_llama, tmp_path):
    stock: Any = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_llama),
        args=make_arguments(tmp_path),
        train_dataset=Dataset.from_list(ROWS),
        processing_class=AutoTokenizer.from_pretrained(tiny_llama),
    )
    for name in ("input_ids", "labels"):
        assert list(stock.train_dataset[name]) == list(trainer.train_dataset[name])
    batch = stock.data_collator([stock.train_dataset[i] for i in range(len(ROWS))])
    expected = stock.compute_loss(stock.model, dict(batch))
    found = trainer.compute_loss(trainer.model, make_batch(trainer))
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_weights_multiply_the_loss_of_their_row(trainer, tiny_llama):
    weight, losses = [0.0, 2.0, 0.5], token_losses(tiny_llama, trainer)
    num_tokens = sum(len(row) for row in losses)
    batch = make_batch(trainer, weight=weight)
    expected = sum(w * sum(row) for w, row in zip(weight, losses, strict=True)) / num_tokens
    assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(expected, rel=1e-4)
    trainer.loss_reduction = "sequence"
    expected = sum(w * sum(row) / len(row) for w, row in zip(weight, losses, strict=True)) / 3
    assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(expected, rel=1e-4)
