"""An event loop in a thread of its own, and results that come out of it one by one."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from tasks.errors import EngineError

Result = TypeVar("Result")


class Outlet(Generic[Result]):
    """Where work in the loop puts what it finished; holds no more than there is room for.

    Work takes a place before it begins, and the place is free again when its result was fetched:
    whoever fetches slowly slows the work down, and memory stays bounded.

    Args:
        num_places: Pieces of work that are begun and not fetched, at most.
    """

    def __init__(self, num_places: int) -> None:
        """Begin empty."""
        self.items: queue.SimpleQueue[Result | asyncio.Task[None]] = queue.SimpleQueue()
        self.places = asyncio.Semaphore(num_places)

    def put(self, result: Result) -> None:
        """Hand a result over; its work had taken a place."""
        self.items.put(result)


class BackgroundLoop:
    """Runs coroutines for synchronous callers."""

    def __init__(self, name: str) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine and wait for its result."""
        self._refuse_if_closed(work)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stream(
        self, work: Callable[[Outlet[Result]], Coroutine[Any, Any, None]], num_places: int
    ) -> Generator[Result]:
        """Run a coroutine and yield what it puts; closing the generator cancels it.

        Args:
            work: Gets the outlet; takes a place in it per result.
            num_places: Results that may be under way, at most.

        Raises:
            EngineError: If the loop was closed meanwhile. What `work` raises comes after all
                results that it put.
        """
        outlet: Outlet[Result] = Outlet(num_places)
        task = self.run(self._begin(work, outlet))
        try:
            while not isinstance(item := outlet.items.get(), asyncio.Task):
                with contextlib.suppress(RuntimeError):  # the loop was closed
                    self._loop.call_soon_threadsafe(outlet.places.release)
                yield item
            if item.cancelled():
                raise EngineError("the engine was closed while it was asked")
            item.result()
        finally:
            if not task.done():
                self._loop.call_soon_threadsafe(task.cancel)
                while not isinstance(outlet.items.get(), asyncio.Task):
                    pass

    def close(self, finish: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        """Cancel everything and end the thread; calling it again does nothing.

        Args:
            finish: Run in the loop after everything was cancelled.
        """
        if not self._thread.is_alive():
            return
        self.run(self._cancel_all())
        if finish is not None:
            self.run(finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @staticmethod
    async def _begin(
        work: Callable[[Outlet[Result]], Coroutine[Any, Any, None]], outlet: Outlet[Result]
    ) -> asyncio.Task[None]:
        task = asyncio.create_task(work(outlet))
        # A callback comes also when the task is cancelled before its first step.
        task.add_done_callback(outlet.items.put)
        return task

    @staticmethod
    async def _cancel_all() -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _refuse_if_closed(self, work: Coroutine[Any, Any, Any]) -> None:
        if not self._thread.is_alive():
            work.close()
            raise EngineError("the engine is closed; open a new one with open_engine")
