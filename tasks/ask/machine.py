"""What is to be asked next: every row of a chain goes its own way, one request after the other.

A request follows from what was answered before it and from nothing else. So the same code runs a
chain and, after a crash, finds out from the answers that are safe what is missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from storage import content_id
from tasks.ask.draw import next_draw
from tasks.ask.parsers import Parsed, Reader, read
from tasks.ask.sample import Chain, Sample, ask_seed, variables
from tasks.ask.sources import AskedRow
from tasks.engines import Completion, Engine, GenerationRequest, request_digest
from tasks.engines.base import begun_answer
from tasks.errors import TemplateError
from tasks.sampling import SampleKey, completion_columns

SampleRow = Mapping[str, object]
Order = tuple[int, tuple[int, ...], int]


@dataclass(frozen=True)
class Step:
    """One request of a chain: some samples about a row and the completions before it.

    Attributes:
        row: The row that the chain started with.
        order: Position of the row, indices of the completions before this step, first index.
        path: The `samples` rows of those completions.
        size: How many samples to draw.
    """

    row: AskedRow
    order: Order
    path: tuple[SampleRow, ...]
    size: int

    @property
    def link(self) -> int:
        """Its link in the chain."""
        return len(self.path)

    @property
    def group(self) -> str:
        """All samples about the same row and completions."""
        if not self.path:
            return self.row.key
        return content_id("ask", self.row.key, [str(row["id"]) for row in self.path])

    @property
    def name(self) -> str:
        """Names its request, and its rows in the journal."""
        return f"{self.group}/{self.order[2]}"


class Machine:
    """Knows the steps of a chain, from first to last.

    Args:
        chain: What is asked.
        key: What the samples have in common; its role is that of each link.
        engine: Serves the policy; named in the rows.
        seed: The run's seed.
        reader: Reads the answers of the first link for its draw rule, in place of its parser.
    """

    def __init__(
        self, chain: Chain, key: SampleKey, engine: Engine, seed: int, reader: Reader | None = None
    ) -> None:
        self._chain, self._engine, self._seed = chain, engine, seed
        self._keys = [replace(key, role=link.role) for link in chain.links]
        self._sampling = [link.sampling() for link in chain.links]
        self._readers = (
            [link.parser for link in chain.links]
            if reader is None
            else [reader, *(link.parser for link in chain.links[1:])]
        )
        self._votes: dict[str, list[str | None]] = {}

    def start(self, rows: Sequence[AskedRow]) -> list[Step]:
        """The first step of every row."""
        size = self._first_size(self._chain.links[0])
        return [
            Step(self._named(row), (position, (), 0), (), size) for position, row in enumerate(rows)
        ]

    def request(self, step: Step) -> GenerationRequest:
        """What a step asks the engine.

        Raises:
            TemplateError: If the row has a null, or no list, where the template needs more.
        """
        link = self._chain.links[step.link]
        texts = [(str(row["role"]), str(row["text"])) for row in step.path]
        return GenerationRequest(
            id=step.name,
            messages=link.template.render(variables(step.row.values, link, texts)),
            n=step.size,
            seed=self._seed_of(step) + step.order[2],
            temperature=link.temperature,
            top_p=link.top_p,
            top_k=link.top_k,
            max_new_tokens=link.max_new_tokens,
            stop=link.stop,
            structure=link.structure,
        )

    def unasked(self, step: Step, error: TemplateError) -> list[dict[str, object]]:
        """The `samples` rows of a step that can't be asked: errors, as many as were wanted."""
        first, reason = self._seed_of(step) + step.order[2], f"template: {error}"
        return self.rows(
            step,
            None,
            [
                Completion(step.name, index, first + index, "", 0, "error", error=reason)
                for index in range(step.size)
            ],
        )

    def rows(
        self, step: Step, request: GenerationRequest | None, completions: Sequence[Completion]
    ) -> list[dict[str, object]]:
        """The `samples` rows of the completions of a step's request, None if there was none.

        Where an answer was begun, the text is that of the whole answer, and `sampling` says how
        many characters the model was given; tokens and log-probabilities are of what it wrote.
        """
        digest = None if request is None else request_digest(self._engine.fingerprint, request)
        key, sampling = self._keys[step.link], self._sampling[step.link]
        turn = self._chain.turn(step.link)
        parents = [*step.row.parent_ids, *(str(row["id"]) for row in step.path)]
        identity = (key.run, key.round, key.purpose, key.role, turn, step.group)
        begun = "" if request is None else begun_answer(request.messages)
        if begun:
            sampling = {**sampling, "begun_characters": len(begun)}
        rows = []
        for completion in completions:
            index = step.order[2] + completion.index
            place = (*identity, sampling, index, self._engine.weight_hash)
            rows.append(
                {
                    "id": content_id("sample", *place),  # type: ignore[arg-type]
                    "prompt_id": step.row.prompt_id,
                    "parent_ids": parents,
                    "turn": turn,
                    "index": index,
                    "sampling": sampling,
                    **completion_columns(completion, key, self._engine, digest),
                    "text": completion.text if completion.error else begun + completion.text,
                }
            )
        return rows

    def follow(self, step: Step, rows: Sequence[SampleRow]) -> Iterator[Step]:
        """The steps that a finished one leads to: more of its own group, then successors."""
        link = self._chain.links[step.link]
        position, indices, start = step.order
        if link.draw is not None:
            votes = self._votes.setdefault(step.group, [])
            votes += [self._parsed(step.link, row).label for row in rows]
            size = next_draw(link.draw, link.n, votes)
            if size:
                yield replace(step, order=(position, indices, start + step.size), size=size)
        if step.link + 1 == len(self._chain.links):
            return
        successor = self._chain.links[step.link + 1]
        for offset, row in enumerate(rows):
            if row["status"] == "ok" and self._goes_on(step.link, successor, row):
                order = (position, (*indices, start + offset), 0)
                yield Step(step.row, order, (*step.path, row), self._first_size(successor))

    def _named(self, row: AskedRow) -> AskedRow:
        """The row under a key that what templates see of it is part of.

        Other texts about the same prompt are another question: neither the answers that a crash
        left in the journal nor the ids of samples are shared with it.
        """
        reads = {name for link in self._chain.links for name in link.template.reads}
        seen = {name: row.values[name] for name in sorted(reads & row.values.keys())}
        digest = hashlib.sha256(json.dumps(seen, sort_keys=True, default=str).encode()).hexdigest()
        return replace(row, key=content_id("ask", row.key, digest))

    def _first_size(self, link: Sample) -> int:
        return link.n if link.draw is None else next_draw(link.draw, link.n, [])

    def _goes_on(self, link: int, successor: Sample, row: SampleRow) -> bool:
        return not successor.when or self._parsed(link, row).label in successor.when

    def _parsed(self, link: int, row: SampleRow) -> Parsed:
        reader = self._readers[link]
        if reader is None or row["status"] != "ok":
            return Parsed()
        return read(reader, str(row["text"]))

    def _seed_of(self, step: Step) -> int:
        link, key = self._chain.links[step.link], self._keys[step.link]
        origin = (
            content_id("origin", step.row.origin, step.order[1]) if step.path else (step.row.origin)
        )
        return ask_seed(self._seed, key, link, self._chain.turn(step.link), origin)
