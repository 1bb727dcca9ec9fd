"""The stages of a round, as recipes compose them: each is a few Prefect tasks over shards.

Every stage writes parts of fixed names and leaves out those that are there: the same round run
again after a crash goes on where it stopped and ends with the same tables.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.estimates import show_estimate
from flows.progress import stage_progress
from flows.recipes.config import PromptSpec, RecipeConfig
from flows.recipes.recipe import Recipe
from sandbox import Rechecker, Runner, open_sandbox
from storage import Warehouse, content_id
from tasks.checks.shard import check_shard
from tasks.checks.votes import vote
from tasks.data_mix import TrainingTable
from tasks.dedup import DedupReport, dedup
from tasks.engines import Engine, open_engine
from tasks.environments import Environment, Problem
from tasks.errors import WeightsChangedError
from tasks.estimate import Pace, probe_size
from tasks.models import ModelRef, check_weights
from tasks.sampling import SampleKey, SamplingSpec, sample_shard
from tasks.selection import Selection, SelectionReport, select

# Shards are checked beside the engine, but one at a time: the sandbox has its own workers.
ONE_AFTER_ANOTHER = cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=1))
SAMPLES_PER_FILE = 65_536  # about 10 MB of Parquet; a smaller stage appears when it is done
HELDOUT_SEED_OFFSET = 1_000_003  # held-out problems of a run do not follow its rounds


class Stages:
    """One round of one run: where its rows go and what has happened so far.

    Not a dataclass: Prefect walks dataclasses that are passed to tasks, field by field.

    Attributes:
        warehouse: Where everything is written.
        recipe: The method.
        config: Its settings.
        environment: Where problems come from.
        run: Name of the run.
        number: Number of the round.
        incumbent: The promoted model, which answers.
        base: The run's first model.
        num_promoted: Rounds of the run that promoted a model so far.
        seconds: Seconds by stage.
        tokens: Generated tokens by stage.
        is_estimated: Whether this process made the round's estimate.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        recipe: Recipe,
        config: RecipeConfig,
        environment: Environment,
        run: str,
        number: int,
        incumbent: ModelRef,
        base: ModelRef,
        num_promoted: int,
    ) -> None:
        """Keep the round's context."""
        self.warehouse, self.recipe, self.config = warehouse, recipe, config
        self.environment, self.run, self.number = environment, run, number
        self.incumbent, self.base, self.num_promoted = incumbent, base, num_promoted
        self.seconds: dict[str, float] = {}
        self.tokens: dict[str, int] = {}
        self.is_estimated = False

    def sample(self, prompts: PromptSpec, sampling: SamplingSpec) -> None:
        """Draw train problems, ask the incumbent, and check every answer while it goes on."""
        with self.clock("prompts"):
            problems = draw_problems(self, prompts)
        with self.clock("sample and check"):
            answer(self, Ask("train", self.incumbent, problems, sampling, "sample"))

    def vote(self) -> None:
        """Count the answers of every problem; the whole distribution is kept."""
        with self.clock("vote"):
            count_votes(self)

    def select(self, *selections: Selection) -> TrainingTable:
        """Turn samples into training rows; returns the table that holds them.

        The settings can put another selection in their place, and filters and dedup before it.
        """
        with self.clock("select"):
            if self.config.selection.dedup.methods:
                drop_copies(self)
            report = select_rows(self, selections)
        return "pairs" if report.selections[0].table == "pairs" else "examples"

    def seed_examples(self, num: int, difficulties: Sequence[int]) -> None:
        """Write labelled examples of an easy slice, once per run, for replay."""
        with self.clock("prompts"):
            write_seed_examples(self, num, list(difficulties))

    @contextmanager
    def clock(self, stage: str) -> Iterator[None]:
        """Add the time of a block to the stage's seconds."""
        start = time.monotonic()
        try:
            yield
        finally:
            spent = self.seconds.get(stage, 0.0) + time.monotonic() - start
            self.seconds[stage] = round(spent, 3)


