"""One request to whichever server takes it, tried again until it is answered or refused."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import aiohttp

from tasks.engines.openai_api.budget import Usage
from tasks.engines.openai_api.endpoints import Endpoint, Endpoints
from tasks.engines.openai_api.failures import RequestError, refusal
from tasks.engines.openai_api.options import OpenAIOptions

Found = TypeVar("Found")

_MAX_BACKOFF_S = 30.0
_CONNECT_S = 10.0
# Shorter than the 5 s of uvicorn, on which vLLM runs: a server that closes an idle connection
# just when we use it looks like a crash.
_KEEPALIVE_S = 4.0


class Transport:
    """Sends requests; to be made and used inside one event loop.

    Args:
        options: How long and how often to try.
        usage: Counts requests and retries.
        check: Judges what a server says of its models; raises if it serves something else.
    """

    def __init__(
        self,
        options: OpenAIOptions,
        usage: Usage,
        check: Callable[[Endpoint, bytes | RequestError], None],
    ) -> None:
        """Open the session; nothing is sent yet."""
        self._options, self._usage, self._check = options, usage, check
        self._key = options.api_key()
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
            timeout=aiohttp.ClientTimeout(
                total=options.timeout_s, sock_connect=min(_CONNECT_S, options.timeout_s)
            ),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    def use(self, urls: list[str], probe: Callable[[Endpoint], Awaitable[None]]) -> Endpoints:
        """The servers that requests go to, and what checks one before it is trusted again."""
        found = [Endpoint(url, self._options.max_concurrency) for url in urls]
        self._endpoints = Endpoints(found, probe, self._options.max_outage_s)
        return self._endpoints

    async def post(
        self, path: str, body: dict[str, Any], read: Callable[[bytes], Found], seed: int
    ) -> Found:
        """What a request is answered.

        Args:
            path: Of the address, after `/v1`.
            body: The request.
            read: Makes sense of the body of an answer; raises RequestError if there is none.
            seed: Of the waits before retries.

        Raises:
            RequestError: If the request was refused, or failed `max_attempts` times.
            EngineError: If there is no server any more.
        """
        data = json.dumps(body).encode()
        last: Endpoint | None = None
        for attempt in range(1, self._options.max_attempts + 1):
            endpoint = await self._endpoints.acquire(avoid=last)
            last = endpoint
            self._usage.requests += 1
            try:
                return await self._try(endpoint, path, data, read)
            except RequestError as error:
                if not error.is_temporary or attempt == self._options.max_attempts:
                    raise
            finally:
                self._endpoints.release(endpoint)
            self._usage.retries += 1
            await asyncio.sleep(self._wait_s(seed, attempt))
        raise AssertionError("max_attempts is at least 1")

    async def probe(self, endpoint: Endpoint) -> None:
        """Ask a server for its models.

        Raises:
            OSError: If it can't be reached or is not ready.
            EngineError: If it serves something else than it should.
        """
        url = f"{endpoint.url}/models"
        timeout = aiohttp.ClientTimeout(total=min(_CONNECT_S, self._options.timeout_s))
        try:
            async with self._session.get(url, timeout=timeout) as response:
                raw = await response.read()
        except aiohttp.ClientError as error:
            raise ConnectionError(f"{url}: {type(error).__name__}: {error}") from error
        if response.status == 429 or response.status >= 500:
            raise ConnectionError(f"{url} answered HTTP {response.status}")
        is_answer = response.status == 200
        known = self._without_key(raw)
        self._check(endpoint, known if is_answer else refusal(response.status, known))

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def _try(
        self, endpoint: Endpoint, path: str, data: bytes, read: Callable[[bytes], Found]
    ) -> Found:
        """One attempt at one server."""
        sent_at = time.monotonic()
        try:
            async with self._session.post(
                endpoint.url + path, data=data, allow_redirects=False
            ) as response:
                raw = await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            endpoint.could_not_be_reached()
            raise RequestError("connection", f"{endpoint.url}: {error}") from error
        except TimeoutError as error:
            endpoint.balked(sent_at)
            seconds = self._options.timeout_s
            raise RequestError("timeout", f"{endpoint.url}: nothing in {seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            endpoint.distrust()
            text = f"{endpoint.url}: {type(error).__name__}: {error}"
            raise RequestError("connection", text) from error
        if response.status == 200:
            endpoint.succeeded()
            return read(raw)
        if response.status in (429, 503):
            endpoint.balked(sent_at, _retry_after_s(response.headers.get("Retry-After")))
        raise refusal(response.status, self._without_key(raw))

    def _without_key(self, raw: bytes) -> bytes:
        """An answer that may quote our key, without it."""
        return raw.replace(self._key.encode(), b"(api key)") if self._key else raw

    def _wait_s(self, seed: int, attempt: int) -> float:
        """Full jitter: anything up to a bound that doubles, so that clients don't march in step.

        Source: Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
        """
        bound = min(_MAX_BACKOFF_S, self._options.backoff_s * 2.0 ** (attempt - 1))
        return random.Random(seed * 128 + attempt).uniform(0.0, bound)


def _retry_after_s(value: str | None) -> float:
    """Seconds of a Retry-After header, which holds a number or a date; 0 for none or nonsense."""
    if value is None:
        return 0.0
    if re.fullmatch(r"\s*\d+(\.\d+)?\s*", value):
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
