"""A causal language model in vLLM's engine: chat template, generation and scoring."""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase
from vllm import EngineArgs, LLMEngine, RequestOutput
from vllm.lora.request import LoRARequest
from vllm.outputs import CompletionOutput

from tasks.engines.base import (
    Completion,
    GenerationRequest,
    Messages,
    Structure,
    TokenScores,
    failed,
)
from tasks.engines.chat_format import encode_completion, encode_prompts, find_stop_tokens
from tasks.engines.stop_texts import cut
from tasks.engines.vllm_copies import EngineCopies
from tasks.engines.vllm_distributions import NUM_COLUMNS
from tasks.engines.vllm_params import engine_arguments
from tasks.engines.vllm_queue import Job, VllmQueue


@dataclass
class _Group:
    """What vLLM drew for a request.

    Attributes:
        prompt: Token ids.
        samples: One per sample; one for all where they are greedy.
        scores: By index of the sample, of its tokens, none where they can't be had; a group is
            finished when it has all.
    """

    prompt: list[int]
    samples: list[CompletionOutput]
    scores: dict[int, TokenScores] = field(default_factory=dict)


class VllmModel:
    """A model in vLLM's engine, ready to generate and score."""

    def __init__(
        self,
        queue: VllmQueue,
        tokenizer: PreTrainedTokenizerBase,
        stop_tokens: frozenset[int],
        max_model_len: int,
    ) -> None:
        """Take a started engine's queue; `load` is the usual way."""
        self._queue = queue
        self._tokenizer = tokenizer
        self._stop_tokens = stop_tokens
        self._max_model_len = max_model_len

    @classmethod
    def load(cls, path: str, options: Mapping[str, Any]) -> VllmModel:
        """Load a model folder, never from a hub.

        Args:
            path: The model folder.
            options: The fields of `VllmOptions`.
        """
        tokenizer = AutoTokenizer.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
        arguments = engine_arguments(path, options)
        if options["data_parallel_size"] > 1:
            engine = EngineCopies(arguments)
        else:
            engine = LLMEngine.from_engine_args(EngineArgs(**arguments))
        engine.collective_rpc("show_distributions")
        config = engine.vllm_config.model_config
        stop_tokens = find_stop_tokens(
            config.try_get_generation_config().get("eos_token_id"),
            getattr(config.hf_config, "eos_token_id", None),
            tokenizer.eos_token_id,
        )
        adapter = options["lora_path"] and LoRARequest("adapter", 1, options["lora_path"])
        queue = VllmQueue(engine, stop_tokens, adapter)
        return cls(queue, tokenizer, stop_tokens, config.max_model_len)

    def generate(
        self, requests: Sequence[GenerationRequest], skip: frozenset[int] = frozenset()
    ) -> Iterator[dict[str, Any]]:
        """Events `completions`: finished requests by position, and the progress."""
        prompts = encode_prompts(self._tokenizer, [request.messages for request in requests])
        num_done = sum(requests[place].n for place in skip)
        num_total = sum(request.n for request in requests)
        jobs: list[Job] = []
        refused: list[tuple[int, list[Completion]]] = []
        for place, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
            width = len(prompt) + request.max_new_tokens
            if place in skip:
                continue
            if error := _misfit(len(prompt), width, self._max_model_len):
                error = f"{error}; max_new_tokens={request.max_new_tokens}"
                refused.append((place, failed(request, error)))
            else:
                jobs.append(Job(place, prompt, request))
        for groups in chain([refused], self._sample(jobs, requests)):
            num_done += sum(len(group) for _, group in groups)
            if groups:
                items = [[place, [vars(one) for one in group]] for place, group in groups]
                yield _event("completions", items, num_done, num_total)

    def score(self, pairs: Sequence[tuple[Messages, str]]) -> Iterator[dict[str, Any]]:
        """Events `scores` with (position, fields of `TokenScores`) of some pairs each."""
        prompts = encode_prompts(self._tokenizer, [messages for messages, _ in pairs])
        jobs: list[Job] = []
        refused: list[tuple[int, TokenScores]] = []
        for place, (prompt, (_, text)) in enumerate(zip(prompts, pairs, strict=True)):
            tokens = prompt + encode_completion(self._tokenizer, text, self._stop_tokens)
            # vLLM reads a completion as part of a prompt, which has to leave room for a token.
            if error := _misfit(len(prompt), len(tokens), self._max_model_len - 1):
                refused.append((place, TokenScores([], error=error)))
            else:
                jobs.append(Job(place, tokens, num_given=len(prompt)))
        outcomes = (
            [(job.place, _prompt_scores(job, outcome)) for job, outcome in part]
            for part in self._queue.run(jobs, deque())
        )
        num_done = 0
        for scores in chain([refused], outcomes):
            num_done += len(scores)
            items = [[place, vars(one)] for place, one in scores]
            yield _event("scores", items, num_done, len(pairs))

    def _sample(
        self, jobs: Iterable[Job], requests: Sequence[GenerationRequest]
    ) -> Iterator[list[tuple[int, list[Completion]]]]:
        """(position, completions) of finished requests."""
        urgent: deque[Job] = deque()
        groups: dict[int, _Group] = {}
        for outcomes in self._queue.run(jobs, urgent):
            finished = []
            for job, outcome in outcomes:
                request = requests[job.place]
                if job.request is None:
                    group = groups[job.place]
                    group.scores[job.sample] = _prompt_scores(job, outcome)
                elif isinstance(outcome, str):
                    finished.append((job.place, failed(request, outcome)))
                    continue
                elif error := _failure(outcome):
                    finished.append((job.place, failed(request, error)))
                    continue
                else:
                    group = groups[job.place] = _Group(job.tokens, outcome.outputs)
                    urgent += self._start_scoring(job, group)
                if len(group.scores) == len(group.samples):
                    finished.append((job.place, self._completions(request, groups.pop(job.place))))
            if finished:
                yield finished

    def _start_scoring(self, job: Job, group: _Group) -> list[Job]:
        """Take the scores that are there; jobs for those that are not.

        With a structure, vLLM reports the distribution over the allowed tokens; the model's own
        comes from scoring the sample without the structure.
        """
        assert job.request is not None
        jobs = []
        for index, sample in enumerate(group.samples):
            tokens = [*job.tokens, *sample.token_ids]
            if job.request.structure is None:
                group.scores[index] = _scores(sample.logprobs.logprobs)
            elif len(tokens) >= self._max_model_len:
                group.scores[index] = TokenScores([])
            else:
                jobs.append(Job(job.place, tokens, num_given=len(job.tokens), sample=index))
        return jobs

    def _completions(self, request: GenerationRequest, group: _Group) -> list[Completion]:
        """The n samples of a finished request."""
        return [
            self._completion(request, index, group, index if len(group.samples) > 1 else 0)
            for index in range(request.n)
        ]

    def _completion(
        self, request: GenerationRequest, index: int, group: _Group, place: int
    ) -> Completion:
        """One sample with its text, without the end-of-sequence token or the stop text."""
        sample, scores = group.samples[place], group.scores[place]
        tokens = list(sample.token_ids)
        num_tokens = len(tokens)
        is_stopped = sample.finish_reason == "stop"
        if is_stopped and tokens[-1] in self._stop_tokens:
            tokens.pop()
        text = cut(str(self._tokenizer.decode(tokens, skip_special_tokens=True)), request.stop)
        if is_stopped and request.structure is not None and not _fits(text, request.structure):
            error = f"invalid_structure: the sample ended as {text!r}; the vocabulary may lack more"
            return failed(request, error)[index]
        return Completion(
            request_id=request.id,
            index=index,
            seed=request.seed + index,
            text=text,
            num_tokens=num_tokens,
            finish_reason="stop" if is_stopped else "length",
            sum_logprob=math.fsum(scores.logprobs) if scores.logprobs else None,
            mean_logprob=_mean(scores.logprobs),
            min_logprob=min(scores.logprobs, default=None),
            mean_entropy=_mean(scores.entropies),
            mean_self_certainty=_mean(scores.self_certainties),
            num_prompt_tokens=len(group.prompt),
        )


