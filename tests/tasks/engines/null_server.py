"""A server that speaks OpenAI's protocol, answers at once, and fails as it is told to.

Every answer says which prompt and seed it is for, so that a test sees where an answer went. Run as
a process: `python null_server.py CONFIG`, CONFIG in JSON; it prints its port and ends with stdin.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pydoc_data.topics import topics
from typing import Any, Self

from aiohttp import web

WORDS = " ".join(" ".join(topics.values()).split())
FAULTS = {"rate_limited": 0.02, "server_error": 0.01, "reset": 0.01, "hang": 0.005}
FAULTS["malformed"] = 0.005


def answer(messages: Any, seed: int) -> str:
    """The text of the sample that is drawn with a seed: 200 characters."""
    key = hashlib.sha256(json.dumps(messages).encode()).hexdigest()[:16]
    start = int(key, 16) * 31 + seed * 7919
    text = f"{key} {seed} {WORDS[start % (len(WORDS) - 200) :][:200]}"
    return text[:200]


class NullServer:
    """The server's state.

    Config: `models` (entries of /v1/models), `faults` (rates by kind), `seed`, `hang_s`, `takes_n`
    (yes, refuses, ignores), `max_in_flight` (503 beyond), `delay_s`, `retry_after`, `key`,
    `logprobs` (False: refuses them), `lost` (rate of answers that lack some choices).
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.draw = random.Random(config.get("seed", 0))
        self.requests: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self.in_flight = self.most_in_flight = 0

    async def models(self, request: web.Request) -> web.Response:
        if self.is_wrong_key(request):
            return refuse(401, f"wrong key {request.headers.get('Authorization')}")
        return web.json_response({"data": self.config["models"]})

    async def control(self, request: web.Request) -> web.Response:
        """Change the config; tell what happened so far."""
        self.config.update(await request.json())
        state = {"requests": self.requests, "counts": self.counts, "most": self.most_in_flight}
        return web.json_response(state)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.counts["all"] += 1
        if self.config.get("record"):
            self.requests.append(body)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self.fault(request, body) or await self.serve(request, body)
        finally:
            self.in_flight -= 1

    async def fault(self, request: web.Request, body: Any) -> web.StreamResponse | None:
        """Fail by chance."""
        rates = self.config.get("faults", {})
        (kind,) = self.draw.choices([*rates, ""], [*rates.values(), 1 - sum(rates.values())])
        if not kind:
            return None
        self.counts[kind] += 1
        if kind == "rate_limited":
            after = self.config.get("retry_after")
            return refuse(429, "slow down", headers={} if after is None else {"Retry-After": after})
        if kind == "server_error":
            return refuse(500, "oh no")
        if kind == "hang":
            await asyncio.sleep(self.config.get("hang_s", 3600))
        if kind == "malformed":
            return web.Response(body=self.malformed(body))
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def malformed(self, body: Any) -> bytes:
        """A body of status 200 that is not what was asked for."""
        good = self.completion(body)
        n = len(good["choices"])
        twice = {**good, "choices": [good["choices"][0], *good["choices"]]}
        outside = {**good, "choices": [{**good["choices"][0], "index": n}]}
        whole = json.dumps(good).encode()
        bodies = [b"", b"<html>", whole[: len(whole) // 2], b"[]", b'{"choices": []}', b"null"]
        bodies += [json.dumps(bad).encode() for bad in (twice, outside)]
        return self.draw.choice(bodies)

    async def serve(self, request: web.Request, body: Any) -> web.StreamResponse:
        config, content = self.config, (body["messages"] or [{"content": ""}])[-1]["content"]
        if self.is_wrong_key(request):
            return refuse(401, f"wrong key {request.headers.get('Authorization')}")
        if body["model"] not in [model["id"] for model in config["models"]]:
            return refuse(404, f"there is no model {body['model']!r}")
        if self.in_flight > config.get("max_in_flight", 1 << 30):
            return refuse(503, "overloaded")
        if delay := config.get("delay_s"):
            await asyncio.sleep(delay)
        if "[overflow]" in content:
            return refuse(400, "This model's maximum context length is 256 tokens.")
        if body.get("n", 1) > 1 and config.get("takes_n") == "refuses":
            return refuse(400, "n must be 1")
        if body.get("logprobs") and config.get("logprobs") is False:
            return refuse(400, "logprobs are not supported")
        result = self.completion(body)
        if self.draw.random() < config.get("lost", 0.0):
            count = self.draw.randrange(1, len(result["choices"]) + 1)
            result["choices"] = self.draw.sample(result["choices"], count)
        return web.Response(body=json.dumps(result).encode(), content_type="application/json")

    def completion(self, body: Any) -> dict[str, Any]:
        n = 1 if self.config.get("takes_n") == "ignores" else body.get("n", 1)
        content = (body["messages"] or [{"content": ""}])[-1]["content"]
        choices = []
        for index in range(n):
            text: str | None = answer(body["messages"], (body.get("seed") or 0) + index)
            if "[null]" in content:
                text = None
            elif "[empty]" in content:
                text = ""
            message = {"role": "assistant", "content": text}
            reason = "content_filter" if "[filter]" in content else "stop"
            choice = {"index": index, "message": message, "finish_reason": reason}
            if body.get("logprobs"):
                entry = {"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}
                choice["logprobs"] = {"content": [entry] * self.config.get("num_tokens", 4)}
            choices.append(choice)
        tokens = n * self.config.get("num_tokens", 4)
        usage = {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": 10 + tokens}
        return {"id": "x", "object": "chat.completion", "created": 0, "model": body["model"],
                "choices": choices, "usage": usage}  # fmt: skip

    def is_wrong_key(self, request: web.Request) -> bool:
        key = self.config.get("key")
        return key is not None and request.headers.get("Authorization") != f"Bearer {key}"


def refuse(status: int, message: str, **fields: Any) -> web.Response:
    error = {"error": {"message": message, "type": "x", "param": None, "code": status}}
    return web.json_response(error, status=status, **fields)


async def main() -> None:
    server = NullServer(json.loads(sys.argv[1]))
    app = web.Application(client_max_size=1 << 26)
    app.router.add_get("/v1/models", server.models)
    app.router.add_post("/v1/chat/completions", server.chat)
    app.router.add_post("/control", server.control)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", server.config.get("port", 0))
    await site.start()
    print(runner.addresses[0][1], flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def watch() -> None:
        sys.stdin.read()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=watch, daemon=True).start()
    await ended.wait()


class RunningServer:
    """A null server in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process, self.port = process, port
        self.url = f"http://127.0.0.1:{port}/v1"

    @classmethod
    def start(cls, **config: Any) -> Self:
        process = subprocess.Popen(
            [sys.executable, __file__, json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        return cls(process, int(process.stdout.readline()))

    def control(self, **changes: Any) -> Any:
        """Change its config; what it has seen so far."""
        data = json.dumps(changes).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/control", data) as response:
            return json.load(response)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def null_server(**config: Any) -> Iterator[RunningServer]:
    """A running server, ended at exit."""
    server = RunningServer.start(**config)
    try:
        yield server
    finally:
        server.kill()


if __name__ == "__main__":
    asyncio.run(main())
