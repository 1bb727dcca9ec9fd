"""The losses of preference pairs: DPO and its relatives, with a weight and soft labels per pair."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

from tasks.training.spec import DpoLoss


class PairNumbers(NamedTuple):
    """What a loss knows of a batch of pairs; every tensor has the shape (pairs,).

    Attributes:
        chosen_logps: Sum of the chosen completion's token log-probabilities.
        rejected_logps: The same for the rejected completion.
        ref_chosen_logps: The chosen one's under the reference model.
        ref_rejected_logps: The rejected one's under the reference model.
        chosen_lengths: Tokens of the chosen completion.
        rejected_lengths: Tokens of the rejected one.
        weight: Factor of the whole loss of a pair, at least 0.
        soft_label: Probability that chosen is the better one: 1 is the plain pair, 0 the flipped
            pair, 0.5 asks for no difference. Not read by `sppo`.
        chosen_win_rate: Probability that chosen beats a sample of the policy; only `sppo` reads it.
        rejected_win_rate: The same of rejected.
    """

    chosen_logps: torch.Tensor
    rejected_logps: torch.Tensor
    ref_chosen_logps: torch.Tensor
    ref_rejected_logps: torch.Tensor
    chosen_lengths: torch.Tensor
    rejected_lengths: torch.Tensor
    weight: torch.Tensor
    soft_label: torch.Tensor
    chosen_win_rate: torch.Tensor
    rejected_win_rate: torch.Tensor

    @property
    def chosen_logratios(self) -> torch.Tensor:
        """How much likelier than under the reference model the chosen completion is; (pairs,)."""
        return self.chosen_logps - self.ref_chosen_logps

    @property
    def rejected_logratios(self) -> torch.Tensor:
        """The same of the rejected completion."""
        return self.rejected_logps - self.ref_rejected_logps


def pair_losses(pairs: PairNumbers, loss: DpoLoss, beta: float, nll_weight: float) -> torch.Tensor:
    """The loss of each pair: `weight * (preference + nll_weight * NLL(chosen) / length)`.

    With soft label s, the preference term of all but `sppo` is `s * l(m) + (1 - s) * l(-m)`, where
    m is the difference of the log-ratios to the reference model, chosen less rejected:

        sigmoid   l(m) = -log sigmoid(beta * m)
        hinge     l(m) = max(0, 1 - beta * m)
        ipo       l(m) = (m - 1 / (2 * beta))^2, log-ratios divided by their numbers of tokens
        sppo      1/2 * sum over both of (log-ratio - (win rate - 1/2) / beta)^2

    Args:
        pairs: The batch.
        loss: Which preference term.
        beta: Strength of the pull to the reference model; for sppo 1 / eta.
        nll_weight: Weight alpha of the likelihood term.

    Returns:
        (pairs,)

    Source:
        DPO: Rafailov et al. 2023, eq. 7; SPIN's logistic loss is the same (Chen et al. 2024,
        eq. 4.7). Hinge: SLiC-HF (Zhao et al. 2023). IPO: Azar et al. 2023, eq. 17, per token as
        TRL has it. SPPO: Wu et al. 2024, algorithm 1, and its code's factor 1/2. Soft labels:
        conservative DPO (Mitchell 2023), CREAM (Wang et al. 2024, eq. 11), DNO (Rosset et al.
        2024, algorithm 1). Likelihood term: Iterative RPO (Pang et al. 2024, eq. 1). Weight:
        ScPO (Prasad et al. 2024, eq. 2).
    """
    preference = _preference(pairs, loss, beta)
    likelihood = -pairs.chosen_logps / pairs.chosen_lengths.clamp(min=1)
    return pairs.weight * (preference + nll_weight * likelihood)


def _preference(pairs: PairNumbers, loss: DpoLoss, beta: float) -> torch.Tensor:
    chosen, rejected = pairs.chosen_logratios, pairs.rejected_logratios
    if loss == "sppo":
        chosen_gap = chosen - (pairs.chosen_win_rate - 0.5) / beta
        rejected_gap = rejected - (pairs.rejected_win_rate - 0.5) / beta
        return (chosen_gap**2 + rejected_gap**2) / 2
    if loss == "ipo":
        chosen = chosen / pairs.chosen_lengths.clamp(min=1)
        rejected = rejected / pairs.rejected_lengths.clamp(min=1)
    margin, label = chosen - rejected, pairs.soft_label
    return label * _one_sided(margin, loss, beta) + (1 - label) * _one_sided(-margin, loss, beta)


def _one_sided(margin: torch.Tensor, loss: DpoLoss, beta: float) -> torch.Tensor:
    """The loss l(margin) of a pair that is in the right order."""
    if loss == "sigmoid":
        return -F.logsigmoid(beta * margin)
    if loss == "hinge":
        return F.relu(1 - beta * margin)
    return (margin - 1 / (2 * beta)) ** 2
