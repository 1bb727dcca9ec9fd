"""The `openai` engine: a model behind any server that speaks OpenAI's protocol."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Coroutine, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from tasks.engines.base import Completion, GenerationRequest, Messages, OnProgress, TokenScores
from tasks.engines.fingerprint import fingerprint_of
from tasks.engines.model_folder import check_model_folder, weight_hash
from tasks.engines.openai_api.background import BackgroundLoop, Outlet
from tasks.engines.openai_api.budget import Budget, Usage
from tasks.engines.openai_api.dialect import Dialect
from tasks.engines.openai_api.endpoints import Endpoint
from tasks.engines.openai_api.failures import RequestError
from tasks.engines.openai_api.groups import Group, Groups
from tasks.engines.openai_api.options import OpenAIOptions
from tasks.engines.openai_api.scoring import Scorer
from tasks.engines.openai_api.transport import Transport
from tasks.engines.openai_api.vllm_server import VllmServer
from tasks.engines.openai_api.weights import ServedModel, find_model
from tasks.errors import EngineError

# Results that are begun and not fetched, per request that may be in flight.
_BUFFER = 2

Result = TypeVar("Result")

_logger = logging.getLogger(__name__)


class OpenAIEngine:
    """A model behind one or several OpenAI-compatible servers; an `Engine`.

    A server doesn't show its weights. vLLM names the folder that it loaded: if that is
    `model_path`, the rows carry the folder's hash. Otherwise the engine refuses to start, unless
    `trust_served_weights` gives your word that the folder is what is served.

    Args:
        model_path: The local folder of the model that the servers serve.
        options: Which servers, how hard, and what it may cost.

    Raises:
        ModelFolderError: If the folder can't be loaded from; nothing was asked then.
        OptionError: If the environment lacks the key.
        EngineError: If no server can be reached, or one serves something else.
    """

    name = "openai"

    def __init__(self, model_path: str | Path, options: OpenAIOptions) -> None:
        """Connect, start a server if asked to, and see what the servers serve."""
        self.model_path = str(check_model_folder(model_path))
        self.options = options
        self._budget = Budget(options)
        self._served: ServedModel | None = None
        self._server: VllmServer | None = None
        self._scorer: Scorer | None = None
        options.api_key()  # before a server is started for minutes
        self._loop = BackgroundLoop("openai-engine")
        self._is_open = True
        try:
            self._start()
            self.weight_hash = self._served_hash()
            self.fingerprint = fingerprint_of(self.name, self.model_path, self.weight_hash, options)
        except BaseException:
            self.close()
            raise

    @property
    def usage(self) -> Usage:
        """Requests, tokens, money and seconds since the engine was opened."""
        self._budget.usage.seconds = self._budget.seconds()
        return self._budget.usage

    def generate(
        self, requests: Sequence[GenerationRequest], on_progress: OnProgress | None = None
    ) -> list[list[Completion]]:
        """Sample every request.

        Args:
            requests: What to sample; any number.
            on_progress: Called after every request with (finished samples, all samples).

        Returns:
            `list[len(requests)]` of `list[n]`, in the order of the requests; a sample that could
            not be drawn has an `error`.

        Raises:
            BudgetExceededError: If the budget ends first.
            EngineError: If there is no server any more, or it refuses all requests.
        """
        found = dict(self._generate(requests, on_progress, ()))
        return [found[position] for position in range(len(requests))]

    def iterate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        skip: Collection[str] = (),
    ) -> Iterator[tuple[GenerationRequest, list[Completion]]]:
        """Sample every request and hand each over when all its samples are there.

        Closing the iterator early cancels what is in flight. Slow fetching slows the asking.

        Args:
            requests: What to sample; any number.
            on_progress: Called after every request with (finished samples, all samples).
            skip: Ids of requests that are done; they are not asked.

        Yields:
            (request, its n completions); a sample that could not be drawn has an `error`.

        Raises:
            BudgetExceededError: If the budget ends first, after everything that was finished.
            EngineError: If there is no server any more, or it refuses all requests.
        """
        with contextlib.closing(self._generate(requests, on_progress, skip)) as groups:
            for position, completions in groups:
                yield requests[position], completions

    def score(
        self, pairs: Sequence[tuple[Messages, str]], on_progress: OnProgress | None = None
    ) -> list[TokenScores]:
        """What the model says of given completions, token by token.

        The pairs are encoded with the folder's own tokenizer; the server has to echo prompts with
        log-probabilities in /v1/completions, as vLLM does.

        Args:
            pairs: (messages, completion text).
            on_progress: Called after every pair with (finished pairs, all pairs).

        Returns:
            One per pair, in their order; a pair that was not scored has an `error`, "unsupported"
            where the server can't score.

        Raises:
            BudgetExceededError: If the budget ends first.
            EngineError: If there is no server any more.
        """
        if self._scorer is None:
            self._scorer = Scorer(self.model_path, self._transport, self._dialect, self._budget)
        rows = self._scorer.encode(pairs)
        scorer, found = self._scorer, dict[int, TokenScores]()
        work = partial(scorer.score_all, rows)
        with contextlib.closing(self._stream(work)) as scored:
            for position, scores in scored:
                found[position] = scores
                if on_progress is not None:
                    on_progress(len(found), len(pairs))
        return [found[position] for position in range(len(pairs))]

    def close(self) -> None:
        """Cancel what is in flight, close the connections and end a server that we started."""
        if not self._is_open:
            return
        self._is_open = False
        try:
            self._loop.close(self._transport.close if hasattr(self, "_transport") else None)
        finally:
            if self._server is not None:
                self._server.close()
        used = self.usage
        _logger.info(
            "%d requests (%d retries), %d prompt and %d generated tokens, cost %.4f, %.0f s",
            used.requests, used.retries, used.prompt_tokens, used.completion_tokens, used.cost,
            used.seconds,
        )  # fmt: skip

    def __enter__(self) -> Self:
        """The engine itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _generate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None,
        skip: Collection[str],
    ) -> Generator[Group]:
        """(position, completions) of all requests but those in `skip`."""
        asked = [(i, request) for i, request in enumerate(requests) if request.id not in skip]
        total = sum(request.n for request in requests)
        done = total - sum(request.n for _, request in asked)
        work = partial(self._groups.sample_all, asked)
        with contextlib.closing(self._stream(work)) as groups:
            for position, completions in groups:
                done += len(completions)
                if on_progress is not None:
                    on_progress(done, total)
                yield position, completions

    def _stream(
        self, work: Callable[[Outlet[Result]], Coroutine[Any, Any, None]]
    ) -> Generator[Result]:
        """What some work in the loop puts out, after every server was checked again."""
        for endpoint in self._endpoints.all:
            endpoint.distrust()
        places = _BUFFER * self.options.max_concurrency * len(self._endpoints.all)
        return self._loop.stream(work, places)

    def _start(self) -> None:
        """Connect to the servers, at least one of which has to be there."""
        urls = list(self.options.base_urls)
        if self.options.serve_vllm:
            self._server = VllmServer(self.model_path, self.options)
            urls = [self._server.url]
        self._loop.run(self._connect(urls))
        assert self._served is not None
        self._dialect = Dialect(
            self._served.name, is_vllm=self._served.is_vllm, logprobs=self.options.logprobs
        )
        self._groups = Groups(self._transport, self._dialect, self._budget)

    async def _connect(self, urls: list[str]) -> None:
        self._transport = Transport(self.options, self._budget.usage, self._check)
        self._endpoints = self._transport.use(urls, self._probe)
        failures = []
        for endpoint in self._endpoints.all:
            try:
                await self._probe(endpoint)
            except OSError as error:
                endpoint.could_not_be_reached()
                failures.append(f"{endpoint.url}: {error}")
                _logger.warning("not reachable, to be tried again: %s", failures[-1])
        if len(failures) == len(urls):
            raise EngineError(f"no server can be reached: {'; '.join(failures)}")

    async def _probe(self, endpoint: Endpoint) -> None:
        """Check a server; start our own again if it has ended."""
        try:
            await self._transport.probe(endpoint)
        except OSError:
            if self._server is None or not await asyncio.to_thread(self._server.revive):
                raise
            await self._transport.probe(endpoint)

    def _check(self, endpoint: Endpoint, answer: bytes | RequestError) -> None:
        """Refuse a server that serves something else than the model folder, or than the others."""
        found = find_model(endpoint, answer, self.options.model, self.model_path)
        if not (found.is_verified or self.options.trust_served_weights):
            raise EngineError(
                f"{endpoint.url} does not say that its model {found.name!r} is "
                f"{self.model_path!r}, so its weights are unknown: start `vllm serve "
                f"{self.model_path}`, or, outside of a training loop, set "
                "trust_served_weights=true if you know that they are the same"
            )
        if self._served not in (None, found):
            raise EngineError(f"{endpoint.url} serves {found}, the others {self._served}")
        self._served = found

    def _served_hash(self) -> str:
        """The hash of the folder that the servers have loaded, or are trusted to have loaded."""
        assert self._served is not None
        found = weight_hash(self.model_path)
        if not self._served.is_verified:
            _logger.warning(
                "the weights of %r are taken to be those of %s (%s): trust_served_weights",
                self._served.name, self.model_path, found[:16],
            )  # fmt: skip
        return found
