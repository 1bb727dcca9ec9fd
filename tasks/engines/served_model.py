"""A loaded causal language model: planning of batches, chat template, generation and scoring."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from tasks.engines.base import Completion, GenerationRequest, Messages
from tasks.engines.batching import Piece, plan_batches
from tasks.engines.chat_format import encode_prompts
from tasks.engines.decoding import Decoded, decode_batch, score_batch
from tasks.engines.sampler import Row


class ServedModel:
    """A model with its tokenizer, ready to generate and score."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        rows_per_batch: int,
        tokens_per_batch: int,
    ) -> None:
        """Take a loaded model; `load` is the usual way."""
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._rows_per_batch = rows_per_batch
        self._tokens_per_batch = tokens_per_batch
        self._stop_tokens = _stop_tokens(model, tokenizer)
        pad = tokenizer.pad_token_id
        self._pad_token = pad if pad is not None else min(self._stop_tokens, default=0)

    @classmethod
    def load(cls, path: str, options: Mapping[str, Any]) -> ServedModel:
        """Load a model folder, never from a hub.

        Args:
            path: The model folder.
            options: The fields of `TransformersOptions`.
        """
        torch.set_num_threads(options["num_threads"])
        device = options["device"]
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            path, dtype=options["dtype"], local_files_only=True
        )
        return cls(
            model.to(device), tokenizer, options["rows_per_batch"], options["tokens_per_batch"]
        )

    def generate(
        self, requests: Sequence[GenerationRequest], skip: frozenset[int] = frozenset()
    ) -> Iterator[dict[str, Any]]:
        """One event `completions` per batch: finished requests by position, and the progress.

        Positions in `skip` are done. Batches are planned with them, because the last bits of a
        sample's numbers can depend on which samples share its batch.
        """
        prompts = encode_prompts(self._tokenizer, [request.messages for request in requests])
        lengths = [len(prompt) for prompt in prompts]
        self._check_lengths(requests, lengths)
        batches = plan_batches(requests, lengths, self._rows_per_batch, self._tokens_per_batch)
        missing = [request.n for request in requests]
        finished: dict[int, list[Completion]] = defaultdict(list)
        num_done, num_total = sum(requests[position].n for position in skip), sum(missing)
        batches = [[piece for piece in pieces if piece.request not in skip] for pieces in batches]
        for pieces in filter(None, batches):
            completions = self._run_batch(requests, prompts, pieces)
            items = []
            for piece, part in zip(pieces, completions, strict=True):
                finished[piece.request] += part
                missing[piece.request] -= len(part)
                num_done += len(part)
                if missing[piece.request] == 0:
                    whole = finished.pop(piece.request)
                    whole.sort(key=lambda completion: completion.index)
                    items.append([piece.request, [asdict(completion) for completion in whole]])
            yield {"event": "completions", "items": items, "done": num_done, "total": num_total}

    def score(self, pairs: Sequence[tuple[Messages, str]]) -> Iterator[dict[str, Any]]:
        """Events `scores` with (position, token log-probabilities) of some pairs each."""
        prompts = encode_prompts(self._tokenizer, [messages for messages, _ in pairs])
        completions = [self._encode_completion(text) for _, text in pairs]
        order = sorted(range(len(pairs)), key=lambda i: (-len(prompts[i]) - len(completions[i]), i))
        start = 0
        while start < len(order):
            longest = order[start]
            width = len(prompts[longest]) + len(completions[longest])
            size = max(1, min(self._rows_per_batch, self._tokens_per_batch // width))
            part = order[start : start + size]
            scores = score_batch(
                self._model,
                [prompts[i] for i in part],
                [completions[i] for i in part],
                self._pad_token,
            )
            start += len(part)
            items = [[i, row] for i, row in zip(part, scores, strict=True)]
            yield {"event": "scores", "items": items, "done": start, "total": len(order)}

    def _encode_completion(self, text: str) -> list[int]:
        """Token ids of an answer and the end-of-sequence token where there is one."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        end = self._tokenizer.eos_token_id
        if end is None and self._stop_tokens:
            end = min(self._stop_tokens)
        return ids if end is None else [*ids, end]

    def _check_lengths(self, requests: Sequence[GenerationRequest], lengths: Sequence[int]) -> None:
        """Refuse requests that the model has no positions for, before any work."""
        limit = getattr(self._model.config, "max_position_embeddings", None)
        for request, length in zip(requests, lengths, strict=True):
            if length == 0:
                raise ValueError(f"request {request.id!r}: its prompt has no tokens")
            if limit is not None and length + request.max_new_tokens > limit:
                raise ValueError(
                    f"request {request.id!r}: prompt of {length} tokens and max_new_tokens="
                    f"{request.max_new_tokens} exceed the model's {limit} positions; "
                    "lower max_new_tokens or shorten the prompt"
                )

    def _run_batch(
        self,
        requests: Sequence[GenerationRequest],
        prompts: Sequence[list[int]],
        pieces: Sequence[Piece],
    ) -> list[list[Completion]]:
        """Completions of each piece of a batch."""
        rows = []
        for position, piece in enumerate(pieces):
            request = requests[piece.request]
            rows += [
                Row(
                    position,
                    request.seed + index,
                    request.temperature,
                    request.top_p,
                    request.top_k,
                    request.max_new_tokens,
                )
                for index in piece.indices
            ]
        results = iter(
            decode_batch(
                self._model,
                [prompts[piece.request] for piece in pieces],
                rows,
                self._stop_tokens,
                self._pad_token,
            )
        )
        return [
            [
                self._completion(requests[piece.request], index, next(results))
                for index in piece.indices
            ]
            for piece in pieces
        ]

    def _completion(self, request: GenerationRequest, index: int, result: Decoded) -> Completion:
        """One result with its text, without the end-of-sequence token."""
        num_tokens = len(result.tokens)
        tokens = result.tokens[:-1] if result.is_stopped else result.tokens
        return Completion(
            request_id=request.id,
            index=index,
            seed=request.seed + index,
            text=str(self._tokenizer.decode(tokens, skip_special_tokens=True)),
            num_tokens=num_tokens,
            finish_reason="stop" if result.is_stopped else "length",
            sum_logprob=result.sum_logprob,
            mean_logprob=result.sum_logprob / num_tokens,
            min_logprob=result.min_logprob,
            mean_entropy=result.sum_entropy / num_tokens,
        )


def _stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens that end a sample, by the generation config, the config and the tokenizer."""
    found: set[int] = set()
    generation = model.generation_config.eos_token_id if model.generation_config else None
    for value in (generation, model.config.eos_token_id, tokenizer.eos_token_id):
        if isinstance(value, int):
            found.add(value)
        elif value is not None:
            found.update(value)
    return frozenset(found)
