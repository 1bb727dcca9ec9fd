import math
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer

from tasks.training.weighted_dpo import (
    PairCollator,
    WeightedDPOTrainer,
    reference_logps,
)

PAIR: dict[str, Any] = {
    "prompt": [{"role": "user", "content": "12+3="}],
    "chosen": [{"role": "assistant", "content": "15"}],
    "rejected": [{"role": "assistant", "content": "I think 16"}],
}
OTHER: dict[str, Any] = PAIR | {"chosen": [{"role": "assistant", "content": "it is 15, sure"}]}


def encode(tokenizer: Any, rows: list[dict[str, Any]]) -> Dataset:
    """Rows as TRL itself would encode them."""
    encoded = []
    for row in rows:
        prompt = tokenizer.apply_chat_template(
            row["prompt"], add_generation_prompt=True, return_dict=False
        )
        whole = [
            tokenizer.apply_chat_template(row["prompt"] + row[name], return_dict=False)
            for name in ("chosen", "rejected")
        ]
        encoded.append(
            {
                "prompt_ids": prompt,
                "chosen_ids": whole[0][len(prompt) :],
                "rejected_ids": whole[1][len(prompt) :],
            }
        )
    return Dataset.from_list(encoded)


def build(folder: Any, reference: Any, tmp_path: Any, **columns: list[float]) -> WeightedDPOTrainer:
    """Our trainer on the two pairs."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    dataset, collator = encode(tokenizer, [PAIR, OTHER]), PairCollator(pad_token_id=0)
    model = AutoModelForCausalLM.from_pretrained(reference)
    for name, sums in zip(
        ("ref_chosen_logps", "ref_rejected_logps"),
        reference_logps(model, dataset, collator, batch_size=2),
        strict=True,
    ):
        dataset = dataset.add_column(name, sums)
    for name, values in columns.items():
        dataset = dataset.add_column(name, values)
    return WeightedDPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder),
        args=make_arguments(tmp_path, precompute_ref_log_probs=True),
        train_dataset=dataset,
        data_collator=collator,
        processing_class=tokenizer,
    )


def make_arguments(tmp_path: Any, **fields: Any) -> DPOConfig:
    return DPOConfig(
        output_dir=str(tmp_path),
        beta=0.4,
        bf16=False,
        use_cpu=True,
        report_to="none",
        remove_unused_columns=False,
        gradient_checkpointing=False,
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


@pytest.mark.parametrize("loss_type", ["sigmoid", "ipo", "hinge"])
def test_plain_pairs_have_the_loss_and_gradient_of_the_stock_trainer(
    tiny_llama, reference, tmp_path, loss_type
):
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    stock: Any = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_llama),
        ref_model=AutoModelForCausalLM.from_pretrained(reference),
        args=make_arguments(tmp_path, loss_type=[loss_type]),
        train_dataset=Dataset.from_list([PAIR, OTHER]),
        processing_class=tokenizer,
    )
    ours: Any = build(tiny_llama, reference, tmp_path)
    ours.pair_loss = loss_type
    at_start = {"sigmoid": math.log(2), "ipo": 1 / (2 * 0.4) ** 2, "hinge": 1.0}[loss_type]
    losses, gradients = [], []
    for trainer in (stock, ours):
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(2)])
        loss = trainer.compute_loss(trainer.model, batch)
        loss.backward()
        losses.append(loss.item())
        gradients.append([p.grad.clone() for p in trainer.model.parameters()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert abs(losses[0] - at_start) > 0.01
    for expected, found in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def test_weights_labels_and_likelihood_of_a_batch(tiny_llama, reference, tmp_path):
    weight, soft_label = [0.25, 2.0], [0.9, 0.3]
    trainer: Any = build(tiny_llama, reference, tmp_path, weight=weight, soft_label=soft_label)
    trainer.nll_weight = 1.5
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(2)])
    loss = trainer.compute_loss(trainer.model, batch)
    models = [AutoModelForCausalLM.from_pretrained(path) for path in (tiny_llama, reference)]
    expected = []
    for i, row in enumerate(encode(AutoTokenizer.from_pretrained(tiny_llama), [PAIR, OTHER])):
        sums = {}
        for model in models:
            for name in ("chosen_ids", "rejected_ids"):
                with torch.no_grad():
                    ids = torch.tensor([row["prompt_ids"] + row[name]])
                    logits = model.double()(ids).logits[0, len(row["prompt_ids"]) - 1 : -1]
                picked = logits.log_softmax(-1).gather(1, torch.tensor(row[name])[:, None])
                sums[name, model is models[0]] = picked.sum().item()
        margin = 0.4 * (
            (sums["chosen_ids", True] - sums["chosen_ids", False])
            - (sums["rejected_ids", True] - sums["rejected_ids", False])
        )
        preference = soft_label[i] * math.log1p(math.exp(-margin))
        preference += (1 - soft_label[i]) * math.log1p(math.exp(margin))
        likelihood = -sums["chosen_ids", True] / len(row["chosen_ids"])
        expected.append(weight[i] * (preference + 1.5 * likelihood))
    assert loss.item() == pytest.approx(sum(expected) / 2, rel=1e-4)


def test_win_rates_reach_the_loss(tiny_llama, reference, tmp_path):
    rates = {"chosen_win_rate": [0.8, 0.9], "rejected_win_rate": [0.3, 0.1]}
    trainer: Any = build(tiny_llama, reference, tmp_path, **rates)
    trainer.pair_loss, rows = "sppo", list(trainer.train_dataset)
    batch = trainer.data_collator(rows)
    loss = trainer.compute_loss(trainer.model, batch)
    sums = reference_logps(trainer.model, trainer.train_dataset, trainer.data_collator, 2)
    expected = 0.0
    for i, row in enumerate(rows):
        for own, side in zip(sums, ("chosen", "rejected"), strict=True):
            target = (row[f"{side}_win_rate"] - 0.5) / 0.4
            expected += (own[i] - row[f"ref_{side}_logps"] - target) ** 2 / 2
    assert loss.item() == pytest.approx(expected / 2, rel=1e-4)
