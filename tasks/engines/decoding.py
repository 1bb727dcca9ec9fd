"""Decoding of one batch: prompts in, sampled tokens with log-probability statistics out.

A loop of its own instead of `generate`, for three things that `generate` can't do: a prompt is
read once for all its samples, rows that have ended leave the batch, and every sample has a seed
of its own, so that it is the same whichever rows share its batch (up to the last bits of the
arithmetic, which can depend on a batch's shape).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from transformers import DynamicCache, PreTrainedModel

from tasks.engines.sampler import Row, Sampler

# Compacting copies the rows that stay, so it waits until this share of the rows has ended.
_COMPACT_SHARE = 0.25

# Whether the row at this position of the batch, with these tokens, ends here.
EndsText = Callable[[int, list[int]], bool]


@dataclass(frozen=True)
class Decoded:
    """The tokens of one sample and the raw model's statistics over them."""

    tokens: list[int]
    is_stopped: bool
    sum_logprob: float
    min_logprob: float
    sum_entropy: float
    sum_self_certainty: float


@dataclass(frozen=True)
class Scored:
    """The raw model's statistics of every token of one completion."""

    logprobs: list[float]
    entropies: list[float]
    self_certainties: list[float]


def entropy(logprobs: torch.Tensor) -> torch.Tensor:
    """Entropy in nats over the last dimension of log-probabilities."""
    # p * log p is 0 where p is 0, also for a logit of minus infinity.
    return -logprobs.exp().mul_(logprobs).nan_to_num_(nan=0.0).sum(dim=-1)


def self_certainty(logprobs: torch.Tensor) -> torch.Tensor:
    """KL(uniform || distribution) in nats over the last dimension of log-probabilities.

    Source: Kang et al., "Scalable Best-of-N Selection for Large Language Models via
    Self-Certainty" (2502.18581), section 3.
    """
    return -logprobs.mean(dim=-1) - math.log(logprobs.shape[-1])


class _Recorder:
    """Running statistics of all rows; `rows` are positions in the whole batch."""

    def __init__(self, num_rows: int, device: torch.device) -> None:
        self.tokens: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.sum_logprob = torch.zeros(num_rows, dtype=torch.float64, device=device)
        self.min_logprob = torch.zeros(num_rows, dtype=torch.float64, device=device)
        self.sum_entropy = torch.zeros(num_rows, dtype=torch.float64, device=device)
        self.sum_self_certainty = torch.zeros(num_rows, dtype=torch.float64, device=device)

    def add(self, rows: torch.Tensor, chosen: torch.Tensor, logprobs: torch.Tensor) -> None:
        """Record the tokens `chosen: (rows,)` drawn where `logprobs: (rows, vocab)` held."""
        chosen_logprob = logprobs.gather(1, chosen[:, None])[:, 0].double()
        self.sum_logprob[rows] += chosen_logprob
        self.min_logprob[rows] = torch.minimum(self.min_logprob[rows], chosen_logprob)
        self.sum_entropy[rows] += entropy(logprobs).double()
        self.sum_self_certainty[rows] += self_certainty(logprobs).double()
        self.tokens.append((rows, chosen))