@dataclass(frozen=True)
class Ask:
    """A model to ask about problems.

    Attributes:
        purpose: `train` or `evaluate`.
        model: The model that answers.
        problems: What it is asked.
        sampling: How completions are drawn.
        prefix: First word of the parts' names.
    """

    purpose: str
    model: ModelRef
    problems: list[Problem] = field(repr=False)
    sampling: SamplingSpec
    prefix: str


class Shard(NamedTuple):
    """Some problems of an ask, and the name of the part that their rows are in."""

    ask: Ask
    part: str
    problems: list[Problem]
    is_probe: bool


def answer(stages: Stages, *asks: Ask) -> None:
    """Ask one model, shard by shard, and check shard k while the engine writes shard k + 1.

    Engine and sandbox are opened here, in the flow's main thread, so that a cancelled or failed
    run closes both; they are not opened at all when every shard is done.
    """
    with ExitStack() as stack:
        box: Runner | None = None
        engine: Engine | None = None
        ends: list[PrefectFuture[Any]] = []
        for segment in _segments(stages, asks):
            checks: list[Any] = []  # futures; Prefect puts in the result where one is passed on
            for shard in segment:
                if _has(stages, "scores", shard.part):
                    continue
                box, pace = box or _open_box(stages, stack), None
                if not _has(stages, "samples", shard.part):
                    start = time.monotonic()
                    engine = engine or stack.enter_context(_engine(stages, shard.ask.model))
                    start_s = time.monotonic() - start
                    pace = ask_shard(stages, shard, engine)
                references = {p.id: p.reference for p in shard.problems}
                checks.append(check_part.submit(stages, box, references, shard.part))
                if shard.is_probe and pace is not None:
                    ends.append(show_estimate.submit(stages, shard, pace, start_s, checks[-1]))
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


def _has(stages: Stages, table: str, part: str) -> bool:
    return stages.warehouse.has(table, run=stages.run, round=stages.number, part=part)


def _engine(stages: Stages, model: ModelRef) -> Engine:
    check_weights(model)  # before minutes of loading; what the engine serves decides
    engine = open_engine(stages.config.engine.name, model.path, stages.config.engine.options)
    try:
        check_weights(model, engine.weight_hash)
    except WeightsChangedError:
        engine.close()
        raise
    return engine


def _open_box(stages: Stages, stack: ExitStack) -> Runner | None:
    if stages.environment.answer_format == "text":
        return None
    spec = stages.config.sandbox
    open_box = partial(open_sandbox, spec.backend, workers=spec.workers, limits=spec.limits())
    box = stack.enter_context(open_box())
    if not spec.recheck_share:
        return box
    other = stack.enter_context(open_box(seed=1))
    return Rechecker(box, other, spec.recheck_share, stages.config.seed)


def _count_tokens(stages: Stages, asks: Sequence[Ask]) -> None:
    for ask in asks:
        for shard in _shards(stages, ask):
            rows = stages.warehouse.read(
                "samples",
                run=stages.run,
                round=stages.number,
                part=shard.part,
                columns=["num_tokens"],
            )
            tokens = sum(rows.column("num_tokens").to_pylist())
            stages.tokens[ask.purpose] = stages.tokens.get(ask.purpose, 0) + tokens


@task(name="draw problems", cache_policy=NO_CACHE)
def draw_problems(stages: Stages, prompts: PromptSpec) -> list[Problem]:
    """The round's train problems, in the `prompts` table and in memory."""
    seed = stages.config.seed * 1000 + stages.number
    problems = stages.environment.problems("train", prompts.num, seed, prompts.difficulties)
    write_prompts(stages, problems, "train", stages.number)
    return problems


@task(name="draw held-out problems", cache_policy=NO_CACHE)
def draw_heldout(stages: Stages) -> list[Problem]:
    """The run's held-out problems: the same in every round, written in round 0."""
    spec = stages.config.evaluation
    seed = stages.config.seed + HELDOUT_SEED_OFFSET
    problems = stages.environment.problems("heldout", spec.num, seed, spec.difficulties)
    if stages.number == 0:
        write_prompts(stages, problems, "heldout", 0)
    return problems


