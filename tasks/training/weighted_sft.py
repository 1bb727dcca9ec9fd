"""SFT on completions with a weight per row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from trl import SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from tasks.training.trainer_base import PreparedRowsTrainer


@dataclass
class ExampleCollator(DataCollatorForLanguageModeling):
    """TRL's batches of examples, with the column `weight` (1 where missing)."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """The batch as tensors; sequences (rows, tokens), weight (rows,)."""
        batch: dict[str, Any] = super().torch_call(examples)
        batch["weight"] = torch.tensor([float(row.get("weight", 1.0)) for row in examples])
        return batch


class WeightedSFTTrainer(PreparedRowsTrainer, SFTTrainer):
    """TRL's `SFTTrainer` with `weight * negative log-likelihood` per row.

    Rows carry input_ids, labels (-100 on the prompt) and weight. With `loss_reduction` "token"
    and all weights 1 the loss is TRL's own: the mean over all completion tokens of a batch. With
    "sequence" it is the mean over rows of `weight * mean over the row's tokens`. Weights are not
    normalized: a row of weight 0 counts in the mean and teaches nothing.
    """

    loss_reduction: str = "token"

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """The loss of one part of a batch, scaled so that the parts of a batch add up.

        Args:
            model: The model in training.
            inputs: A batch of `ExampleCollator`.
            return_outputs: Not supported; engines evaluate models.
            num_items_in_batch: Completion tokens of the whole batch, over all its parts.
        """
        if return_outputs:
            raise NotImplementedError("evaluation with logits; use an engine to evaluate a model")
        outputs = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            labels=inputs["labels"],
            use_cache=False,
            fused_lm_head=True,
        )
        lengths = outputs.label_mask.sum(dim=1)
        row_nll: torch.Tensor = -outputs.log_probs.sum(dim=1) * inputs["weight"]
        loss: torch.Tensor
        if self.loss_reduction == "sequence":
            loss = (row_nll / lengths.clamp(min=1)).mean()
            # Given the number of items, the trainer leaves accumulation to the loss.
            if num_items_in_batch is not None:
                loss = loss / self.current_gradient_accumulation_steps
        else:
            total = lengths.sum() if num_items_in_batch is None else num_items_in_batch
            loss = row_nll.sum() / torch.as_tensor(total).clamp(min=1)
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes
        self._record(outputs.entropy.detach(), outputs.is_top1, outputs.label_mask)
        return loss

    def _record(
        self, entropy: torch.Tensor, is_top1: torch.Tensor, label_mask: torch.Tensor
    ) -> None:
        """Log the entropy and the accuracy of the completion tokens."""
        num_tokens = label_mask.sum().clamp(min=1)
        self._log_mean("entropy", entropy.sum() / num_tokens)
        self._log_mean("mean_token_accuracy", is_top1.sum() / num_tokens)
