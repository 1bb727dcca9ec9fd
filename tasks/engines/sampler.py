"""Drawing tokens: every sample has a seed of its own, and no sample sees another's.

A token is drawn by inverting the cumulative distribution at one uniform number per sample and
step, which a counter-based generator gives without any state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch


@dataclass(frozen=True)
class Row:
    """How one sample of a batch is drawn.

    Attributes:
        prompt: Position of its prompt in the batch's prompts; rows of one prompt are adjacent.
        seed: Seed of this sample alone.
        temperature: 0 is greedy.
        top_p: In (0, 1].
        top_k: 0 keeps all tokens.
        max_new_tokens: Tokens after which it is cut off.
    """

    prompt: int
    seed: int
    temperature: float
    top_p: float
    top_k: int
    max_new_tokens: int


def uniforms(seeds: Sequence[int], num_steps: int) -> npt.NDArray[np.float64]:
    """One number in [0, 1) for each sample and step, from the sample's seed and the step alone.

    Args:
        seeds: One seed per sample, any integers.
        num_steps: Tokens to draw at most.

    Returns:
        Shape (len(seeds), num_steps), multiples of 2**-53.

    Source:
        SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
        2014. The seed is mixed once first, so that neighboring seeds give unrelated streams.
    """
    keys = np.array([seed & 0xFFFFFFFFFFFFFFFF for seed in seeds], dtype=np.uint64)
    steps = np.arange(1, num_steps + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bits = _mix(_mix(keys)[:, None] + steps[None, :])
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finalizer of SplitMix64; numpy arrays wrap around as it needs."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Sampler:
    """Draws one token per row by inverting the cumulative distribution at a uniform number."""

    def __init__(self, rows: Sequence[Row], device: torch.device) -> None:
        """Take the settings of a batch's rows: one number is drawn per row and step."""
        num_steps = max(row.max_new_tokens for row in rows)
        numbers = uniforms([row.seed for row in rows], num_steps)
        self._uniforms = torch.from_numpy(numbers).to(device)
        self._temperature = torch.tensor([row.temperature for row in rows], device=device)
        self._top_p = torch.tensor([row.top_p for row in rows], device=device)
        self._top_k = torch.tensor([row.top_k for row in rows], device=device)
        self._is_greedy = all(row.temperature == 0 for row in rows)
        self._is_truncated = any(row.top_k > 0 or row.top_p < 1 for row in rows)

    def keep(self, index: torch.Tensor) -> None:
        """Drop all rows but those at `index`."""
        self._uniforms = self._uniforms[index]
        self._temperature = self._temperature[index]
        self._top_p = self._top_p[index]
        self._top_k = self._top_k[index]

    def draw(self, logprobs: torch.Tensor, step: int) -> torch.Tensor:
        """Tokens (rows,) of type int64 for the raw distributions `logprobs: (rows, vocab)`."""
        greedy = logprobs.argmax(dim=1)
        if self._is_greedy:
            return greedy
        # Rows with temperature 0 get a harmless 1 here and their greedy token at the end.
        temperature = torch.where(self._temperature > 0, self._temperature, 1.0)
        scaled = logprobs / temperature[:, None]
        if self._is_truncated:
            scaled = self._truncate(scaled)
        # In double precision: in single, sums over large vocabularies lose the rare tokens.
        cumulative = scaled.softmax(dim=1).cumsum(dim=1, dtype=torch.float64)
        target = self._uniforms[:, step, None] * cumulative[:, -1:]
        # The first token whose cumulative sum exceeds the target always has probability > 0.
        drawn = torch.searchsorted(cumulative, target, right=True)[:, 0]
        drawn = drawn.clamp_(max=logprobs.shape[1] - 1)
        return torch.where(self._temperature > 0, drawn, greedy)

    def _truncate(self, scaled: torch.Tensor) -> torch.Tensor:
        """Minus infinity for tokens outside top-k, then outside top-p; ties keep lower ids."""
        ordered, order = scaled.sort(dim=1, descending=True, stable=True)
        ranks = torch.arange(scaled.shape[1], device=scaled.device)[None, :]
        top_k = torch.where(self._top_k > 0, self._top_k, scaled.shape[1])
        ordered = ordered.masked_fill(ranks >= top_k[:, None], -torch.inf)
        probabilities = ordered.softmax(dim=1)
        before = probabilities.cumsum(dim=1) - probabilities
        is_cut = (before >= self._top_p[:, None]) & (self._top_p[:, None] < 1)
        ordered = ordered.masked_fill(is_cut, -torch.inf)
        return torch.empty_like(scaled).scatter_(1, order, ordered)
