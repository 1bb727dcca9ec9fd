"""KTO on completions that are labeled good or bad, with a weight per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel
from trl import KTOTrainer
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

from tasks.training.trainer_base import PreparedRowsTrainer, completion_logps


@dataclass
class LabelCollator(DataCollatorForUnpairedPreference):
    """TRL's batches of labeled completions, with the column `weight` (1 where missing)."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """The batch as tensors; sequences (rows, tokens), label and weight (rows,)."""
        batch: dict[str, Any] = super().torch_call(examples)
        batch["weight"] = torch.tensor([float(row.get("weight", 1.0)) for row in examples])
        return batch


class WeightedKTOTrainer(PreparedRowsTrainer, KTOTrainer):
    """TRL's `KTOTrainer` and loss, times a weight per row.

    Rows carry prompt_ids, completion_ids, KL_completion_ids (from `with_mismatched`), label,
    weight, ref_logps and ref_KL_logps (from `with_reference`), so no reference model is held while
    training. They are visited in their order, as TRL's estimate of the KL term needs it.
    """

    good_weight: float = 1.0
    bad_weight: float = 1.0

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        return dataset

    def _compute_loss(
        self, model: PreTrainedModel, inputs: dict[str, Any], return_outputs: bool
    ) -> torch.Tensor:
        if return_outputs:
            raise NotImplementedError("evaluation with logits; use an engine to evaluate a model")
        weight, label = inputs["weight"], inputs["label"].bool()
        rest = {name: value for name, value in inputs.items() if name != "weight"}
        # TRL multiplies the losses of the good and of the bad rows, in the batch's order, by these
        # two numbers; tensors of the rows' own weights do as well.
        self.desirable_weight = self.good_weight * weight[label]
        self.undesirable_weight = self.bad_weight * weight[~label]
        loss: torch.Tensor = super()._compute_loss(model, rest, return_outputs)  # type: ignore[no-untyped-call]
        return loss


def with_mismatched(rows: Sequence[dict[str, Any]], batch_size: int) -> list[dict[str, Any]]:
    """Rows with KL_completion_ids: the completion of the row before them in their batch.

    KTO measures how far the policy has moved by completions that do not belong to their prompt.

    Args:
        rows: Encoded rows in the order of training.
        batch_size: Rows that a device computes together.

    Source:
        TRL's `KTOTrainer._prepare_dataset`; Ethayarajh et al. 2024, section 4.1.

    Example:
        >>> rows = [{"completion_ids": [i]} for i in range(5)]
        >>> [row["KL_completion_ids"] for row in with_mismatched(rows, 3)]
        [[2], [0], [1], [4], [3]]
    """
    made = []
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        made += [
            {**row, "KL_completion_ids": batch[place - 1]["completion_ids"]}
            for place, row in enumerate(batch)
        ]
    return made


@torch.no_grad()
def with_reference(
    model: PreTrainedModel,
    rows: Sequence[dict[str, Any]],
    collator: LabelCollator,
    batch_size: int,
) -> list[dict[str, Any]]:
    """Rows with ref_logps and ref_KL_logps: both sequences' log-probabilities under the reference.

    Args:
        model: The reference model.
        rows: Encoded rows with mismatched completions.
        collator: Makes the batches, with the truncation of training.
        batch_size: Rows computed together.
    """
    model.eval()
    made: list[dict[str, Any]] = []
    for start in range(0, len(rows), batch_size):
        part = list(rows[start : start + batch_size])
        batch = collator(part)
        sums = (completion_logps(model, batch, prefix).tolist() for prefix in ("", "KL_"))
        made += [
            {**row, "ref_logps": own, "ref_KL_logps": other}
            for row, own, other in zip(part, *sums, strict=True)
        ]
    return made