def write_prompts(stages: Stages, problems: Sequence[Problem], part: str, number: int) -> None:
    """Write problems as `prompts` rows of round `number`, source `seed`, unless they are there."""
    if stages.warehouse.has("prompts", run=stages.run, round=number, part=part):
        return
    rows = [
        {
            "id": problem.id,
            "environment": stages.environment.name,
            "messages": problem.messages,
            "reference": problem.reference,
            "source": "seed",
            "parent_ids": [],
            "split": problem.split,
            "difficulty": problem.difficulty,
            "metadata": problem.metadata,
        }
        for problem in problems
    ]
    stages.warehouse.write("prompts", rows, run=stages.run, round=number, part=part)


@task(name="sample shard", task_run_name="sample {shard.part}", cache_policy=NO_CACHE)
def ask_shard(stages: Stages, shard: Shard, engine: Engine) -> Pace:
    """Ask the engine about one shard; every finished problem is safe at once."""
    pace = Pace()
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

        sample_shard(
            stages.warehouse,
            engine,
            shard.problems,
            shard.ask.sampling,
            key,
            seed=stages.config.seed,
            part=shard.part,
            on_progress=follow,
        )
    return pace


@task(name="check shard", task_run_name="check {part}", cache_policy=NO_CACHE, retries=2)
def check_part(
    stages: Stages, box: Runner | None, references: dict[str, str | None], part: str
) -> float:
    """Run a shard's programs, parse its answers, compare with references; returns the seconds."""
    start = time.monotonic()
    check_shard(
        stages.warehouse,
        stages.environment,
        box,
        references,
        run=stages.run,
        round=stages.number,
        part=part,
    )
    return time.monotonic() - start


@task(name="seal shards", task_run_name="seal {parts[0]}", cache_policy=NO_CACHE)
def seal_parts(stages: Stages, parts: list[str]) -> None:
    """Make checked shards visible in the tables, as one file each."""
    for table in ("samples", "executions", "scores"):
        stages.warehouse.seal(table, parts, run=stages.run, round=stages.number)


@task(name="vote", cache_policy=NO_CACHE)
def count_votes(stages: Stages) -> None:
    """Count the votes of the round."""
    if not stages.warehouse.parts("votes", run=stages.run, round=stages.number):
        memory_gib = stages.config.selection.memory_gib
        vote(stages.warehouse, run=stages.run, round=stages.number, memory_gib=memory_gib)


@task(name="select", cache_policy=NO_CACHE)
def select_rows(stages: Stages, selections: Sequence[Selection]) -> SelectionReport:
    """Run the selections; doing it again writes the same rows."""
    spec = stages.config.selection
    return select(
        stages.warehouse,
        [spec.rule.selection()] if spec.rule else selections,
        run=stages.run,
        round=stages.number,
        seed=stages.config.seed,
        allow_references=stages.recipe.allow_references,
        filters=[one.selection() for one in spec.filters],
        memory_gib=spec.memory_gib,
    )


@task(name="dedup", cache_policy=NO_CACHE)
def drop_copies(stages: Stages) -> DedupReport:
    """Drop samples that say what another says; doing it again writes the same rows."""
    spec = stages.config.selection
    return dedup(
        stages.warehouse,
        spec.dedup,
        run=stages.run,
        round=stages.number,
        memory_gib=spec.memory_gib,
    )


@task(name="seed examples", cache_policy=NO_CACHE)
def write_seed_examples(stages: Stages, num: int, difficulties: list[int]) -> None:
    """Write labelled examples into round 0; their reference is the completion."""
    place: dict[str, object] = {"run": stages.run, "round": 0, "part": "seed"}
    if stages.warehouse.has("examples", **place):  # type: ignore[arg-type]
        return
    problems = stages.environment.problems("train", num, stages.config.seed, difficulties)
    write_prompts(stages, problems, "seed", 0)
    rows = [
        {
            "id": content_id("example", stages.run, 0, "seed", problem.id),
            "prompt_id": problem.id,
            "prompt": problem.messages,
            "completion": [{"role": "assistant", "content": problem.reference}],
            "weight": 1.0,
            "sample_ids": [],
            "score_ids": [],
            "vote_ids": [],
        }
        for problem in problems
    ]
    stages.warehouse.write("examples", rows, **place)  # type: ignore[arg-type]
