"""Ask a model about problems, shard by shard, and check shard k while shard k + 1 is written."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture

from flows.estimates import show_estimate
from flows.parameters import as_it_is
from flows.progress import stage_progress
from flows.slots import sandbox_slot
from sandbox import Rechecker, Runner, open_sandbox
from tasks.ask import DrawRule, EnvironmentReader, Sample, asked_row
from tasks.ask import ask_shard as ask_rows
from tasks.checks.shard import check_shard
from tasks.engines import Engine, OnProgress
from tasks.environments import Problem
from tasks.estimate import Pace, probe_size
from tasks.models import ModelRef
from tasks.sampling import SampleKey, SamplingSpec, sample_shard
from tasks.serving import KeptEngine

if TYPE_CHECKING:
    from flows.recipes.config import PromptSpec
    from flows.stages import Stages

SAMPLES_PER_FILE = 65_536  # about 10 MB of Parquet; a smaller stage appears when it is done


@dataclass(frozen=True)
class Ask:
    """A model to ask about problems.

    Attributes:
        purpose: `train` or `evaluate`.
        model: The model that answers.
        problems: What it is asked.
        sampling: How completions are drawn.
        prefix: First word of the parts' names.
        draw: Ends groups early or extends them; None for sampling.n everywhere.
    """

    purpose: str
    model: ModelRef
    problems: list[Problem] = field(repr=False)
    sampling: SamplingSpec
    prefix: str
    draw: DrawRule | None = None


class Shard(NamedTuple):
    """Some problems of an ask, and the name of the part that their rows are in."""

    ask: Ask
    part: str
    problems: list[Problem]
    is_probe: bool


def answer(stages: Stages, *asks: Ask) -> None:
    """Ask one model, shard by shard, and check shard k while the engine writes shard k + 1.

    Engine and sandbox are opened here, in the flow's main thread, so that a cancelled or failed
    run closes both; they are not opened at all when every shard is done. The engine stays open for
    the next stage.
    """
    with ExitStack() as stack:
        box: Runner | None = None
        ends: list[PrefectFuture[Any]] = []
        for segment in _segments(stages, asks):
            checks: list[Any] = []  # futures; Prefect puts in the result where one is passed on
            for shard in segment:
                if has_part(stages, "scores", shard.part):
                    continue
                box, pace = box or open_box(stages, stack), None
                if not has_part(stages, "samples", shard.part):
                    engine = open_policy(stages, shard.ask.model)
                    pace = ask_shard(stages, as_it_is(shard), engine)
                references = {p.id: p.reference for p in shard.problems}
                checks.append(check_part.submit(stages, box, as_it_is(references), shard.part))
                if shard.is_probe and pace is not None:
                    start_s = engine.opening_s
                    probe = as_it_is(shard)
                    ends.append(show_estimate.submit(stages, probe, pace, start_s, checks[-1]))
            parts = [shard.part for shard in segment]
            ends += [*checks, seal_parts.submit(stages, parts, return_state=False, wait_for=checks)]
        for end in ends:
            end.result()
    _count_tokens(stages, asks)


def _segments(stages: Stages, asks: Sequence[Ask]) -> Iterator[list[Shard]]:
    """Shards that appear to readers together: all of an ask, or enough for a large file."""
    for ask in asks:
        shards = list(_shards(stages, ask))
        samples_per_shard = stages.config.shard_size * ask.sampling.n
        size = max(1, -(-SAMPLES_PER_FILE // samples_per_shard))
        yield from (shards[start : start + size] for start in range(0, len(shards), size))


def _shards(stages: Stages, ask: Ask) -> Iterator[Shard]:
    """The shards of an ask; of a round's large ask the first one is its probe."""
    num, size = len(ask.problems), stages.config.shard_size
    probe = probe_size(num, ask.sampling.n) if ask.purpose == "train" else 0
    starts = [*([0] if probe else []), *range(probe, num, size)]
    for number, (start, end) in enumerate(pairwise([*starts, num])):
        part = f"{ask.prefix}-{number:04d}"
        yield Shard(ask, part, ask.problems[start:end], is_probe=end == probe)


def sample_pool(
    stages: Stages, prompts: PromptSpec, sampling: SamplingSpec, models: Iterable[ModelRef]
) -> None:
    """Ask other models what the incumbent was asked; the same weights, which say the same, once."""
    asked = {stages.incumbent.weight_hash}
    for number, model in enumerate(models):
        if model.weight_hash not in asked:
            asked.add(model.weight_hash)
            stages.sample(prompts, sampling, model=model, name=f"pool-{number}")


def has_part(stages: Stages, table: str, part: str) -> bool:
    """Whether a part of the round is committed."""
    return stages.warehouse.has(table, run=stages.run, round=stages.number, part=part)


def open_policy(stages: Stages, model: ModelRef) -> KeptEngine:
    """The round's engine of a model, for every stage that asks it; the round closes it."""
    return stages.engines.of(model)


