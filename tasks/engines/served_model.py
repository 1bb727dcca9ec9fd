"""A loaded causal language model: planning of batches, chat template, generation and scoring."""

from __future__ import annotations

import math
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

from tasks.engines.base import Completion, GenerationRequest, Messages, TokenScores, failed
from tasks.engines.batching import Piece, plan_batches
from tasks.engines.chat_format import encode_completion, encode_prompts, find_stop_tokens
from tasks.engines.decoding import Decoded, decode_batch, score_batch
from tasks.engines.sampler import Row
from tasks.engines.stop_texts import StopTexts, cut


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
        generation = model.generation_config
        self._stop_tokens = find_stop_tokens(
            generation.eos_token_id if generation else None,
            model.config.eos_token_id,
            tokenizer.eos_token_id,
        )
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
        tokenizer = AutoTokenizer.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
        model = AutoModelForCausalLM.from_pretrained(
            path, dtype=options["dtype"], local_files_only=True, trust_remote_code=False
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
        refused = {
            position: error
            for position, request in enumerate(requests)
            if (error := self._refusal(request, lengths[position])) is not None
        }
        served = [position for position in range(len(requests)) if position not in refused]
        batches = [
            [piece._replace(request=served[piece.request]) for piece in pieces]
            for pieces in plan_batches(
                [requests[position] for position in served],
                [lengths[position] for position in served],
                self._rows_per_batch,
                self._tokens_per_batch,
            )
        ]
        missing = [request.n for request in requests]
        finished: dict[int, list[Completion]] = defaultdict(list)
        num_done, num_total = sum(requests[position].n for position in skip), sum(missing)
        batches = [[piece for piece in pieces if piece.request not in skip] for pieces in batches]
        refused = {place: error for place, error in refused.items() if place not in skip}
        if refused:
            errors = [
                [place, [asdict(one) for one in failed(requests[place], error)]]
                for place, error in refused.items()
            ]
            num_done += sum(requests[place].n for place in refused)
            yield {"event": "completions", "items": errors, "done": num_done, "total": num_total}
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
        """Events `scores` with (position, fields of `TokenScores`) of some pairs each."""
        prompts = encode_prompts(self._tokenizer, [messages for messages, _ in pairs])
        completions = [
            encode_completion(self._tokenizer, text, self._stop_tokens) for _, text in pairs
        ]
        widths = [len(p) + len(c) for p, c in zip(prompts, completions, strict=True)]
        refused = {
            i: error
            for i in range(len(pairs))
            if (error := self._misfit(len(prompts[i]), widths[i]))
        }
        errors = [[i, asdict(TokenScores([], error=error))] for i, error in refused.items()]
        yield {"event": "scores", "items": errors, "done": len(errors), "total": len(pairs)}
        order = sorted(set(range(len(pairs))) - set(refused), key=lambda i: (-widths[i], i))
        start = 0
        while start < len(order):
            size = max(1, min(self._rows_per_batch, self._tokens_per_batch // widths[order[start]]))
            part = order[start : start + size]
            scores = score_batch(
                self._model,
                [prompts[i] for i in part],
                [completions[i] for i in part],
                self._pad_token,
            )
            start += len(part)
            items = [
                [i, {**asdict(row), "error": None}] for i, row in zip(part, scores, strict=True)
            ]
            done = len(errors) + start
            yield {"event": "scores", "items": items, "done": done, "total": len(pairs)}

    def _refusal(self, request: GenerationRequest, length: int) -> str | None:
        """Why a request with a prompt of `length` tokens can't be served, None if it can."""
        if request.structure is not None:
            return "unsupported: the transformers engine knows no structured output; take vllm"
        error = self._misfit(length, length + request.max_new_tokens)
        return error and f"{error}; max_new_tokens={request.max_new_tokens}"

    def _misfit(self, prompt: int, width: int) -> str | None:
        """Why a prompt and its completion, `width` tokens in all, don't fit; None if they do."""
        limit = getattr(self._model.config, "max_position_embeddings", None)
        if prompt == 0:
            return "empty_prompt: the prompt has no tokens"
        if limit is not None and width > limit:
            return (
                f"context_overflow: {width} tokens, {prompt} of them prompt, exceed the model's "
                f"{limit} positions"
            )
        return None

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
                StopTexts.of(
                    self._tokenizer, [requests[piece.request].stop for piece in pieces], rows
                ),
            )
        )
        return [
            [
                self._completion(
                    requests[piece.request], index, next(results), len(prompts[piece.request])
                )
                for index in piece.indices
            ]
            for piece in pieces
        ]

    def _completion(
        self, request: GenerationRequest, index: int, result: Decoded, num_prompt_tokens: int
    ) -> Completion:
        """One result with its text, without the end-of-sequence token or the stop text."""
        num_tokens = len(result.tokens)
        ends = result.is_stopped and result.tokens[-1] in self._stop_tokens
        tokens = result.tokens[:-1] if ends else result.tokens
        text = str(self._tokenizer.decode(tokens, skip_special_tokens=True))
        certainty = result.sum_self_certainty / num_tokens
        return Completion(
            request_id=request.id,
            index=index,
            seed=request.seed + index,
            text=cut(text, request.stop),
            num_tokens=num_tokens,
            finish_reason="stop" if result.is_stopped else "length",
            sum_logprob=result.sum_logprob,
            mean_logprob=result.sum_logprob / num_tokens,
            min_logprob=result.min_logprob,
            mean_entropy=result.sum_entropy / num_tokens,
            # Infinite where the model gives a token no probability at all.
            mean_self_certainty=certainty if math.isfinite(certainty) else None,
            num_prompt_tokens=num_prompt_tokens,
        )
