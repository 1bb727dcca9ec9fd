"""DPO with a weight and a soft label per pair and a length-normalized likelihood term.

TRL's own DPO has none of the three: its label smoothing is one number for all pairs, and its
`sft` term is a mean over the tokens of a batch, in which long completions count more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from datasets import Dataset
from transformers import PreTrainedModel
from trl import DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from tasks.training.trainer_base import PreparedRowsTrainer


def weighted_dpo_loss(
    chosen_logps: torch.Tensor,
    rejected_logps: torch.Tensor,
    ref_chosen_logps: torch.Tensor,
    ref_rejected_logps: torch.Tensor,
    chosen_lengths: torch.Tensor,
    weight: torch.Tensor,
    soft_label: torch.Tensor,
    beta: float,
    nll_weight: float,
) -> torch.Tensor:
    """The loss of each pair.

    With m = beta * ((chosen - ref_chosen) - (rejected - ref_rejected)), soft label s, weight w:
    `w * (-s * log sigmoid(m) - (1 - s) * log sigmoid(-m) - nll_weight * chosen / length)`.

    Args:
        chosen_logps: (pairs,) sum of the chosen completion's token log-probabilities.
        rejected_logps: (pairs,) the same for the rejected completion.
        ref_chosen_logps: (pairs,) the chosen one's under the reference model.
        ref_rejected_logps: (pairs,) the rejected one's under the reference model.
        chosen_lengths: (pairs,) number of tokens of the chosen completion.
        weight: (pairs,) factor of the whole loss of a pair, at least 0.
        soft_label: (pairs,) probability that chosen is the better one: 1 is plain DPO, 0 the
            flipped pair, 0.5 asks for no difference.
        beta: Strength of the pull to the reference model.
        nll_weight: Weight alpha of the likelihood term.

    Returns:
        (pairs,)

    Source:
        DPO: Rafailov et al. 2023, eq. 7. Soft labels: conservative DPO (Mitchell 2023) and
        CREAM (Wang et al. 2024, eq. 11). Likelihood term: Iterative RPO (Pang et al. 2024,
        eq. 1). Weight: ScPO (Prasad et al. 2024, eq. 2).
    """
    margin = beta * ((chosen_logps - ref_chosen_logps) - (rejected_logps - ref_rejected_logps))
    preference = -soft_label * F.logsigmoid(margin) - (1 - soft_label) * F.logsigmoid(-margin)
    likelihood = -chosen_logps / chosen_lengths.clamp(min=1)
    return weight * (preference + nll_weight * likelihood)


@dataclass
class PairCollator(DataCollatorForPreference):
    """TRL's batches of pairs, with the columns `weight` and `soft_label` (1 where missing)."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """The batch as tensors; sequences (2 * pairs, tokens), chosen first; numbers (pairs,)."""
        batch: dict[str, Any] = super().torch_call(examples)
        for name in ("weight", "soft_label"):
            batch[name] = torch.tensor([float(row.get(name, 1.0)) for row in examples])
        return batch


class WeightedDPOTrainer(PreparedRowsTrainer, DPOTrainer):
    """TRL's `DPOTrainer` with `weighted_dpo_loss`.

    Rows carry prompt_ids, chosen_ids, rejected_ids, ref_chosen_logps, ref_rejected_logps (from
    `reference_logps`), weight and soft_label, so no reference model is held while training.
    """

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
        chosen_lengths = mask.sum(dim=1).chunk(2)[0]
        losses = weighted_dpo_loss(
            chosen,
            rejected,
            inputs["ref_chosen_logps"],
            inputs["ref_rejected_logps"],
            chosen_lengths,
            inputs["weight"],
            inputs["soft_label"],
            self.beta,
            self.nll_weight,
        )
        self._record(inputs, chosen.detach(), rejected.detach(), chosen_lengths)
        return losses.mean()

    def _record(
        self,
        inputs: dict[str, Any],
        chosen: torch.Tensor,
        rejected: torch.Tensor,
        chosen_lengths: torch.Tensor,
    ) -> None:
        """Log both log-probabilities, not only the margin: DPO may lower both."""
        chosen_rewards = self.beta * (chosen - inputs["ref_chosen_logps"])
        rejected_rewards = self.beta * (rejected - inputs["ref_rejected_logps"])
        values = {
            "logps/chosen": chosen,
            "logps/rejected": rejected,
            "rewards/chosen": chosen_rewards,
            "rewards/rejected": rejected_rewards,
            "rewards/margins": chosen_rewards - rejected_rewards,
            "rewards/accuracies": (chosen_rewards > rejected_rewards).float(),
            "nll/chosen": -chosen / chosen_lengths.clamp(min=1),
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
        ids = batch["input_ids"].to(model.device)
        mask = batch["completion_mask"].to(model.device)[:, 1:]
        output = model(
            input_ids=ids,
            attention_mask=batch["attention_mask"].to(model.device),
            use_cache=False,
        )
        logprobs = output.logits[:, :-1].float().log_softmax(dim=-1)
        tokens = logprobs.gather(2, ids[:, 1:, None])[..., 0] * mask
        chosen, rejected = tokens.sum(dim=1).chunk(2)
        for position, pair in zip(
            part, zip(chosen.tolist(), rejected.tolist(), strict=True), strict=True
        ):
            found[position] = pair
    return [pair[0] for pair in found], [pair[1] for pair in found]


def _width(row: dict[str, Any]) -> int:
    """Tokens of the longer sequence of a pair."""
    return len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))
