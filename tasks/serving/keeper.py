"""Engines that open when somebody has to be asked and stay open for the next stage."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tasks.engines import (
    Completion,
    Engine,
    GenerationRequest,
    Messages,
    OnProgress,
    TokenScores,
    engine_fingerprint,
    open_engine,
)
from tasks.errors import EngineError
from tasks.models import ModelRef, check_weights
from tasks.serving.earlier import EarlierSamples


class EngineKeeper:
    """The engines of a round, one per model; use it in a `with` statement.

    An engine's process starts with the first request that it has to answer, and goes on until the
    keeper is closed or another model needs its place.

    Args:
        name: The engine, a key of `ENGINES`.
        options: Its options.
        earlier: Where answers to the same requests are looked up first; None to ask always.
        max_open: Processes at the same time.
    """

    def __init__(
        self,
        name: str,
        options: Mapping[str, object],
        *,
        earlier: EarlierSamples | None = None,
        max_open: int = 1,
    ) -> None:
        self._name, self._options = name, options
        self._earlier, self._max_open = earlier, max_open
        self._engines: dict[tuple[str, str], KeptEngine] = {}
        self._open: list[KeptEngine] = []  # the one that was opened first comes first

    def of(self, model: ModelRef) -> KeptEngine:
        """The engine of a model, started or not.

        Args:
            model: Its folder has to hold the weights of its record.

        Raises:
            WeightsChangedError: If it does not.
            ModelFolderError: If the folder is gone or damaged.
            OptionError: If an option is unknown or out of range.
        """
        key = (str(model.path), model.weight_hash)
        if key not in self._engines:
            check_weights(model)  # before minutes of loading; what the engine serves decides
            self._engines[key] = KeptEngine(model, self._name, self._options, self)
        return self._engines[key]

    def find(
        self, engine: KeptEngine, requests: Sequence[GenerationRequest]
    ) -> dict[str, list[Completion]]:
        """Completions of requests that an engine need not be asked, by the request's id."""
        if self._earlier is None:
            return {}
        return self._earlier.find(engine.weight_hash, engine.fingerprint, requests)

    def make_room(self, engine: KeptEngine) -> None:
        """Close what has to end before an engine's process starts."""
        self.forget(engine)
        while len(self._open) >= self._max_open:
            self._open[0].close()
        self._open.append(engine)

    def forget(self, engine: KeptEngine) -> None:
        """Take note that an engine's process has ended."""
        if engine in self._open:
            self._open.remove(engine)

    def close(self) -> None:
        """End all processes; the next request starts one again."""
        with ExitStack() as stack:
            if self._earlier is not None:
                stack.callback(self._earlier.close)
            for engine in self._open:
                stack.callback(engine.close)

    def __enter__(self) -> Self:
        """The keeper itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all processes."""
        self.close()


class KeptEngine:
    """One model's engine of a keeper; an `Engine`.

    It has weight hash and fingerprint before its process runs. What earlier samples answer comes
    from them, marked as reused; closing it ends its process, and the next request starts another.

    Attributes:
        opening_s: Seconds that starting its processes has taken so far.
    """

    def __init__(
        self, model: ModelRef, name: str, options: Mapping[str, object], keeper: EngineKeeper
    ) -> None:
        """Start nothing; `EngineKeeper.of` is the way to get one."""
        self.name, self.model_path = name, str(model.path)
        self.weight_hash = model.weight_hash
        self.fingerprint = engine_fingerprint(name, model.path, model.weight_hash, options)
        self.opening_s = 0.0
        self._model, self._options, self._keeper = model, options, keeper
        self._engine: Engine | None = None

    def generate(
        self, requests: Sequence[GenerationRequest], on_progress: OnProgress | None = None
    ) -> list[list[Completion]]:
        """Completions of every request: `list[len(requests)]` of `list[n]`, in input order.

        Args:
            requests: What to sample, no two of one id.
            on_progress: Called with (finished samples, all samples).

        Raises:
            EngineError: If the engine does not start, or fails.
        """
        found = {own.id: made for own, made in self.iterate(requests, on_progress)}
        return [found[request.id] for request in requests]

    def iterate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        skip: Collection[str] = (),
    ) -> Iterator[tuple[GenerationRequest, list[Completion]]]:
        """Requests with their completions: first the reused ones, then those of the engine.

        Args:
            requests: What to sample, no two of one id.
            on_progress: Called with (finished samples, all samples).
            skip: Ids of requests that are done.

        Raises:
            EngineError: If the engine does not start, or fails.
        """
        done = set(skip)
        found = self._keeper.find(self, [own for own in requests if own.id not in done])
        for request in requests:
            if request.id in found:
                yield request, found[request.id]
        done |= found.keys()
        if any(request.id not in done for request in requests):
            yield from self._started().iterate(requests, on_progress, done)
        elif on_progress is not None and requests:
            total = sum(request.n for request in requests)
            on_progress(total, total)

    def score(
        self, pairs: Sequence[tuple[Messages, str]], on_progress: OnProgress | None = None
    ) -> list[TokenScores]:
        """What the model says of each (messages, completion text), in input order.

        Args:
            pairs: What to score.
            on_progress: Called with (finished pairs, all pairs).

        Raises:
            EngineError: If the engine does not start, or fails.
        """
        return self._started().score(pairs, on_progress)

    def close(self) -> None:
        """End its process, if it runs."""
        engine, self._engine = self._engine, None
        self._keeper.forget(self)
        if engine is not None:
            engine.close()

    def __enter__(self) -> Self:
        """The engine itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End its process."""
        self.close()

    def _started(self) -> Engine:
        if self._engine is None:
            self._keeper.make_room(self)
            start = time.monotonic()
            self._engine = open_engine(self.name, self.model_path, self._options)
            self.opening_s += time.monotonic() - start
            try:
                self._check(self._engine)
            except BaseException:
                self.close()
                raise
        return self._engine

    def _check(self, engine: Engine) -> None:
        """Refuse an engine that is not what samples were looked up for."""
        check_weights(self._model, engine.weight_hash)
        if engine.fingerprint != self.fingerprint:
            raise EngineError(
                f"{self.model_path} was changed while the round ran: tokenizer, chat template or "
                "config are not what they were. Restore them, or start a new run"
            )
