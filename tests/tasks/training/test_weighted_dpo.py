import math
from typing import Any

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer

from tasks.training.weighted_dpo import (
    PairCollator,
    WeightedDPOTrainer,
    reference_logps,
    weighted_dpo_loss,
)

LOGPS = st.floats(-60, 0)
PAIR: dict[str, Any] = {
    "prompt": [{"role": "user", "content": "12+3="}],
    "chosen": [{"role": "assistant", "content": "15"}],
    "rejected": [{"role": "assistant", "content": "I think 16"}],
}
OTHER: dict[str, Any] = PAIR | {"chosen": [{"role": "assistant", "content": "it is 15, sure"}]}


def loss_of(numbers: list[float], length: int, weight: float, label: float) -> float:
    """The loss of one pair at beta 0.3 and alpha 0.7, in double precision."""
    a, b, c, d, e, f, g = (
        torch.tensor([x], dtype=torch.float64) for x in (*numbers, length, weight, label)
    )
    return weighted_dpo_loss(a, b, c, d, e, f, g, beta=0.3, nll_weight=0.7).item()


@given(
    numbers=st.lists(LOGPS, min_size=4, max_size=4),
    length=st.integers(1, 50),
    weight=st.floats(0, 3),
    label=st.floats(0, 1),
)
def test_the_loss_is_the_published_formula(numbers, length, weight, label):
    chosen, rejected, ref_chosen, ref_rejected = numbers
    margin = 0.3 * ((chosen - ref_chosen) - (rejected - ref_rejected))
    right, wrong = math.log1p(math.exp(-margin)), math.log1p(math.exp(margin))
    expected = weight * (label * right + (1 - label) * wrong - 0.7 * chosen / length)
    assert loss_of(numbers, length, weight, label) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(numbers=st.lists(LOGPS, min_size=4, max_size=4))
def test_a_soft_label_of_zero_is_the_flipped_pair(numbers):
    chosen, rejected, ref_chosen, ref_rejected = (torch.tensor([x]) for x in numbers)
    one, zero = torch.ones(1), torch.zeros(1)
    flipped = weighted_dpo_loss(
        rejected, chosen, ref_rejected, ref_chosen, one, one, one, beta=0.3, nll_weight=0
    )
    soft = weighted_dpo_loss(
        chosen, rejected, ref_chosen, ref_rejected, one, one, zero, beta=0.3, nll_weight=0
    )
    assert torch.equal(flipped, soft)


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


def test_plain_pairs_have_the_loss_and_gradient_of_the_stock_trainer(
    tiny_llama, reference, tmp_path
):
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    stock: Any = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_llama),
        ref_model=AutoModelForCausalLM.from_pretrained(reference),
        args=make_arguments(tmp_path),
        train_dataset=Dataset.from_list([PAIR, OTHER]),
        processing_class=tokenizer,
    )
    ours: Any = build(tiny_llama, reference, tmp_path)
    losses, gradients = [], []
    for trainer in (stock, ours):
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(2)])
        loss = trainer.compute_loss(trainer.model, batch)
        loss.backward()
        losses.append(loss.item())
        gradients.append([p.grad.clone() for p in trainer.model.parameters()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert abs(losses[0] - math.log(2)) > 0.01
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