class _RunningBatch:
    """The rows of a batch that have not left it yet."""

    def __init__(
        self,
        rows: Sequence[Row],
        cache: DynamicCache,
        mask: torch.Tensor,
        stops: frozenset[int],
        ends_text: EndsText | None,
    ) -> None:
        device = mask.device
        source = torch.tensor([row.prompt for row in rows], device=device)
        # Reading a prompt once and copying what was read serves all its samples.
        cache.reorder_cache(cast(torch.LongTensor, source))
        self.source = source
        self.mask = mask[source]
        self.is_stopped = torch.zeros(len(rows), dtype=torch.bool, device=device)
        self._cache = cache
        self._ends_text = ends_text
        self._tokens: list[list[int]] = [[] for _ in rows]
        self._stops = torch.tensor(sorted(stops), dtype=torch.long, device=device)
        self._limits = torch.tensor([row.max_new_tokens for row in rows], device=device)
        self._positions = torch.arange(len(rows), device=device)
        self._is_running = torch.ones(len(rows), dtype=torch.bool, device=device)
        self._sampler = Sampler(rows, device)
        self._recorder = _Recorder(len(rows), device)

    def advance(self, logits: torch.Tensor, step: int) -> torch.Tensor | None:
        """Draw one token per row, (rows,); None when no row goes on. Rows may leave."""
        logprobs = logits.float().log_softmax(dim=1)
        chosen = self._sampler.draw(logprobs, step)
        running = self._is_running
        if bool(running.all()):
            self._recorder.add(self._positions, chosen, logprobs)
        else:
            self._recorder.add(self._positions[running], chosen[running], logprobs[running])
        ended = torch.isin(chosen, self._stops)
        if self._ends_text is not None:
            ended |= self._end_texts(chosen)
        self.is_stopped[self._positions[running & ended]] = True
        self._is_running = running & ~ended & (self._limits > step + 1)
        num_running = int(self._is_running.sum())
        if num_running == 0:
            return None
        if num_running <= (1 - _COMPACT_SHARE) * len(chosen):
            chosen = self._compact(chosen)
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], dim=1)
        return chosen

    def _end_texts(self, chosen: torch.Tensor) -> torch.Tensor:
        """Which rows, (rows,), end with their new token because of what their text is now."""
        assert self._ends_text is not None
        ended = []
        running = zip(self._positions.tolist(), chosen.tolist(), self._is_running, strict=True)
        for position, token, is_running in running:
            self._tokens[position].append(token)
            tokens = self._tokens[position]
            ended.append(bool(is_running) and self._ends_text(position, tokens))
        return torch.tensor(ended, device=chosen.device)

    def _compact(self, chosen: torch.Tensor) -> torch.Tensor:
        """Let the rows that have ended leave; the tokens of those that stay."""
        index = self._is_running.nonzero()[:, 0]
        self._cache.reorder_cache(cast(torch.LongTensor, index))
        self._sampler.keep(index)
        self._positions, self._limits = self._positions[index], self._limits[index]
        self.mask, self._is_running = self.mask[index], self._is_running[index]
        return chosen[index]

    def results(self) -> list[Decoded]:
        """What was drawn, one result per row of the whole batch."""
        return _collect(self._recorder, self.is_stopped)


@torch.inference_mode()
def decode_batch(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    rows: Sequence[Row],
    stop_tokens: frozenset[int],
    pad_token: int,
    ends_text: EndsText | None = None,
) -> list[Decoded]:
    """Sample all rows of one batch.

    Args:
        model: A decoder-only model in evaluation mode.
        prompts: Token ids of the batch's distinct prompts, none empty.
        rows: One per sample; each names its prompt.
        stop_tokens: Tokens that end a sample.
        pad_token: Any valid token id; padding is masked.
        ends_text: Asked after every token whether a row's text ends it (stop texts).

    Returns:
        One result per row, in the order of `rows`.
    """
    cache = DynamicCache(config=model.config)
    ids, mask = pad_left(prompts, pad_token, model.device)
    logits = _forward(model, ids, mask, cache)
    batch = _RunningBatch(rows, cache, mask, stop_tokens, ends_text)
    logits, step = logits[batch.source], 0
    while (chosen := batch.advance(logits, step)) is not None:
        logits = _forward(model, chosen[:, None], batch.mask, cache)
        step += 1
    return batch.results()


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


def _collect(recorder: _Recorder, is_stopped: torch.Tensor) -> list[Decoded]:
    """The recorded statistics and tokens as one result per row."""
    tokens: list[list[int]] = [[] for _ in is_stopped]
    for rows, chosen in recorder.tokens:
        for row, token in zip(rows.tolist(), chosen.tolist(), strict=True):
            tokens[row].append(token)
    columns = (
        is_stopped,
        recorder.sum_logprob,
        recorder.min_logprob,
        recorder.sum_entropy,
        recorder.sum_self_certainty,
    )
    values = zip(*(column.tolist() for column in columns), strict=True)
    return [Decoded(row, *entry) for row, entry in zip(tokens, values, strict=True)]


@torch.inference_mode()
def score_batch(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    pad_token: int,
) -> list[Scored]:
    """Statistics of every completion token after its prompt.

    Args:
        model: A decoder-only model in evaluation mode.
        prompts: Token ids, none empty.
        completions: Token ids, one sequence per prompt.
        pad_token: Any valid token id; padding is masked.

    Returns:
        One per row; its lists are as long as its completion.
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
    columns = [column.cpu() for column in (chosen, entropy(logprobs), self_certainty(logprobs))]
    # Left padding aligns the ends, so a completion's scores are the last ones of its row.
    return [
        Scored(*(column[row, longest - len(answer) :].tolist() for column in columns))
        for row, answer in enumerate(completions)
    ]
