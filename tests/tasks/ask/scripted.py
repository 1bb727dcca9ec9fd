"""A deterministic double of an engine, for tests that need particular texts, and a small round."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from types import TracebackType
from typing import Self

from storage import Warehouse
from tasks.ask import AskedRow, RowSource
from tasks.engines import Completion, GenerationRequest, Messages, OnProgress, TokenScores, failed
from tasks.environments import Problem
from tasks.sampling import SampleKey

KEY = SampleKey("r", 1, "train", "answer", "model")
# What is answered to (the last message, the sample's seed); None for an error of the engine.
Script = Callable[[str, int], str | None]


class ScriptedEngine:
    """Answers as a script says and remembers what it was asked; no model is behind it."""

    name, model_path, weight_hash, fingerprint = "scripted", "", "weights", "all"

    def __init__(self, script: Script) -> None:
        self._script = script
        self.asked: list[GenerationRequest] = []
        self.waves: list[int] = []
        self.fail_after: int | None = None

    def iterate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        skip: Collection[str] = (),
    ) -> Iterator[tuple[GenerationRequest, list[Completion]]]:
        self.waves.append(len(requests))
        for request in reversed(requests):  # in an order of its own, as engines do
            if request.id in skip:
                continue
            if self.fail_after is not None and len(self.asked) >= self.fail_after:
                raise KeyboardInterrupt
            self.asked.append(request)
            yield request, self._completions(request)

    def generate(
        self, requests: Sequence[GenerationRequest], on_progress: OnProgress | None = None
    ) -> list[list[Completion]]:
        return [self._completions(request) for request in requests]

    def score(
        self, pairs: Sequence[tuple[Messages, str]], on_progress: OnProgress | None = None
    ) -> list[TokenScores]:
        raise NotImplementedError

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def _completions(self, request: GenerationRequest) -> list[Completion]:
        question = request.messages[-1]["content"]
        made = []
        for index in range(request.n):
            text = self._script(question, request.seed + index)
            if text is None:
                made.append(failed(request, "scripted: no answer")[index])
            else:
                size = len(text.split())
                seed = request.seed + index
                made.append(Completion(request.id, index, seed, text, size, "stop", -1.0))
        return made


def write_problems(w: Warehouse, problems: Sequence[Problem], *, run: str = "r") -> None:
    """Write problems as the prompts of round 1."""
    rows: list[dict[str, object]] = [
        {
            "id": problem.id,
            "environment": "test",
            "messages": problem.messages,
            "reference": problem.reference,
            "source": "seed",
            "parent_ids": [],
            "split": "train",
            "difficulty": problem.difficulty,
            "metadata": {},
        }
        for problem in problems
    ]
    w.write("prompts", rows, run=run, round=1, part="p")


def sums(num: int) -> list[Problem]:
    """Problems `1+1?` (difficulty 1), `2+2?` (2), …"""
    return [
        Problem(f"p{i}", [{"role": "user", "content": f"{i}+{i}?"}], str(2 * i), i % 2 + 1, "train")
        for i in range(1, num + 1)
    ]


def all_rows(
    w: Warehouse, over: str = "prompts", run: str = "r", **variables: object
) -> list[AskedRow]:
    with RowSource(w, over, run=run, round=1, variables=variables) as source:
        return source.rows(0, source.num_rows)
