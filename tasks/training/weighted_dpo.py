"""DPO with a weight, soft label and win rates per pair and a length-normalized likelihood term.

TRL's own DPO has none of them: its label smoothing is one number for all pairs, its `sppo_hard`
knows no probabilities, and its `sft` term is a mean over the tokens of a batch, in which long
completions count more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel
from trl import DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from tasks.training.pair_losses import PairNumbers, pair_losses
from tasks.training.spec import DpoLoss
from tasks.training.trainer_base import PreparedRowsTrainer, completion_logps

# With the value that stands for a missing one.
PAIR_COLUMNS = {
    "weight": 1.0,
    "soft_label": 1.0,
    "chosen_win_rate": math.nan,
    "rejected_win_rate": math.nan,
}


@dataclass
class PairCollator(DataCollatorForPreference):
    """TRL's batches of pairs, with the columns of `PAIR_COLUMNS`."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """The batch as tensors; sequences (2 * pairs, tokens), chosen first; numbers (pairs,)."""
        batch: dict[str, Any] = super().torch_call(examples)
        for name, default in PAIR_COLUMNS.items():
            values = [row.get(name) for row in examples]
            batch[name] = torch.tensor([default if v is None else float(v) for v in values])
        return batch


class WeightedDPOTrainer(PreparedRowsTrainer, DPOTrainer):
    """TRL's `DPOTrainer` with `pair_losses`.

    Rows carry prompt_ids, chosen_ids, rejected_ids, ref_chosen_logps, ref_rejected_logps (from
    `reference_logps`) and the columns of `PAIR_COLUMNS`, so no reference model is held while
    training.
    """

    pair_loss: DpoLoss = "sigmoid"
    nll_weight: float = 0.0

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        return dataset

    def _compute_loss(
        self, model: PreTrainedModel, inputs: dict[str, Any], return_outputs: bool
    ) -> torch.Tensor:
        if return_outputs:
            raise NotImplementedError("evaluation with logits; use an engine to evaluate a model")
        mask = inputs["completion_mask"][:, 1:]
        outputs = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            labels=inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100),
            use_cache=False,
            fused_lm_head=True,
        )
        chosen, rejected = outputs.log_probs[:, -mask.shape[1] :].sum(dim=1).chunk(2)
        lengths = mask.sum(dim=1).chunk(2)
        pairs = PairNumbers(
            chosen,
            rejected,
            inputs["ref_chosen_logps"],
            inputs["ref_rejected_logps"],
            *lengths,
            **{name: inputs[name] for name in PAIR_COLUMNS},
        )
        losses = pair_losses(pairs, self.pair_loss, self.beta, self.nll_weight)
        self._record(pairs)
        return losses.mean()

    def _record(self, pairs: PairNumbers) -> None:
        """Log both log-probabilities, not only the margin: DPO may lower both."""
        chosen_rewards = self.beta * pairs.chosen_logratios.detach()
        rejected_rewards = self.beta * pairs.rejected_logratios.detach()
        chosen = pairs.chosen_logps.detach()
        values = {
            "logps/chosen": chosen,
            "logps/rejected": pairs.rejected_logps.detach(),
            "rewards/chosen": chosen_rewards,
            "rewards/rejected": rejected_rewards,
            "rewards/margins": chosen_rewards - rejected_rewards,
            "rewards/accuracies": (chosen_rewards > rejected_rewards).float(),
            "nll/chosen": -chosen / pairs.chosen_lengths.clamp(min=1),
            "nll/rejected": -pairs.rejected_logps.detach() / pairs.rejected_lengths.clamp(min=1),
        }
        for name, value in values.items():
            self._log_mean(name, value)


@torch.no_grad()
def reference_logps(
    model: PreTrainedModel, dataset: Dataset, collator: PairCollator, batch_size: int
) -> tuple[list[float], list[float]]:
    """Log-probabilities of every pair under the reference model.

    Args:
        model: The reference model.
        dataset: Encoded pairs.
        collator: Makes the batches, with the truncation of training.
        batch_size: Pairs computed together.

    Returns:
        Sums of token log-probabilities of the chosen and of the rejected completions, one value
        per row each.
    """
    model.eval()
    rows = dataset.to_list()
    # Similar lengths share a batch, so that little is spent on padding.
    order = sorted(range(len(rows)), key=lambda i: _width(rows[i]))
    found: list[tuple[float, float]] = [(0.0, 0.0)] * len(rows)
    for start in range(0, len(order), batch_size):
        part = order[start : start + batch_size]
        batch = collator([rows[i] for i in part])
        chosen, rejected = completion_logps(model, batch).chunk(2)
        for position, pair in zip(
            part, zip(chosen.tolist(), rejected.tolist(), strict=True), strict=True
        ):
            found[position] = pair
    return [pair[0] for pair in found], [pair[1] for pair in found]


def _width(row: dict[str, Any]) -> int:
    """Tokens of the longer sequence of a pair."""
    return len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))
