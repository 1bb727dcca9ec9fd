"""Which samples share a batch: similar prompt lengths, bounded memory, always the same plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tasks.engines.base import GenerationRequest


class Piece(NamedTuple):
    """Samples `indices` of the request at position `request`."""

    request: int
    indices: range


def plan_batches(
    requests: Sequence[GenerationRequest],
    prompt_lengths: Sequence[int],
    rows_per_batch: int,
    tokens_per_batch: int,
) -> list[list[Piece]]:
    """Batches of samples, longest prompts first so that a lack of memory shows at once.

    Args:
        requests: What to sample.
        prompt_lengths: Tokens of each request's prompt.
        rows_per_batch: Samples in a batch at most.
        tokens_per_batch: Padded prompt and new tokens of a batch at most; a single sample that
            is longer has a batch of its own.

    Returns:
        Every sample of every request exactly once. A request is split over batches only where
        it does not fit into what is left of one.
    """
    order = sorted(range(len(requests)), key=lambda i: (-prompt_lengths[i], i))
    batches: list[list[Piece]] = []
    num_rows, prompt_length, new_tokens = 0, 0, 0
    for position in order:
        request, index = requests[position], 0
        while index < request.n:
            width = max(prompt_length, prompt_lengths[position])
            width += max(new_tokens, request.max_new_tokens)
            room = min(rows_per_batch, tokens_per_batch // width) - num_rows
            if num_rows and room < 1:
                num_rows, prompt_length, new_tokens = 0, 0, 0
                continue
            if num_rows == 0:
                batches.append([])
            size = min(request.n - index, max(room, 1))
            batches[-1].append(Piece(position, range(index, index + size)))
            num_rows, index = num_rows + size, index + size
            prompt_length = max(prompt_length, prompt_lengths[position])
            new_tokens = max(new_tokens, request.max_new_tokens)
    return batches
