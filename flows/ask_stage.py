"""Ask a model about rows of a round, and let models judge: stages over `tasks.ask` and judges."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture

from flows.parameters import as_it_is
from flows.progress import say, stage_progress
from flows.sample_stage import (
    SAMPLES_PER_FILE,
    check_in_turn,
    has_part,
    open_box,
    open_policy,
    seal_parts,
)
from sandbox import Runner
from tasks.ask import AskedRow, Chain, RowSource, Sample, as_chain, ask_shard, opinion_rows
from tasks.engines import Engine
from tasks.judging import (
    MetaJudge,
    PairJudge,
    RubricJudge,
    Target,
    aggregate,
    judge_statistics,
    judgement_agreement,
    nested,
)
from tasks.models import ModelRef
from tasks.sampling import SampleKey

if TYPE_CHECKING:
    from flows.stages import Stages


class Asked(NamedTuple):
    """What a stage of this round asked: enough to find its rows and questions again."""

    name: str
    chain: Chain
    variables: Mapping[str, object] | None


def ask(
    stages: Stages,
    what: Sample | Chain,
    name: str,
    *,
    model: ModelRef | None = None,
    graded: Collection[str] = (),
    variables: Mapping[str, object] | None = None,
) -> None:
    """Ask a model about every row of `over`; what it says is in `samples`, opinions in `scores`.

    The rows are those that `over` gives when the stage begins; they are kept in the round's working
    folder, so that a stage which goes on after a crash has the same ones, whatever was written
    since. Engine and sandbox are opened in the flow's main thread, where they are needed, and the
    engine stays open for the next stage. Shard k is read, and checked, while shard k + 1 is
    written.

    Args:
        stages: The round.
        what: What to ask, once or in a chain.
        name: Names the stage and its parts; no two stages of a round share one.
        model: Whom to ask; None for the incumbent.
        graded: Roles whose samples are answers: they are checked as the round's answers are.
        variables: More variables of the query that gives the rows.

    Raises:
        TemplateError: If a template uses what its rows don't have, or none of the first shard's
            has; nothing was asked then.
        DataFormatError: If the query can't run or gives a row twice.
        EngineError: If the engine fails; what is finished stays safe.
    """
    chain = as_chain(what)
    asked = stages.asked[name] = Asked(name, chain, variables)
    with ExitStack() as stack:
        source = stack.enter_context(rows_of(stages, asked))
        chain.check(source.columns)
        chain.check_rows(row.values for row in source.rows(0, stages.config.shard_size))
        if source.num_rows == 0:
            say(f"{stages.run} round {stages.number}: {name}: there is nothing to ask about")
        engine = cache(lambda: open_policy(stages, model or stages.incumbent))
        box = cache(lambda: open_box(stages, stack) if graded else None)
        ends: list[PrefectFuture[Any]] = []
        for segment in _segments(stages, name, source.num_rows, chain):
            reads: list[Any] = []  # futures; Prefect puts in the result where one is passed on
            for part, start in segment:
                if has_part(stages, "scores", part):
                    continue
                rows = source.rows(start, stages.config.shard_size)
                if not has_part(stages, "samples", part):
                    policy = (model or stages.incumbent).id
                    ask_part(stages, chain, as_it_is(rows), engine(), policy, part)
                reads.append(read_part.submit(stages, chain, box(), graded, part))
            parts = [part for part, _ in segment]
            ends += [*reads, seal_parts.submit(stages, parts, return_state=False, wait_for=reads)]
        for end in ends:
            end.result()
    _count_tokens(stages)


def judge(
    stages: Stages,
    judge: RubricJudge | PairJudge | MetaJudge,
    *,
    model: ModelRef | None = None,
) -> dict[str, dict[str, float]]:
    """Let a model judge the round, and put its judgements together in `scores`.

    Args:
        stages: The round.
        judge: The judge.
        model: Whom to ask; None for the incumbent.

    Returns:
        The judge's statistics, by level ('all' or a difficulty) and measure.
    """
    for number, sample in enumerate(judge.asks()):
        name = f"{judge.name}-{number}-{sample.role}"
        ask(stages, sample, name, model=model, variables=judge.variables())
        stages.asked[judge.name] = stages.asked[name]
    return put_together(stages, judge)


def rows_of(stages: Stages, asked: Asked) -> RowSource:
    """The rows that a stage asks about, the same whenever they are read."""
    return RowSource(
        stages.warehouse,
        asked.chain.links[0].over,
        run=stages.run,
        round=stages.number,
        variables=asked.variables,
        allow_references=stages.recipe.allow_references,
        memory_gib=stages.config.selection.memory_gib,
        keep=stages.warehouse.scratch_dir(stages.run, stages.number) / f"asked-{asked.name}",
    )


def _segments(
    stages: Stages, name: str, num_rows: int, chain: Chain
) -> Iterator[list[tuple[str, int]]]:
    """Shards, as (part, first row), that appear to readers together."""
    size = stages.config.shard_size
    shards = [(f"{name}-{start // size:04d}", start) for start in range(0, num_rows, size)]
    per_file = max(1, -(-SAMPLES_PER_FILE // (size * chain.most_per_row)))
    for start in range(0, len(shards), per_file):
        yield shards[start : start + per_file]


def _count_tokens(stages: Stages) -> None:
    # Of the table, not of this process: a resumed stage counts what was asked before it.
    with stages.warehouse.connect() as connection:
        ((tokens, reused),) = connection.execute(
            "SELECT coalesce(sum(num_tokens) FILTER (reused_from IS NULL), 0), "
            "coalesce(sum(num_tokens) FILTER (reused_from IS NOT NULL), 0) FROM samples "
            "WHERE run = $run AND round = $round AND role NOT IN ('answer', 'program')",
            {"run": stages.run, "round": stages.number},
        ).fetchall()
    stages.tokens["asked"] = int(tokens)
    if reused:
        stages.tokens["asked_reused"] = int(reused)


@task(name="ask shard", task_run_name="ask {part}", cache_policy=NO_CACHE)
def ask_part(
    stages: Stages, chain: Chain, rows: list[AskedRow], engine: Engine, policy: str, part: str
) -> None:
    """Ask about one shard of rows; every finished request is safe at once."""
    key = SampleKey(stages.run, stages.number, "train", chain.links[0].role, policy)
    with stage_progress(f"round {stages.number} {part}", "samples") as progress:
        ask_shard(
            stages.warehouse,
            engine,
            chain,
            rows,
            key,
            seed=stages.config.seed,
            part=part,
            on_progress=progress,
        )


@task(name="read shard", task_run_name="read {part}", cache_policy=NO_CACHE, retries=2)
def read_part(
    stages: Stages, chain: Chain, box: Runner | None, graded: Collection[str], part: str
) -> None:
    """Read one shard's samples by their parsers, and check those that are answers."""
    house, run, number = stages.warehouse, stages.run, stages.number
    samples = house.read("samples", run=run, round=number, part=part).to_pylist()
    opinions = list(opinion_rows(chain, samples, run=run, round=number))
    if not graded:
        house.write_shard("scores", opinions, run=run, round=number, part=part)
        return
    prompts = house.read("prompts", run=run, round=number, columns=["id", "reference"]).to_pylist()
    references = {row["id"]: row["reference"] for row in prompts}
    check_in_turn(stages, box, references, part, roles=graded, opinions=opinions)


@task(name="put judgements together", cache_policy=NO_CACHE)
def put_together(
    stages: Stages, judge: RubricJudge | PairJudge | MetaJudge
) -> dict[str, dict[str, float]]:
    """Write means, pairs and ratings of a judge's judgements; returns its statistics."""
    memory_gib = stages.config.selection.memory_gib
    house, run, number = stages.warehouse, stages.run, stages.number
    aggregate(house, judge, run=run, round=number, memory_gib=memory_gib)
    return nested(judge_statistics(house, judge, run=run, round=number))


@task(name="judgement agreement", cache_policy=NO_CACHE)
def agree_with_target(stages: Stages, judge: RubricJudge, target: Target) -> int:
    """Compare judgements with a target; doing it again writes the same rows."""
    return judgement_agreement(
        stages.warehouse,
        judge,
        target,
        run=stages.run,
        round=stages.number,
        allow_references=stages.recipe.allow_references,
        memory_gib=stages.config.selection.memory_gib,
    )
