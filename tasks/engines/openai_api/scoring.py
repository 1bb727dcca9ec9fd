"""Log-probabilities of given completions, from a server that echoes prompts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from tasks.engines.base import Messages, TokenScores
from tasks.engines.openai_api.background import Outlet
from tasks.engines.openai_api.budget import Budget
from tasks.engines.openai_api.dialect import Dialect
from tasks.engines.openai_api.failures import RequestError
from tasks.engines.openai_api.replies import read_prompt_logprobs
from tasks.engines.openai_api.transport import Transport
from tasks.errors import BudgetExceededError

_UNKNOWN_ADDRESS = {404, 405, 501}


class Pair(NamedTuple):
    """Token ids of a prompt with its completion, and where the completion starts."""

    ids: list[int]
    start: int


class Scorer:
    """Scores completions token by token.

    The tokens are made here, from the model folder: a server that joins prompt and completion as
    texts may cut them into other tokens.

    Args:
        model_path: The model folder; its tokenizer is loaded.
        transport: Sends.
        dialect: Knows the model's name.
        budget: Counts the tokens.
    """

    def __init__(
        self, model_path: str, transport: Transport, dialect: Dialect, budget: Budget
    ) -> None:
        """Load the tokenizer."""
        from transformers import AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(
            model_path, local_files_only=True, trust_remote_code=False
        )
        self._transport, self._dialect, self._budget = transport, dialect, budget

    def encode(self, pairs: Sequence[tuple[Messages, str]]) -> list[Pair]:
        """Token ids of every pair, with the end-of-sequence token where there is one.

        Args:
            pairs: (messages, completion text).
        """
        from tasks.engines.chat_format import encode_prompts

        end = self._tokenizer.eos_token_id
        prompts = encode_prompts(self._tokenizer, [messages for messages, _ in pairs])
        rows = []
        for prompt, (_, text) in zip(prompts, pairs, strict=True):
            completion = self._tokenizer(text, add_special_tokens=False)["input_ids"]
            rows.append(Pair([*prompt, *completion, *([] if end is None else [end])], len(prompt)))
        return rows

    async def score_all(
        self, pairs: Sequence[Pair], outlet: Outlet[tuple[int, TokenScores]]
    ) -> None:
        """Score pairs and put (position, scores) into the outlet.

        Raises:
            BudgetExceededError: If the budget ends first.
            EngineError: If there is no server any more.
        """
        try:
            async with asyncio.timeout(self._budget.seconds_left()), asyncio.TaskGroup() as group:
                for position, pair in enumerate(pairs):
                    await outlet.places.acquire()
                    if not self._budget.has_room(len(pair.ids)):
                        break
                    group.create_task(self._score_one(position, pair, outlet))
                else:
                    return
        except TimeoutError:
            pass
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        raise BudgetExceededError(f"the budget is used up: {self._budget.describe()}")

    async def _score_one(
        self, position: int, pair: Pair, outlet: Outlet[tuple[int, TokenScores]]
    ) -> None:
        outlet.put((position, await self._score(position, pair)))

    async def _score(self, seed: int, pair: Pair) -> TokenScores:
        if pair.start == 0:
            return TokenScores([], error="empty_prompt: the prompt has no tokens")
        body = {
            "model": self._dialect.model,
            "prompt": pair.ids,
            "echo": True,
            "logprobs": 1,
            "max_tokens": 0,
            "temperature": 1.0,
        }
        read = partial(read_prompt_logprobs, num_tokens=len(pair.ids))
        try:
            values = await self._transport.post("/completions", body, read, seed)
        except RequestError as error:
            is_unknown = error.status in _UNKNOWN_ADDRESS or error.kind == "bad_request"
            kind = "unsupported: " if is_unknown else ""
            return TokenScores([], error=f"{kind}{error}")
        self._budget.add(len(pair.ids), 0)
        return TokenScores(values[pair.start - 1 :])
