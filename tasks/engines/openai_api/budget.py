"""What the work has used so far, and whether more may be begun."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from tasks.engines.base import GenerationRequest
from tasks.engines.openai_api.options import OpenAIOptions

# What a chat template adds to a message: role, separators, and the start of the answer.
_TEMPLATE_TOKENS_PER_MESSAGE = 16


@dataclass
class Usage:
    """What an engine has used since it was opened.

    Attributes:
        requests: Requests that were sent, retries included.
        retries: Those that were sent again.
        prompt_tokens: Prompt tokens, as the servers count them.
        completion_tokens: Generated tokens, as the servers count them.
        cost: Money, at the prices of the options.
        seconds: Seconds since the engine was opened.
    """

    requests: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0


class Claim(NamedTuple):
    """The most that one request may use: tokens of its prompt and of its completions."""

    prompt_tokens: int
    completion_tokens: int


@dataclass
class Budget:
    """Lets work begin only while its worst case fits into what is left.

    Attributes:
        options: Hold the limits and the prices.
        usage: What has been used.
    """

    options: OpenAIOptions
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        """Begin to count the seconds."""
        self._opened = time.monotonic()
        self._claimed_prompt = self._claimed_completion = 0
        self._released = asyncio.Event()

    def seconds(self) -> float:
        """Seconds since the engine was opened."""
        return time.monotonic() - self._opened

    def seconds_left(self) -> float | None:
        """Seconds until the work has to stop; None without a limit."""
        limit = self.options.max_seconds
        return None if limit is None else limit - self.seconds()

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Money for so many tokens."""
        options = self.options
        prompt, completion = options.prompt_price, options.completion_price
        return (prompt_tokens * prompt + completion_tokens * completion) / 1e6

    def add(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Count the tokens of one answer."""
        usage = self.usage
        usage.prompt_tokens += prompt_tokens
        usage.completion_tokens += completion_tokens
        usage.cost = self.cost(usage.prompt_tokens, usage.completion_tokens)

    async def claim(self, request: GenerationRequest, prompts: int) -> Claim | None:
        """Claim the most that a request may use, once it fits beside the work in flight.

        A prompt's tokens are not known before the server counts them; a token has at least one
        byte, so that its bytes and a little for the template are the bound.

        Args:
            request: What is going to be asked.
            prompts: How often its prompt is going to be sent.

        Returns:
            To be given to `release`; None if it doesn't fit, with nothing else in flight.
        """
        num_bytes = sum(
            len(message["content"].encode("utf-8", "replace")) + _TEMPLATE_TOKENS_PER_MESSAGE
            for message in request.messages
        )
        claim = Claim(num_bytes * prompts, request.n * request.max_new_tokens)
        while not self._fits(claim):
            if self._claimed_completion == 0:
                return None
            self._released.clear()
            await self._released.wait()
        self._claimed_prompt += claim.prompt_tokens
        self._claimed_completion += claim.completion_tokens
        return claim

    def has_room(self, prompt_tokens: int) -> bool:
        """Whether so many more prompt tokens fit, with nothing generated."""
        return self._fits(Claim(prompt_tokens, 0))

    def release(self, claim: Claim) -> None:
        """Give a claim back: what it really took has been added."""
        self._claimed_prompt -= claim.prompt_tokens
        self._claimed_completion -= claim.completion_tokens
        self._released.set()

    def describe(self) -> str:
        """The limits and what was used, for an error message."""
        options, usage = self.options, self.usage
        used = usage.prompt_tokens + usage.completion_tokens
        parts = (
            ("max_tokens", options.max_tokens, used),
            ("max_seconds", options.max_seconds, round(self.seconds(), 1)),
            ("max_cost", options.max_cost, round(usage.cost, 6)),
        )
        return ", ".join(
            f"{name}={limit} ({spent} used)" for name, limit, spent in parts if limit is not None
        )

    def _fits(self, claim: Claim) -> bool:
        options, usage = self.options, self.usage
        prompt = usage.prompt_tokens + self._claimed_prompt + claim.prompt_tokens
        completion = usage.completion_tokens + self._claimed_completion + claim.completion_tokens
        if options.max_tokens is not None and prompt + completion > options.max_tokens:
            return False
        return options.max_cost is None or self.cost(prompt, completion) <= options.max_cost
