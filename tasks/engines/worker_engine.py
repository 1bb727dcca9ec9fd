"""An engine whose model lives in a process of its own, which is started again when it dies."""

from __future__ import annotations

import contextlib
import json
import logging
import tempfile
import threading
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from tasks.child_process import end_child, read_tail, start_child
from tasks.engines.base import (
    Completion,
    EngineOptions,
    GenerationRequest,
    Messages,
    OnProgress,
    TokenScores,
)
from tasks.engines.fingerprint import fingerprint_of
from tasks.engines.model_folder import check_model_folder
from tasks.errors import EngineError, EngineProcessError

# A process that dies this often without finishing anything in between will not finish at all.
MAX_FRUITLESS_RESTARTS = 2

_logger = logging.getLogger(__name__)


class WorkerEngine:
    """A model folder served by a worker process; an `Engine`.

    A subclass names the worker's module, a script around `tasks.engines.worker.run_worker`. When
    the process dies (out of memory, killed), it is started again and goes on with what is missing.

    Args:
        model_path: A local model folder.
        options: The engine's own options.
        num_threads: CPU threads of the process.

    Raises:
        ModelFolderError: If the folder can't be loaded from; nothing was started then.
        EngineError: If the worker does not come up.
    """

    name: str
    worker_module: ClassVar[str]
    worker_imports: ClassVar[str | None] = None

    def __init__(self, model_path: str | Path, options: EngineOptions, num_threads: int) -> None:
        """Start the worker and wait until the model is loaded."""
        self.model_path = str(check_model_folder(model_path))
        self.num_restarts = 0
        self._arguments = [self.model_path, options.model_dump_json()]
        self._num_threads = num_threads
        self._lock = threading.Lock()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self._is_open = True
        self.weight_hash = self._start()
        self.fingerprint = fingerprint_of(self.name, self.model_path, self.weight_hash, options)

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    def generate(
        self, requests: Sequence[GenerationRequest], on_progress: OnProgress | None = None
    ) -> list[list[Completion]]:
        """Sample every request.

        Args:
            requests: What to sample; any number.
            on_progress: Called after every batch with (finished samples, all samples).

        Returns:
            `list[len(requests)]` of `list[n]`, in the order of the requests; a request that the
            model can't serve has completions with an `error`.

        Raises:
            EngineError: If the worker failed, or died again and again.
        """
        found = dict(self._generate(requests, on_progress, set()))
        return [found[position] for position in range(len(requests))]

    def iterate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        skip: Collection[str] = (),
    ) -> Iterator[tuple[GenerationRequest, list[Completion]]]:
        """Sample every request and hand each over when all its samples are there.

        Requests come in an order of the engine's choice. Closing the iterator early stops the
        work after the running batch.

        Args:
            requests: What to sample; any number.
            on_progress: Called after every batch with (finished samples, all samples).
            skip: Ids of requests that are done; the engine plans its batches with them and runs
                without them, so that the others share the batches that they would have shared.

        Yields:
            (request, its n completions); a request that the model can't serve has completions
            with an `error`.

        Raises:
            EngineError: If the worker failed, or died again and again.
        """
        done = {position for position, request in enumerate(requests) if request.id in skip}
        with contextlib.closing(self._generate(requests, on_progress, done)) as groups:
            for position, completions in groups:
                yield requests[position], completions

    def score(
        self, pairs: Sequence[tuple[Messages, str]], on_progress: OnProgress | None = None
    ) -> list[TokenScores]:
        """What the model says of given completions, token by token.

        Args:
            pairs: (messages, completion text).
            on_progress: Called after every batch with (finished pairs, all pairs).

        Returns:
            One per pair, in their order; a pair that the model can't read has an `error`.

        Raises:
            EngineError: If the worker failed, or died again and again.
        """
        found: dict[int, TokenScores] = {}

        def operation() -> dict[str, Any]:
            found.clear()  # scoring is cheap: after a restart it begins anew
            return {"op": "score", "pairs": [list(pair) for pair in pairs]}

        for event in self._retry(operation, on_progress):
            found.update({position: TokenScores(**fields) for position, fields in event["items"]})
        return [found[position] for position in range(len(pairs))]

    def close(self) -> None:
        """End the worker and everything it started; its memory is free when this returns."""
        if self._is_open:
            self._is_open = False
            end_child(self._process)
            self._log.close()

    def __enter__(self) -> Self:
        """The engine itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the worker."""
        self.close()

    def __del__(self) -> None:
        """End the worker of an engine that was dropped without `close`."""
        if getattr(self, "_is_open", False) and hasattr(self, "_process"):
            self.close()

    def _generate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None,
        done: set[int],
    ) -> Generator[tuple[int, list[Completion]]]:
        """(position, completions) of all requests but those in `done`, which grows."""
        asked = [asdict(request) for request in requests]

        def operation() -> dict[str, Any]:
            return {"op": "generate", "requests": asked, "skip": sorted(done)}

        with contextlib.closing(self._retry(operation, on_progress)) as events:
            for event in events:
                for position, completions in event["items"]:
                    done.add(position)
                    yield position, [Completion(**fields) for fields in completions]

    def _retry(
        self, operation: Callable[[], dict[str, Any]], on_progress: OnProgress | None
    ) -> Generator[dict[str, Any]]:
        """The events of an operation, which is asked for again when the process died."""
        fruitless = 0
        while True:
            try:
                with contextlib.closing(self._run(operation(), on_progress)) as events:
                    for event in events:
                        fruitless = 0
                        yield event
                return
            except EngineProcessError as error:
                if fruitless == MAX_FRUITLESS_RESTARTS:
                    self.close()
                    raise
                fruitless += 1
                _logger.warning("%s\nstarting it again", error)
                self._restart()

    def _run(
        self, operation: dict[str, Any], on_progress: OnProgress | None
    ) -> Generator[dict[str, Any]]:
        """The events of one operation; one operation at a time."""
        with self._lock:
            self._send(operation)
            try:
                while (event := self._receive())["event"] != "done":
                    if on_progress is not None:
                        on_progress(event["done"], event["total"])
                    yield event
            except EngineProcessError:
                raise  # nobody is left who could be told to stop
            except (Exception, GeneratorExit):
                if self._is_open:
                    self._abandon()
                raise
            except BaseException:
                # An interrupt may have come in the middle of a line: the pipe is lost.
                self.close()
                raise

    def _abandon(self) -> None:
        """Stop the running operation, so that the next one starts with a clean pipe."""
        with contextlib.suppress(EngineError):
            self._send({"op": "stop"})
            while self._receive()["event"] != "done":
                pass

    def _start(self) -> str:
        """Start the worker; the hash of the weights that it serves."""
        self._process = start_child(
            self.worker_module,
            self._arguments,
            self._num_threads,
            stderr=self._log,
            talk=True,
            imports=self.worker_imports,
        )
        try:
            return str(self._receive()["weight_hash"])
        except BaseException:
            self.close()
            raise

    def _restart(self) -> None:
        """Start the worker again after it died."""
        self.num_restarts += 1
        found = self._start()
        if found != self.weight_hash:
            self.close()
            raise EngineError(
                f"{self.model_path!r} holds other weights than before the engine's process died: "
                f"{found}, not {self.weight_hash}"
            )

    def _send(self, operation: dict[str, Any]) -> None:
        """Write one operation to the worker."""
        if not self._is_open:
            raise EngineError("the engine is closed; open a new one with open_engine")
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(operation).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            # The reason is in the worker's last words, which `_receive` reports.
            self._receive()

    def _receive(self) -> dict[str, Any]:
        """The worker's next event; its error becomes ours, with the tail of its traceback."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        event: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {}
        if event and event["event"] != "error":
            return event
        end_child(self._process, grace_s=2.0)
        code, tail = self._process.returncode, read_tail(self._log)
        reason = event.get("message", f"its process ended with exit code {code}")
        message = (
            f"engine {self.name!r} serving {self.model_path!r} failed: {reason}\n"
            f"last lines of the worker:\n{tail}"
        )
        if not event:
            raise EngineProcessError(message)
        self.close()
        raise EngineError(message)
