"""Ask about a shard of rows: every finished request is safe, and the shard is committed once."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from storage import Warehouse, content_id
from storage.journal import Journal
from tasks.ask.machine import Machine, Step
from tasks.ask.parsers import Reader
from tasks.ask.sample import Chain, Sample, as_chain
from tasks.ask.sources import AskedRow
from tasks.engines import Engine, OnProgress
from tasks.errors import OptionError, TemplateError
from tasks.sampling import SampleKey


def ask_shard(
    warehouse: Warehouse,
    engine: Engine,
    what: Sample | Chain,
    rows: Sequence[AskedRow],
    key: SampleKey,
    *,
    seed: int,
    part: str,
    reader: Reader | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Ask about rows and commit the samples of all links as one shard, unless it is committed.

    Called again after a crash, it asks only what is not answered yet.

    The engine gets steps in waves: all of a single sample's at once; for a chain, or a sample with
    a draw rule, `wave` samples at a time, those of the latest links first. What is in a wave
    follows from the answers of the waves before it, so a resumed shard has the same waves.

    Args:
        warehouse: Where the shard goes.
        engine: Serves the policy.
        what: What to ask, once or in a chain.
        rows: What to ask about, of `RowSource.rows`.
        key: What the samples have in common; the role is that of each link.
        seed: The run's seed.
        part: Name of the shard.
        reader: Reads the first link's answers for its draw rule, in place of its parser.
        on_progress: Called with (finished samples, most samples that there can be).

    Raises:
        OptionError: If a draw rule has nothing that reads votes.
        TemplateError: If a template uses columns that its rows don't have. A row that has them and
            still can't be put into it (a null, a type) costs itself: its samples are errors.
        EngineError: If the engine fails; what is finished stays safe.
        JournalBusyError: If another process is making the same shard.
        WarehouseFullError: If the disk is full; what is finished stays safe.
    """
    chain = as_chain(what)
    _check(chain, rows, reader)
    run, number = key.run, key.round
    identity = content_id(
        "asking",
        {**asdict(key), "role": ""},
        [link.model_dump(mode="json", exclude={"over"}) for link in chain.links],
        [chain.wave, seed, engine.name, engine.fingerprint],
        None if reader is None else reader.version,
    )
    with warehouse.journal("samples", run=run, round=number, part=part, identity=identity) as own:
        # Looked up under the journal's lock: another process may have finished it meanwhile.
        if not warehouse.has("samples", run=run, round=number, part=part):
            machine = Machine(chain, key, engine, seed, reader)
            most = len(rows) * chain.most_per_row
            done, finished = 0, []
            for step in _work(engine, machine, rows, own, _wave_size(chain)):
                finished.append(step)
                done += step.size
                if on_progress is not None:
                    on_progress(done, most)
            finished.sort(key=lambda step: step.order)
            found = [row for step in finished for row in own.groups[step.name]]
            warehouse.write_shard("samples", found, run=run, round=number, part=part)
        own.remove()


def _work(
    engine: Engine,
    machine: Machine,
    rows: Sequence[AskedRow],
    journal: Journal,
    wave_size: int | None,
) -> Iterator[Step]:
    """Every step of every row, once its rows are in the journal."""
    ready = _Ready()

    def finished(step: Step, found: Sequence[dict[str, object]]) -> Step:
        journal.append(step.name, found)
        ready.add(machine.follow(step, journal.groups[step.name]))
        return step

    ready.add(machine.start(rows))
    while wave := ready.take(wave_size):
        steps = {step.name: step for step in wave}
        done = steps.keys() & journal.groups.keys()
        for name in done:
            ready.add(machine.follow(steps[name], journal.groups[name]))
            yield steps[name]
        requests = []
        for step in wave:
            try:
                requests.append(machine.request(step))
            except TemplateError as error:
                if step.name not in done:
                    yield finished(step, machine.unasked(step, error))
        if all(request.id in done for request in requests):
            continue
        for request, completions in engine.iterate(requests, None, done):
            step = steps[request.id]
            yield finished(step, machine.rows(step, request, completions))


class _Ready:
    """Steps that can be asked, the latest links first, then by the order of rows."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, tuple[object, ...], Step]] = []

    def add(self, steps: Sequence[Step] | Iterator[Step]) -> None:
        """Put steps in; no two have the same order."""
        for step in steps:
            heapq.heappush(self._heap, (-step.link, step.order, step))

    def take(self, size: int | None) -> list[Step]:
        """The next steps, at least one if there is any, of `size` samples together at most."""
        taken: list[Step] = []
        samples = 0
        while self._heap:
            step = self._heap[0][2]
            if taken and size is not None and samples + step.size > size:
                break
            samples += step.size
            taken.append(heapq.heappop(self._heap)[2])
        return taken


def _check(chain: Chain, rows: Sequence[AskedRow], reader: Reader | None) -> None:
    for number, link in enumerate(chain.links):
        if link.draw is not None and link.parser is None and (number or reader is None):
            raise OptionError(
                f"{link.role}: a draw rule counts votes, and nothing reads them; set a parser that "
                "gives labels, or leave `draw` out"
            )
    if rows:
        chain.check(rows[0].values)


def _wave_size(chain: Chain) -> int | None:
    is_plain = len(chain.links) == 1 and chain.links[0].draw is None
    return None if is_plain else chain.wave
