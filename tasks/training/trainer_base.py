"""What our trainers share: rows that are ready, a schedule, and no side products."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from datasets import Dataset
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel, Trainer


class PreparedRowsTrainer(Trainer):
    """Put before a TRL trainer: takes encoded rows as they are and follows our schedule.

    TRL encodes rows with `Dataset.map`, one row and one template rendering at a time; our rows
    arrive encoded (`chat_format.encode_rows`), in the same form that the engines use.
    """

    lr_schedule: str = "constant"
    final_lr_share: float = 0.0
    num_rows: int = 0
    # Set by the TRL trainer behind this class.
    _metrics: dict[str, defaultdict[str, list[float]]]

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write none: a model of ours is described by its `selfloom.json`."""

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> LambdaLR:
        """The schedule of the spec: linear warm-up, then constant, linear or cosine fall.

        Args:
            num_training_steps: Steps of the whole run.
            optimizer: Set by the trainer.
        """
        if self.lr_scheduler is None:
            used = optimizer if optimizer is not None else self.optimizer
            assert used is not None, "the trainer makes the optimizer first"
            warmup = self.args.get_warmup_steps(num_training_steps)
            self.lr_scheduler = LambdaLR(
                used,
                lambda step: lr_share(
                    step, num_training_steps, warmup, self.lr_schedule, self.final_lr_share
                ),
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def _log_mean(self, name: str, value: torch.Tensor) -> None:
        """Add the mean of a value over all processes to the next log entry."""
        mean = self.accelerator.gather(value).mean().item()
        self._metrics["train"][name].append(mean)


def lr_share(
    step: int, num_steps: int, warmup_steps: int, schedule: str, final_share: float
) -> float:
    """The share of the peak learning rate that step `step` (from 0) is taken with.

    Args:
        step: Steps already taken.
        num_steps: Steps of the whole run.
        warmup_steps: Steps of linear rise; the first of them already moves.
        schedule: `constant`, `linear` or `cosine`.
        final_share: What a falling schedule ends at.

    Returns:
        A number in [0, 1].

    Example:
        >>> [lr_share(step, 5, 2, "linear", 0.0) for step in range(5)]
        [0.5, 1.0, 1.0, 0.6666666666666667, 0.33333333333333337]
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if schedule == "constant":
        return 1.0
    progress = min(1.0, (step - warmup_steps) / max(1, num_steps - warmup_steps))
    shape = 1 - progress if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * progress))
    return final_share + (1 - final_share) * shape


def completion_logps(
    model: PreTrainedModel, batch: Mapping[str, Any], prefix: str = ""
) -> torch.Tensor:
    """Sums of the token log-probabilities of a batch's completions.

    Args:
        model: The model that is asked; on any device.
        batch: Of a TRL preference collator: input_ids, attention_mask and completion_mask, each
            (sequences, tokens).
        prefix: Before these names, e.g. `KL_`.

    Returns:
        (sequences,)
    """
    ids, attention, mask = (
        batch[f"{prefix}{name}"].to(model.device)
        for name in ("input_ids", "attention_mask", "completion_mask")
    )
    output = model(input_ids=ids, attention_mask=attention, use_cache=False)
    logprobs = output.logits[:, :-1].float().log_softmax(dim=-1)
    tokens: torch.Tensor = logprobs.gather(2, ids[:, 1:, None])[..., 0] * mask[:, 1:]
    return tokens.sum(dim=1)
