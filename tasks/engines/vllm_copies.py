"""Several copies of a model behind vLLM's own load balancer, with the face of its `LLMEngine`."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from vllm import AsyncEngineArgs, RequestOutput, SamplingParams
from vllm.lora.request import LoRARequest
from vllm.v1.engine.async_llm import AsyncLLM

_Result = TypeVar("_Result")

_WAIT_S = 0.05


class EngineCopies:
    """vLLM's data-parallel engine, which is asynchronous, run by a thread of its own.

    It has what `VllmQueue` needs of `LLMEngine`, which refuses more than one copy. The copies are
    processes in this one's process group: who ends the group ends them all.

    Args:
        arguments: Keyword arguments of vLLM's EngineArgs.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        """Start the copies and wait until they are loaded."""
        self._finished: queue.SimpleQueue[RequestOutput | Exception] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="vllm-copies", daemon=True).start()
        self._engine: AsyncLLM = self._submit(self._start(arguments)).result()
        self.vllm_config = self._engine.vllm_config

    def add_request(
        self,
        name: str,
        prompt: Mapping[str, Any],
        params: SamplingParams,
        lora_request: LoRARequest | None = None,
    ) -> None:
        """Give one request to the copy with the least to do.

        Raises:
            VLLMClientError: If vLLM does not take it.
        """
        output = self._submit(
            self._engine.add_request(name, prompt, params, lora_request=lora_request)
        )
        self._submit(self._hand_over(output.result()))

    def step(self) -> list[RequestOutput]:
        """What finished since the last call; waits a little where that is nothing."""
        found: list[RequestOutput] = []
        with contextlib.suppress(queue.Empty):
            output = self._finished.get(timeout=_WAIT_S)
            while True:
                if isinstance(output, Exception):
                    raise output
                found.append(output)
                output = self._finished.get_nowait()
        return found

    def abort_request(self, names: list[str]) -> None:
        """Take requests back, and forget what came of them meanwhile."""
        self._submit(self._engine.abort(names)).result()

    def collective_rpc(self, method: str) -> None:
        """Call a method of all workers of all copies."""
        self._submit(self._engine.collective_rpc(method)).result()

    async def _start(self, arguments: Mapping[str, Any]) -> AsyncLLM:
        """The engine, made in its own loop."""
        return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))

    async def _hand_over(self, output: Any) -> None:
        """Wait for one request's output and pass it on."""
        try:
            self._finished.put(await output.get())
        except Exception as error:
            self._finished.put(error)

    def _submit(self, work: Coroutine[Any, Any, _Result]) -> Future[_Result]:
        """Have the loop do something."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)
