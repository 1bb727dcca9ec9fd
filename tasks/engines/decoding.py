"""Decoding of one batch: prompts in, sampled tokens with log-probability statistics out.

A loop of its own instead of `generate`, for three things that `generate` can't do: a prompt is
read once for all its samples, rows that have ended leave the batch, and every sample has a seed
of its own, so that it is the same whichever rows share its batch (up to the last bits of the
arithmetic, which can depend on a batch's shape).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from transformers import DynamicCache, PreTrainedModel

# Compacting copies the rows that stay, so it waits until this share of the rows has ended.
_COMPACT_SHARE = 0.25


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


@dataclass(frozen=True)
class Decoded:
    """The tokens of one sample and the raw model's statistics over them."""

    tokens: list[int]
    is_stopped: bool
    sum_logprob: float
    min_logprob: float
    sum_entropy: float


class _Recorder:
    """Running statistics of all rows; `rows` are positions in the whole batch."""

    def __init__(self, num_rows: int, device: torch.device) -> None:
        self.tokens: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.sum_logprob = torch.zeros(num_rows, dtype=torch.float64, device=device)
        self.min_logprob = torch.zeros(num_rows, dtype=torch.float64, device=device)
        self.sum_entropy = torch.zeros(num_rows, dtype=torch.float64, device=device)

    def add(self, rows: torch.Tensor, chosen: torch.Tensor, logprobs: torch.Tensor) -> None:
        """Record the tokens `chosen: (rows,)` drawn where `logprobs: (rows, vocab)` held."""
        chosen_logprob = logprobs.gather(1, chosen[:, None])[:, 0].double()
        # p * log p is 0 where p is 0, also for a logit of minus infinity.
        terms = logprobs.exp().mul_(logprobs).nan_to_num_(nan=0.0)
        self.sum_logprob[rows] += chosen_logprob
        self.min_logprob[rows] = torch.minimum(self.min_logprob[rows], chosen_logprob)
        self.sum_entropy[rows] -= terms.sum(dim=1).double()
        self.tokens.append((rows, chosen))


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


@torch.inference_mode()
def decode_batch(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    rows: Sequence[Row],
    stop_tokens: frozenset[int],
    pad_token: int,
) -> list[Decoded]:
    """Sample all rows of one batch.

    Args:
        model: A decoder-only model in evaluation mode.
        prompts: Token ids of the batch's distinct prompts, none empty.
        rows: One per sample, ordered by prompt, each prompt with at least one row.
        stop_tokens: Tokens that end a sample.
        pad_token: Any valid token id; padding is masked.

    Returns:
        One result per row, in the order of `rows`.
    """
    device = model.device
    cache = DynamicCache(config=model.config)
    ids, mask = pad_left(prompts, pad_token, device)
    logits = _forward(model, ids, mask, cache)
    source = torch.tensor([row.prompt for row in rows], device=device)
    if len(rows) > len(prompts):
        cache.reorder_cache(source)
    logits, mask = logits[source], mask[source]
    active = torch.arange(len(rows), device=device)
    limits = torch.tensor([row.max_new_tokens for row in rows], device=device)
    stops = torch.tensor(sorted(stop_tokens), device=device)
    is_running = torch.ones(len(rows), dtype=torch.bool, device=device)
    is_stopped = torch.zeros(len(rows), dtype=torch.bool, device=device)
    sampler, recorder = Sampler(rows, device), _Recorder(len(rows), device)
    for step in range(int(limits.max())):
        logprobs = logits.float().log_softmax(dim=1)
        chosen = sampler.draw(logprobs, step)
        if bool(is_running.all()):
            recorder.add(active, chosen, logprobs)
        else:
            recorder.add(active[is_running], chosen[is_running], logprobs[is_running])
        ended = torch.isin(chosen, stops)
        is_stopped[active[is_running & ended]] = True
        is_running = is_running & ~ended & (limits > step + 1)
        num_running = int(is_running.sum())
        if num_running == 0:
            break
        if num_running <= (1 - _COMPACT_SHARE) * len(active):
            index = is_running.nonzero()[:, 0]
            cache.reorder_cache(index)
            sampler.keep(index)
            active, limits, mask = active[index], limits[index], mask[index]
            chosen, is_running = chosen[index], is_running[index]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        logits = _forward(model, chosen[:, None], mask, cache)
    return _collect(recorder, is_stopped, len(rows))


def pad_left(
    sequences: Sequence[Sequence[int]], pad_token: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, both (len(sequences), longest), padded on the left."""
    width = max(len(sequence) for sequence in sequences)
    ids = torch.full((len(sequences), width), pad_token, dtype=torch.long)
    mask = torch.zeros((len(sequences), width), dtype=torch.long)
    for row, sequence in enumerate(sequences):
        ids[row, width - len(sequence) :] = torch.tensor(sequence, dtype=torch.long)
        mask[row, width - len(sequence) :] = 1
    return ids.to(device), mask.to(device)


def _forward(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, cache: DynamicCache
) -> torch.Tensor:
    """Logits (rows, vocab) after the last of the new tokens `ids: (rows, new tokens)`."""
    positions = (mask.cumsum(dim=1) - 1).clamp_(min=0)[:, -ids.shape[1] :]
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    logits: torch.Tensor = output.logits[:, -1]
    return logits


def _collect(recorder: _Recorder, is_stopped: torch.Tensor, num_rows: int) -> list[Decoded]:
    """The recorded statistics and tokens as one result per row."""
    tokens: list[list[int]] = [[] for _ in range(num_rows)]
    for rows, chosen in recorder.tokens:
        for row, token in zip(rows.tolist(), chosen.tolist(), strict=True):
            tokens[row].append(token)
    columns = (is_stopped, recorder.sum_logprob, recorder.min_logprob, recorder.sum_entropy)
    values = zip(*(column.tolist() for column in columns), strict=True)
    return [Decoded(row, *entry) for row, entry in zip(tokens, values, strict=True)]


@torch.inference_mode()
def score_batch(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    pad_token: int,
) -> list[list[float]]:
    """Log-probability of every completion token after its prompt.

    Args:
        model: A decoder-only model in evaluation mode.
        prompts: Token ids, none empty.
        completions: Token ids, one sequence per prompt.
        pad_token: Any valid token id; padding is masked.

    Returns:
        One list per row, as long as its completion.
    """
    whole = [[*prompt, *answer] for prompt, answer in zip(prompts, completions, strict=True)]
    ids, mask = pad_left(whole, pad_token, model.device)
    longest = max(len(answer) for answer in completions)
    positions = (mask.cumsum(dim=1) - 1).clamp_(min=0)
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        use_cache=False,
        logits_to_keep=longest + 1,
    )
    logprobs = output.logits[:, :-1].float().log_softmax(dim=2)
    chosen = logprobs.gather(2, ids[:, ids.shape[1] - longest :, None])[..., 0]
    # Left padding aligns the ends, so a completion's scores are the last ones of its row.
    return [
        row[longest - len(answer) :].tolist()
        for row, answer in zip(chosen.cpu(), completions, strict=True)
    ]