def _event(name: str, items: list[list[object]], num_done: int, num_total: int) -> dict[str, Any]:
    """An event of the worker's protocol."""
    return {"event": name, "items": items, "done": num_done, "total": num_total}


def _misfit(prompt: int, width: int, limit: int) -> str | None:
    """Why a prompt and its completion, `width` tokens in all, don't fit; None if they do."""
    if prompt == 0:
        return "empty_prompt: the prompt has no tokens"
    if width > limit:
        return (
            f"context_overflow: {width} tokens, {prompt} of them prompt, exceed the engine's "
            f"{limit} positions"
        )
    return None


def _failure(outcome: RequestOutput) -> str | None:
    """Why vLLM gave a request up, None if it did not."""
    if all(sample.finish_reason in ("stop", "length") for sample in outcome.outputs):
        return None
    # The one reason: nothing in the vocabulary goes on with the structure.
    return "invalid_structure: vLLM could not go on with it; the vocabulary may lack what it needs"


def _fits(text: str, structure: Structure) -> bool:
    """Whether a text has a structure, as far as that is easily told.

    vLLM ends a sample early where no token of the vocabulary goes on with the structure.
    """
    if structure.choices:
        return text in structure.choices
    try:
        if structure.regex is not None:
            return re.fullmatch(structure.regex, text) is not None
        json.loads(text)
    except re.error:
        return True  # not an expression of Python's
    except ValueError:
        return False
    return True


def _prompt_scores(job: Job, outcome: RequestOutput | str) -> TokenScores:
    """The scores of a scored prompt's last tokens."""
    if isinstance(outcome, str):
        return TokenScores([], error=outcome)
    num_scored = len(job.tokens) - job.num_given
    return _scores(outcome.prompt_logprobs.logprobs[-num_scored * (1 + NUM_COLUMNS) :])


def _scores(columns: list[float]) -> TokenScores:
    """Log-probability, entropy and self-certainty of every token, which come in turn."""
    width = 1 + NUM_COLUMNS
    return TokenScores(columns[::width], columns[1::width], columns[2::width])


def _mean(values: list[float] | None) -> float | None:
    return math.fsum(values) / len(values) if values else None
