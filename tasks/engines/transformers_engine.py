"""The `transformers` engine: a local model served by a process of its own."""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from tasks.child_process import end_child, read_tail, start_child
from tasks.engines.base import Completion, GenerationRequest, Messages, OnProgress
from tasks.engines.model_folder import check_model_folder
from tasks.errors import EngineError


class TransformersOptions(BaseModel):
    """How the `transformers` engine uses the machine; none of it changes what is sampled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_threads: int = Field(2, ge=1, description="CPU threads of the engine's process")
    rows_per_batch: int = Field(256, ge=1, description="samples decoded together at most")
    tokens_per_batch: int = Field(
        32768, ge=1, description="prompt and new tokens of a batch at most; bounds the KV cache"
    )
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = Field(
        "float32", description="data type of the weights in memory; auto: as stored"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto takes the GPU where there is one"
    )


class TransformersEngine:
    """A model folder served by a worker process; an `Engine`.

    Args:
        model_path: A local model folder.
        options: How to use the machine.

    Raises:
        ModelFolderError: If the folder can't be loaded from; nothing was started then.
        EngineError: If the worker does not come up.
    """

    name = "transformers"

    def __init__(self, model_path: str | Path, options: TransformersOptions | None = None) -> None:
        """Start the worker and wait until the model is loaded."""
        self.model_path = str(check_model_folder(model_path))
        self.options = options or TransformersOptions()
        self._lock = threading.Lock()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self._process = start_child(
            "tasks.engines.transformers_worker",
            [self.model_path, self.options.model_dump_json()],
            self.options.num_threads,
            stderr=self._log,
            talk=True,
        )
        self._is_open = True
        try:
            self.weight_hash = str(self._receive()["weight_hash"])
        except BaseException:
            self.close()
            raise

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
            `list[len(requests)]` of `list[n]`, in the order of the requests.

        Raises:
            EngineError: If a request does not fit the model, or the worker ended.
        """
        found: dict[int, list[Completion]] = {}
        for event in self._run(_generate_operation(requests), on_progress):
            found.update(_completions(event))
        return [found[position] for position in range(len(requests))]

    def iterate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        skip: Collection[str] = (),
    ) -> Iterator[tuple[GenerationRequest, list[Completion]]]:
        """Sample every request and hand each over when all its samples are there.

        Requests come in an order of the engine's choice (longest prompts first). Closing the
        iterator early stops the work after the running batch.

        Args:
            requests: What to sample; any number.
            on_progress: Called after every batch with (finished samples, all samples).
            skip: Ids of requests that are done; batches are planned with them and run without
                them, so that the others share the batches that they would have shared.

        Yields:
            (request, its n completions).

        Raises:
            EngineError: If a request does not fit the model, or the worker ended.
        """
        operation = _generate_operation(requests, skip)
        with contextlib.closing(self._run(operation, on_progress)) as events:
            for event in events:
                for position, completions in _completions(event).items():
                    yield requests[position], completions

    def score(self, pairs: Sequence[tuple[Messages, str]]) -> list[list[float]]:
        """Log-probabilities of given completions, token by token.

        Args:
            pairs: (messages, completion text).

        Returns:
            One list per pair: a value for each token of the encoded text, then one for the
            end-of-sequence token.

        Raises:
            EngineError: If the worker ended.
        """
        found: dict[int, list[float]] = {}
        for event in self._run({"op": "score", "pairs": [list(pair) for pair in pairs]}, None):
            found.update({position: scores for position, scores in event["items"]})
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
        if getattr(self, "_is_open", False):
            self.close()

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
        self.close()
        reason = event.get("message", f"its process ended with exit code {code}")
        raise EngineError(
            f"engine 'transformers' serving {self.model_path!r} failed: {reason}\n"
            f"last lines of the worker:\n{tail}"
        )


def _generate_operation(
    requests: Sequence[GenerationRequest], skip: Collection[str] = ()
) -> dict[str, Any]:
    """The operation that samples all requests but those to skip."""
    positions = [position for position, request in enumerate(requests) if request.id in skip]
    asked = [asdict(request) for request in requests]
    return {"op": "generate", "requests": asked, "skip": positions}


def _completions(event: dict[str, Any]) -> dict[int, list[Completion]]:
    """The finished requests of an event, by position."""
    return {
        position: [Completion(**fields) for fields in completions]
        for position, completions in event["items"]
    }
