"""The servers: how many requests each one takes at a time, and which of them can be reached."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from tasks.errors import EngineError

_FIRST_PROBE_S, _LAST_PROBE_S = 0.25, 15.0
# A daily quota may ask for hours; then the samples become errors instead.
_MAX_PAUSE_S = 300.0


class Endpoint:
    """One server, with a limit on its requests in flight that follows what it takes.

    The limit grows by one per window of successes and is halved when the server balks (AIMD, as
    TCP does), once per window: requests that were sent before a cut tell nothing about it.

    Args:
        url: Its address up to `/v1`.
        max_limit: The most requests in flight.
    """

    def __init__(self, url: str, max_limit: int) -> None:
        """Begin at the most: a server that takes less says so within one round trip."""
        self.url = url
        self.limit = float(max_limit)
        self.in_flight = 0
        self.is_up = True
        self.is_probed = False
        self.not_before = 0.0
        self._max_limit = max_limit
        self._last_cut = 0.0
        self._probe_s = _FIRST_PROBE_S

    def succeeded(self) -> None:
        """An answer came."""
        self.limit = min(self._max_limit, self.limit + 1 / self.limit)

    def balked(self, sent_at: float, pause_s: float = 0.0) -> None:
        """It answered 429 or 503, or not in time.

        Args:
            sent_at: When that request was sent, by `time.monotonic`.
            pause_s: For how long the server asked not to be asked.
        """
        now = time.monotonic()
        self.not_before = max(self.not_before, now + min(pause_s, _MAX_PAUSE_S))
        if sent_at >= self._last_cut:
            self.limit, self._last_cut = max(1.0, self.limit / 2), now

    def distrust(self) -> None:
        """Probe it before the next request: another server may be at its address by now."""
        self.is_up = False

    def could_not_be_reached(self) -> None:
        """No connection could be made: wait before the next probe, longer each time."""
        self.is_up = False
        self.not_before = time.monotonic() + self._probe_s
        self._probe_s = min(self._probe_s * 2, _LAST_PROBE_S)

    def is_back(self) -> None:
        """It answers, and it serves what it should."""
        self.is_up, self._probe_s = True, _FIRST_PROBE_S

    def room(self, now: float) -> float:
        """Share of the limit that is free, 0 if it must not be asked now; a probe comes first."""
        if now < self.not_before:
            return 0.0
        if not self.is_up:
            return 0.0 if self.is_probed else 2.0
        return max(0.0, 1 - self.in_flight / int(self.limit))


class Endpoints:
    """Shares the servers out among the requests.

    Args:
        endpoints: At least one.
        probe: Checks a server; raises OSError while it can't be reached.
        max_outage_s: Seconds without any server after which `acquire` gives up.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        probe: Callable[[Endpoint], Awaitable[None]],
        max_outage_s: float,
    ) -> None:
        """Take the servers."""
        self.all = list(endpoints)
        self._probe, self._max_outage_s = probe, max_outage_s
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._out_since: float | None = None

    async def acquire(self, avoid: Endpoint | None = None) -> Endpoint:
        """A server with room for one more request; give it back with `release`.

        Args:
            avoid: Not this one, where another one has room.

        Raises:
            EngineError: If no server could be reached for `max_outage_s`, or one that is back
                serves something else.
        """
        while True:
            endpoint = await self._next(avoid)
            if endpoint.is_up or await self._is_back(endpoint):
                return endpoint

    def release(self, endpoint: Endpoint) -> None:
        """Give a server back."""
        endpoint.in_flight -= 1
        self._wake()

    async def _is_back(self, endpoint: Endpoint) -> bool:
        """Whether a server that is to be probed, and is ours now, answers; given back if not."""
        endpoint.is_probed = True
        try:
            await self._probe(endpoint)
        except OSError as error:
            endpoint.could_not_be_reached()
            self.release(endpoint)
            self._stop_if_out(error)
            return False
        except BaseException:
            self.release(endpoint)
            raise
        finally:
            endpoint.is_probed = False
        endpoint.is_back()
        self._wake()
        return True

    async def _next(self, avoid: Endpoint | None) -> Endpoint:
        """The server with the most room, taken; waits until there is one."""
        while True:
            now = time.monotonic()
            if any(endpoint.is_up for endpoint in self.all):
                self._out_since = None
            elif self._out_since is None:
                self._out_since = now
            found = max(self.all, key=lambda e: (e.room(now) > 0, e is not avoid, e.room(now)))
            if found.room(now) > 0:
                found.in_flight += 1
                return found
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            self._set_timer(now)
            try:
                await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():
                    self._wake()  # the turn that was ours
                raise

    def _wake(self) -> None:
        """Wake as many as there is room for."""
        now = time.monotonic()
        free = sum(
            max(0, int(e.limit) - e.in_flight) if e.is_up else 1
            for e in self.all
            if e.room(now) > 0
        )
        while free and self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                free -= 1

    def _set_timer(self, now: float) -> None:
        """Wake those who wait when the next pause ends."""
        ends = [e.not_before for e in self.all if e.not_before > now]
        if ends:
            if self._timer is not None:
                self._timer.cancel()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(min(ends) - now + 0.001, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._wake()
        if self._waiting:
            self._set_timer(time.monotonic())

    def _stop_if_out(self, error: OSError) -> None:
        if self._out_since is None or any(endpoint.is_up for endpoint in self.all):
            return
        seconds = time.monotonic() - self._out_since
        if seconds >= self._max_outage_s:
            urls = ", ".join(endpoint.url for endpoint in self.all)
            raise EngineError(
                f"no server could be reached for {seconds:.0f} s ({urls}; last: {error}); what is "
                "finished is kept: start the server and run the same command again"
            ) from error