def open_box(stages: Stages, stack: ExitStack) -> Runner | None:
    """A sandbox for the round's programs, closed with the stack; None where answers are texts."""
    if stages.environment.answer_format == "text":
        return None
    spec = stages.config.sandbox
    opened = partial(open_sandbox, spec.backend, workers=spec.workers, limits=spec.limits())
    box = stack.enter_context(opened())
    if not spec.recheck_share:
        return box
    other = stack.enter_context(opened(seed=1))
    return Rechecker(box, other, spec.recheck_share, stages.config.seed)


def _count_tokens(stages: Stages, asks: Sequence[Ask]) -> None:
    for ask in asks:
        for shard in _shards(stages, ask):
            rows = stages.warehouse.read(
                "samples",
                run=stages.run,
                round=stages.number,
                part=shard.part,
                columns=["num_tokens", "reused_from"],
            )
            _add_tokens(stages, ask.purpose, rows)


def _add_tokens(stages: Stages, purpose: str, rows: pa.Table) -> None:
    """Count the tokens of samples; nobody generated those of reused ones."""
    is_reused = rows.column("reused_from").is_valid()
    for name, chosen in ((purpose, pc.invert(is_reused)), (f"{purpose}_reused", is_reused)):
        tokens = pc.sum(rows.column("num_tokens").filter(chosen)).as_py() or 0
        if tokens or name == purpose:
            stages.tokens[name] = stages.tokens.get(name, 0) + tokens


@task(name="sample shard", task_run_name="sample {shard.part}", cache_policy=NO_CACHE)
def ask_shard(stages: Stages, shard: Shard, engine: KeptEngine) -> Pace:
    """Ask the engine about one shard; every finished problem is safe at once."""
    pace = Pace(lambda: time.monotonic() - engine.opening_s)
    is_program = stages.environment.answer_format != "text"
    key = SampleKey(
        run=stages.run,
        round=stages.number,
        purpose="train" if shard.ask.purpose == "train" else "evaluate",
        role="program" if is_program else "answer",
        policy_id=shard.ask.model.id,
    )
    with stage_progress(f"round {stages.number} {shard.part}", "samples") as progress:

        def follow(done: int, total: int) -> None:
            pace(done, total)
            progress(done, total)

        _ask_shard(stages, shard, engine, key, follow)
    return pace


def _ask_shard(
    stages: Stages, shard: Shard, engine: Engine, key: SampleKey, on_progress: OnProgress
) -> None:
    sampling, draw = shard.ask.sampling, shard.ask.draw
    seed, part = stages.config.seed, shard.part
    if draw is None:
        sample_shard(
            stages.warehouse,
            engine,
            shard.problems,
            sampling,
            key,
            seed=seed,
            part=part,
            on_progress=on_progress,
        )
        return
    keys = {"parent_ids": [], "variant": ""}
    rows = [
        asked_row({"prompt_id": problem.id, "messages": problem.messages, **keys}, {})
        for problem in shard.problems
    ]
    ask_rows(
        stages.warehouse,
        engine,
        Sample(role=key.role, template="as_is", draw=draw, **sampling.model_dump()),
        rows,
        key,
        seed=seed,
        part=part,
        reader=EnvironmentReader(stages.environment),
        on_progress=on_progress,
    )


@task(name="check shard", task_run_name="check {part}", cache_policy=NO_CACHE, retries=2)
def check_part(
    stages: Stages, box: Runner | None, references: dict[str, str | None], part: str
) -> float:
    """Run a shard's programs, parse its answers, compare with references; returns the seconds."""
    return check_in_turn(stages, box, references, part)


def check_in_turn(
    stages: Stages,
    box: Runner | None,
    references: dict[str, str | None],
    part: str,
    *,
    roles: Collection[str] | None = None,
    opinions: Sequence[Mapping[str, object]] = (),
) -> float:
    """`check_shard` for a part of the round, when a sandbox is free; the seconds without the wait.

    Args:
        stages: The round.
        box: The sandbox; None where nothing is run.
        references: By prompt id.
        part: The part.
        roles: As in `check_shard`.
        opinions: As in `check_shard`.
    """
    with sandbox_slot(box):
        start = time.monotonic()
        check_shard(
            stages.warehouse,
            stages.environment,
            box,
            references,
            run=stages.run,
            round=stages.number,
            part=part,
            roles=roles,
            opinions=opinions,
        )
        return time.monotonic() - start


@task(name="seal shards", task_run_name="seal {parts[0]}", cache_policy=NO_CACHE)
def seal_parts(stages: Stages, parts: list[str]) -> None:
    """Make checked shards visible in the tables, as one file each."""
    for table in ("samples", "executions", "scores"):
        stages.warehouse.seal(table, parts, run=stages.run, round=stages.number)
