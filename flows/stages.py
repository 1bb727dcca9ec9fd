"""The stages of a round, as recipes compose them: each is a few Prefect tasks over shards.

Every stage writes parts of fixed names and leaves out those that are there: the same round run
again after a crash goes on where it stopped and ends with the same tables.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows import ask_stage, measure_stage, reward_stage
from flows.demonstration_stage import write_demonstrations
from flows.recipes.config import PromptSpec, RecipeConfig
from flows.recipes.recipe import Recipe
from flows.sample_stage import Ask, answer
from flows.select_asked import select_asked
from flows.stage_tables import writes
from storage import Warehouse, content_id
from tasks.ask import Chain, Sample, draw_report
from tasks.checks.votes import vote
from tasks.data_mix import TrainingTable
from tasks.dedup import DedupReport, dedup
from tasks.demonstrations import Demonstration
from tasks.environments import Environment, Problem
from tasks.judging import MetaJudge, PairJudge, RubricJudge, Target
from tasks.measures import Measure
from tasks.models import ModelRef
from tasks.sampling import SamplingSpec
from tasks.selection import Selection, SelectionReport, select
from tasks.serving import EarlierSamples, EngineKeeper

# Shards are checked beside the engine, but one at a time: the sandbox has its own workers.
ONE_AFTER_ANOTHER = cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=1))
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
        engines: The round's engines; whoever makes a `Stages` closes them.
        seconds: Seconds by stage.
        tokens: Generated tokens by purpose, and those of reused samples.
        metrics: What stages measured, for `rounds.metrics`: judges, and what a draw rule saved.
        asked: What the stages asked so far, by their names and the judges'.
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
        spec = config.engine
        earlier = EarlierSamples(warehouse, run=run, round=number) if spec.reuse else None
        self.engines = EngineKeeper(
            spec.name, spec.options, earlier=earlier, max_open=spec.max_open
        )
        self.seconds: dict[str, float] = {}
        self.tokens: dict[str, int] = {}
        self.metrics: dict[str, dict[str, Any]] = {}
        self.asked: dict[str, ask_stage.Asked] = {}
        self.is_estimated = False

    @property
    def answer_role(self) -> str:
        """The role of samples that answer a problem: `program` where they are run."""
        return "answer" if self.environment.answer_format == "text" else "program"

    @writes("prompts")
    def draw(self, prompts: PromptSpec) -> None:
        """Put train problems into the round without asking about them; `sample` finds the same."""
        with self.clock("prompts"):
            draw_problems(self, prompts)

    @writes("prompts", "samples", "executions", "scores")
    def sample(
        self, prompts: PromptSpec, sampling: SamplingSpec, *, model: ModelRef | None = None
    ) -> None:
        """Draw train problems, ask a model, and check every answer while it goes on.

        Args:
            prompts: Which problems.
            sampling: How answers are drawn.
            model: Whom to ask; None for the incumbent.
        """
        draw = self.config.draw
        with self.clock("prompts"):
            problems = draw_problems(self, prompts)
        with self.clock("sample and check"):
            answer(self, Ask("train", model or self.incumbent, problems, sampling, "sample", draw))
        if draw is not None:
            saved = draw_report(
                self.warehouse, draw, sampling.n, run=self.run, round=self.number, role="answer"
            )
            self.metrics["draw"] = saved.to_dict()

    @writes("samples", "executions", "scores")
    def ask(
        self,
        what: Sample | Chain,
        name: str,
        *,
        model: ModelRef | None = None,
        graded: Collection[str] = (),
        variables: Mapping[str, object] | None = None,
    ) -> None:
        """Ask about rows of the round, once or in a chain; see `flows.ask_stage.ask`."""
        with self.clock(name):
            ask_stage.ask(self, what, name, model=model, graded=graded, variables=variables)

    @writes("samples", "scores")
    def judge(
        self, judge: RubricJudge | PairJudge | MetaJudge, *, model: ModelRef | None = None
    ) -> None:
        """Let a model judge the round's answers; see `flows.ask_stage.judge`."""
        with self.clock(judge.name):
            found = ask_stage.judge(self, judge, model=model)
        self.metrics.setdefault("judges", {})[judge.name] = found

    @writes("scores")
    def judgement_agreement(self, judge: RubricJudge, target: Target) -> None:
        """Write how near every judgement of a judge is to a target, as <judge>_agreement."""
        with self.clock(f"{judge.name}_agreement"):
            ask_stage.agree_with_target(self, judge, target)

    @writes("scores")
    def implicit_reward(self, initial_model: str | None) -> None:
        """Write what the incumbent prefers, as `reward`; see `flows.reward_stage`."""
        with self.clock("reward"):
            found = reward_stage.implicit_reward(self, initial_model)
        self.metrics["rewards"] = {"reward": found._asdict()}

    @writes("scores")
    def consistent_rewards(
        self, initial_model: str | None, mode: Literal["avg", "dyn"] = "avg"
    ) -> None:
        """Write rewards of two rounds' models and their agreement; see `flows.reward_stage`."""
        with self.clock("reward"):
            self.metrics["rewards"] = reward_stage.consistent_rewards(self, initial_model, mode)

    @writes("scores")
    def measure(
        self, measure: Measure, *, model: ModelRef | None = None, of: str = "sample"
    ) -> None:
        """Measure samples by what a model says of them; see `flows.measure_stage.measure`."""
        with self.clock(measure.name):
            measure_stage.measure(self, measure, model=model, of=of)

    @writes("scores")
    def log_ratio(self, reference: ModelRef, *, beta: float = 1.0, name: str = "log_ratio") -> None:
        """Compare the incumbent with a reference model, sample by sample; see `measure_stage`."""
        with self.clock(name):
            measure_stage.log_ratio(self, reference, beta=beta, name=name)

    @writes("votes")
    def vote(self) -> None:
        """Count the answers of every problem; the whole distribution is kept."""
        with self.clock("vote"):
            count_votes(self)

    @writes("rejections")  # and the table that the selections name
    def select(self, *selections: Selection) -> TrainingTable:
        """Turn samples into training rows; returns the table that holds them.

        The settings can put another selection in their place, and filters and dedup before it.
        """
        with self.clock("select"):
            if self.config.selection.dedup.methods:
                drop_copies(self)
            report = select_rows(self, selections)
        return "pairs" if report.selections[0].table == "pairs" else "examples"

    @writes("rejections")  # and the table that the selections name
    def select_asked(self, name: str, *selections: Selection, role: str = "") -> TrainingTable:
        """Turn what was said in a stage of `ask` or `judge` into training rows.

        Their prompt is what was asked; see `flows.select_asked`.
        """
        with self.clock("select"):
            report = select_asked(self, name, selections, role)
        return "pairs" if report.selections[0].table == "pairs" else "examples"

    @writes("examples", "rejections")
    def demonstrate(self, *demonstrations: Demonstration) -> TrainingTable:
        """Make examples of what was asked, with the prompts that their templates give.

        The settings can put a selection in their place, and filters and dedup before them.
        """
        with self.clock("demonstrate"):
            if self.config.selection.dedup.methods:
                drop_copies(self)
            if self.config.selection.rule is None:
                write_demonstrations(self, demonstrations)
                return "examples"
        return self.select()

    @writes("prompts", "examples")
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
