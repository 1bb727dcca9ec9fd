"""Continuous work for vLLM's engine: what is finished makes room for what comes next."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from itertools import count
from typing import NamedTuple

from vllm import LLMEngine, RequestOutput
from vllm.exceptions import VLLMClientError
from vllm.inputs import tokens_input
from vllm.lora.request import LoRARequest

from tasks.engines.base import GenerationRequest
from tasks.engines.vllm_copies import EngineCopies
from tasks.engines.vllm_params import sampling_params, scoring_params

# Finished work is handed over at most this often: every time is one line through a pipe.
_HANDOVER_S = 0.05


class Job(NamedTuple):
    """One request to vLLM: to sample after `tokens`, or to score what follows their beginning.

    Attributes:
        place: Position of the request or pair that it belongs to.
        tokens: Token ids, not empty.
        request: What to sample; None to score.
        num_given: To score: tokens before the scored ones, at least 1.
        sample: To score: which sample of its request it is.
    """

    place: int
    tokens: list[int]
    request: GenerationRequest | None = None
    num_given: int = 0
    sample: int = 0


# What came out of a job: vLLM's answer, or why vLLM did not take it as "kind: what happened".
Outcome = tuple[Job, RequestOutput | str]


class VllmQueue:
    """Keeps vLLM's own queue filled, without putting everything into it at once."""

    def __init__(
        self,
        engine: LLMEngine | EngineCopies,
        stop_tokens: Collection[int],
        adapter: LoRARequest | None,
    ) -> None:
        """Take a started engine, the tokens that end a sample, and the adapter to serve."""
        self._engine = engine
        self._stop_tokens = stop_tokens
        self._adapter = adapter
        # As many samples wait as run, so that a finished one is followed at once.
        copies = engine.vllm_config.parallel_config.data_parallel_size
        self._max_in_flight = 2 * copies * engine.vllm_config.scheduler_config.max_num_seqs
        self._names = map(str, count())

    def run(self, jobs: Iterable[Job], urgent: deque[Job]) -> Iterator[list[Outcome]]:
        """Do jobs; leaving early takes those that are running back.

        Args:
            jobs: What to do, taken as room for it comes up.
            urgent: Jobs that go before these; the caller may add some between two outcomes.

        Yields:
            Jobs with what came out of them, as they finish.
        """
        coming, running = iter(jobs), dict[str, Job]()
        finished: list[Outcome] = []
        last = time.monotonic()
        try:
            while True:
                finished += self._fill(coming, urgent, running)
                if not running and not finished:
                    return
                for output in self._engine.step() if running else ():
                    # Of a job that was taken back, an output may still be on its way.
                    if output.finished and (job := running.pop(output.request_id, None)):
                        finished.append((job, output))
                now = time.monotonic()
                if finished and (not running or now - last >= _HANDOVER_S):
                    yield finished
                    finished, last = [], now
        finally:
            self._engine.abort_request(list(running))

    def _fill(
        self, coming: Iterator[Job], urgent: deque[Job], running: dict[str, Job]
    ) -> list[Outcome]:
        """Give vLLM jobs until enough samples are in flight; those that it did not take."""
        refused: list[Outcome] = []
        in_flight = sum(job.request.n if job.request else 1 for job in running.values())
        while in_flight < self._max_in_flight:
            job = urgent.popleft() if urgent else next(coming, None)
            if job is None:
                break
            name = next(self._names)
            try:
                self._add(name, job)
            except Exception as error:
                refused.append((job, _refusal(job, error)))
                self._engine.abort_request([name])
            else:
                running[name] = job
                in_flight += job.request.n if job.request else 1
        return refused

    def _add(self, name: str, job: Job) -> None:
        """Give vLLM one job."""
        if job.request is None:
            params = scoring_params()
        else:
            params = sampling_params(job.request, self._stop_tokens)
        self._engine.add_request(name, tokens_input(job.tokens), params, lora_request=self._adapter)


def _refusal(job: Job, error: Exception) -> str:
    """Why vLLM did not take a job; anything but the job's own fault is raised again."""
    is_constrained = job.request is not None and job.request.structure is not None
    # The libraries that read structures raise anything; other checks name what they refuse.
    if is_constrained and getattr(error, "parameter", None) is None:
        return f"invalid_structure: {error}"
    if isinstance(error, ValueError | VLLMClientError):
        return f"refused: {error}"
    raise error
