"""The n samples of a request: asked for at once, then for what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial

from tasks.engines.base import Completion, GenerationRequest
from tasks.engines.openai_api.background import Outlet
from tasks.engines.openai_api.budget import Budget, Claim
from tasks.engines.openai_api.dialect import Dialect
from tasks.engines.openai_api.failures import RequestError
from tasks.engines.openai_api.replies import Reply, read_chat
from tasks.engines.openai_api.transport import Transport
from tasks.errors import BudgetExceededError, EngineError

Group = tuple[int, list[Completion]]
"""Position of a request, and its n completions."""

# Not one prompt's fault: the key, the account or the address; every other request would fail too.
_FATAL = {401, 402, 404, 405}


class Groups:
    """Asks for the samples of requests.

    Every HTTP request belongs to one request of ours and its answer goes nowhere else, so that two
    requests with the same prompt can't get each other's samples.

    Args:
        transport: Sends.
        dialect: Words the requests.
        budget: Says whether there may be more.
    """

    def __init__(self, transport: Transport, dialect: Dialect, budget: Budget) -> None:
        """Take the parts."""
        self._transport, self._dialect, self._budget = transport, dialect, budget
        self._has_seen_several = False

    async def sample_all(
        self, requests: Iterable[tuple[int, GenerationRequest]], outlet: Outlet[Group]
    ) -> None:
        """Sample requests and put each one's completions into the outlet when all are there.

        Args:
            requests: (position, request).
            outlet: Takes (position, completions).

        Raises:
            BudgetExceededError: If the budget ends first. Groups that were begun are finished and
                put before, unless the time is up.
            EngineError: If there is no server, or it refuses all of us.
        """
        try:
            async with asyncio.timeout(self._budget.seconds_left()), asyncio.TaskGroup() as group:
                is_whole = await self._begin_all(requests, outlet, group)
        except TimeoutError:
            is_whole = False
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        if not is_whole:
            raise BudgetExceededError(
                f"the budget is used up or too small for one more request: "
                f"{self._budget.describe()}; what is finished is kept: run the same command with "
                "a larger budget to go on"
            )

    async def _begin_all(
        self,
        requests: Iterable[tuple[int, GenerationRequest]],
        outlet: Outlet[Group],
        group: asyncio.TaskGroup,
    ) -> bool:
        """Begin every request in its turn; False if the budget allows no more."""
        for position, request in requests:
            await outlet.places.acquire()
            prompts = request.n if self._dialect.one_each else 1
            claim = await self._budget.claim(request, prompts)
            if claim is None:
                return False
            group.create_task(self._sample_one(position, request, claim, outlet))
        return True

    async def _sample_one(
        self, position: int, request: GenerationRequest, claim: Claim, outlet: Outlet[Group]
    ) -> None:
        completions = await self.sample(request)
        self._budget.release(claim)
        outlet.put((position, completions))

    async def sample(self, request: GenerationRequest) -> list[Completion]:
        """The n completions of one request, errors where there is no sample.

        Raises:
            EngineError: If there is no server, or it refuses all of us.
        """
        found: dict[int, Completion] = {}
        while len(found) < request.n:
            missing = [index for index in range(request.n) if index not in found]
            if self._dialect.one_each:
                for part in await asyncio.gather(*(self._ask(request, i, 1) for i in missing)):
                    found.update(part)
            else:
                # A run of neighbors: choice i of a request is drawn with its seed + i.
                count = next(
                    (i for i, index in enumerate(missing) if index != missing[0] + i), len(missing)
                )
                found.update(await self._ask(request, missing[0], count))
        return [found[index] for index in range(request.n)]

    async def _ask(
        self, request: GenerationRequest, first: int, count: int
    ) -> dict[int, Completion]:
        """Some of the `count` samples from `first` on; none if they are to be asked otherwise."""
        try:
            body = self._dialect.body(request, first, count)
        except RequestError as error:
            return _errors(request, first, count, error)
        read = partial(read_chat, request=request, first=first, count=count)
        try:
            reply: Reply = await self._transport.post(
                "/chat/completions", body, read, request.seed + first
            )
        except RequestError as error:
            if error.status in _FATAL:
                raise EngineError(f"the server refuses all requests: {error}") from error
            if self._dialect.learn(error, body):
                return {}
            return _errors(request, first, count, error)
        self._budget.add(reply.prompt_tokens, reply.completion_tokens)
        if len(reply.completions) > 1:
            self._has_seen_several = True
        elif count > 1 and not self._has_seen_several:
            self._dialect.take_one_each(f"the server gave one sample for n={count}")
        return reply.completions


def _errors(
    request: GenerationRequest, first: int, count: int, error: RequestError
) -> dict[int, Completion]:
    return {
        index: Completion(request.id, index, request.seed + index, "", 0, "error", error=str(error))
        for index in range(first, first + count)
    }
