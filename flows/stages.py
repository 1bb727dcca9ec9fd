"""The stages of a round, as recipes compose them: each is a few Prefect tasks over shards.

Every stage writes parts of fixed names and leaves out those that are there: the same round run
again after a crash goes on where it stopped and ends with the same tables.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast

from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows import (
    ask_stage,
    cross_stage,
    measure_stage,
    prompt_stage,
    reward_stage,
    search_stage,
    win_rate_stage,
)
from flows.corrections import earlier_corrections, with_corrections
from flows.demonstration_stage import write_demonstrations
from flows.labelled_stage import write_labelled
from flows.problem_stage import draw_problems, draw_seeds, problem_seed, write_seed_examples
from flows.recipes.config import PromptSpec, RecipeConfig
from flows.recipes.recipe import Recipe
from flows.sample_stage import Ask, answer
from flows.select_asked import select_asked
from flows.selection_stage import count_votes, drop_copies, find_ways, select_rows
from flows.stage_tables import writes
from storage import Warehouse
from tasks.ask import Chain, Sample, draw_report
from tasks.balance import BalanceSpec, Candidate
from tasks.crossing import CrossSpec
from tasks.data_mix import TrainingTable
from tasks.demonstrations import Demonstration
from tasks.environments import Environment
from tasks.evaluation import agreement_by_difficulty, suite_results
from tasks.judging import MetaJudge, PairJudge, RubricJudge, Target, WinRateSpec
from tasks.measures import Measure
from tasks.models import ModelRef, agent_of, resolve_model
from tasks.prompts import PromptRules
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.serving import EarlierSamples, EngineKeeper
from tasks.training.spec import TrainingSpec

# Shards are checked beside the engine, but one at a time: the sandbox has its own workers.
ONE_AFTER_ANOTHER = cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=1))


class Stages:
    """One round of one run: where its rows go and what has happened so far.

    Not a dataclass: Prefect walks dataclasses that are passed to tasks, field by field.

    Attributes:
        warehouse: Where everything is written.
        recipe: The method.
        run_config: The run's settings.
        config: This round's: with the values that the run's schedule has for it, and what findings
            of earlier rounds corrected.
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
        self.warehouse, self.recipe = warehouse, recipe
        corrections = earlier_corrections(warehouse, run, number)
        self.run_config = config
        self.config = with_corrections(config.for_round(number), recipe, corrections)
        self.environment, self.run, self.number = environment, run, number
        self.incumbent, self.base, self.num_promoted = incumbent, base, num_promoted
        spec = config.engine
        earlier = EarlierSamples(warehouse, run=run, round=number) if spec.reuse else None
        self.engines = EngineKeeper(
            spec.name, spec.options, earlier=earlier, max_open=spec.max_open
        )
        self.seconds: dict[str, float] = {}
        self.tokens: dict[str, int] = {}
        self.metrics: dict[str, Any] = {}
        self.asked: dict[str, ask_stage.Asked] = {}
        self.is_estimated = False

    @property
    def answer_role(self) -> str:
        """The role of samples that answer a problem: `program` where they are run."""
        return "answer" if self.environment.answer_format == "text" else "program"

    def agreement(self) -> dict[int, float]:
        """How far the incumbent's held-out samples agree, by difficulty; no label is read."""
        with self.warehouse.connect() as con:
            results = suite_results(con, self.run, self.incumbent.id)
        return agreement_by_difficulty(results)

    def model(self, name: str) -> ModelRef:
        """The model of a name: a folder, a model id, `seed:NAME` or `promoted:RUN`."""
        return resolve_model(self.warehouse, name)

    def agent(self, run: str) -> ModelRef:
        """The model that another run had when this round began; see `tasks.models.agent_of`."""
        return agent_of(self.warehouse, run, before_round=self.number, base=self.base)

    @writes("prompts")
    def draw(self, prompts: PromptSpec) -> None:
        """Put train problems into the round without asking about them; `sample` finds the same."""
        with self.clock("prompts"):
            draw_problems(self, prompts)

    @writes("prompts")
    def seeds(self, prompts: PromptSpec) -> None:
        """Put the run's seed problems into round 0, the same for all rounds, to be shown."""
        with self.clock("prompts"):
            draw_seeds(self, prompts)

    @writes("samples", "scores", "prompts", "rejections")
    def make_prompts(
        self,
        asks: Sequence[Sample],
        rules: PromptRules,
        name: str,
        *,
        model: ModelRef | None = None,
        variables: Mapping[str, object] | None = None,
    ) -> None:
        """Ask for questions; each becomes a prompt of the round, or a rejection with a reason.

        Args:
            asks: What to ask; several differ only in how completions are drawn.
            rules: What a problem has to be.
            name: Names the stage and its parts; no two stages of a round share one.
            model: Whom to ask; None for the incumbent.
            variables: Variables of the query that gives the rows, e.g. num_questions.
        """
        with self.clock(name):
            made = prompt_stage.make_prompts(
                self, asks, rules, name, model=model, variables=variables
            )
        self.metrics.setdefault("made_prompts", {})[name] = made.to_dict()

    @writes("prompts", "samples", "executions", "scores")
    def sample(
        self,
        prompts: PromptSpec,
        sampling: SamplingSpec,
        *,
        model: ModelRef | None = None,
        of: prompt_stage.ProblemsOf = "environment",
        name: str | None = None,
    ) -> None:
        """Draw train problems, ask a model, and check every answer while it goes on.

        Args:
            prompts: Which problems.
            sampling: How answers are drawn.
            model: Whom to ask; None for the incumbent.
            of: Whose problems: the environment's, those that a model made in the round, or all.
            name: Begins the names of its parts; where a round samples twice, each has its own.
        """
        draw = self.config.draw
        with self.clock("prompts"):
            problems = [] if of == "made" else draw_problems(self, prompts)
            problems += [] if of == "environment" else prompt_stage.made_problems(self)
        with self.clock("sample and check"):
            prefix = name or prompt_stage.PREFIXES[of]
            answer(self, Ask("train", model or self.incumbent, problems, sampling, prefix, draw))
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

    @writes("executions", "scores")
    def cross(self, spec: CrossSpec, role: str = "test") -> None:
        """Run every program against every test of its problem, and rank both; see `cross_stage`."""
        with self.clock("cross"):
            cross_stage.cross(self, spec, role)

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

    @writes("prompts", "samples", "executions", "scores")
    def search(
        self, spec: BalanceSpec, prompts: PromptSpec, sampling: SamplingSpec, with_solutions: bool
    ) -> Candidate:
        """The temperature and threshold that balance right and wrong answers best (B-STaR).

        What was tried, and what it gave, is in `rounds.metrics` as `search`.
        """
        with self.clock("search"):
            draw_problems(self, prompts)
            found = search_stage.try_temperatures(self, spec, sampling, int(with_solutions))
        self.metrics["search"] = found.to_dict()
        return found.chosen

    @writes("scores")
    def balanced(self, spec: BalanceSpec) -> None:
        """Score answers as `search` does: the check `balanced`."""
        with self.clock("search"):
            search_stage.score_balanced(self, spec, "")

    @writes("prompts", "samples", "executions", "scores")
    def labelled(
        self, prompts: PromptSpec, *, role: str | None = None, num: int | None = None
    ) -> None:
        """Write the environment's solutions of the round's problems; see `flows.labelled_stage`.

        Args:
            prompts: Which problems.
            role: Their role; None for answers, which can be learned.
            num: How many of them, the first ones; None for all.
        """
        with self.clock("labelled"):
            draw_problems(self, prompts)
            write_labelled(self, prompts, problem_seed(self), role or self.answer_role, num)

    @writes("samples", "scores")
    def win_rates(self, spec: WinRateSpec) -> None:
        """Compare the round's samples with each other; win rates are the check `win_rate`."""
        if spec.judge is not None:
            self.judge(spec.judge)
        with self.clock("win rates"):
            win_rate_stage.write_win_rates(self, spec)

    @writes("scores")
    def similarities(self) -> None:
        """Compare samples with the labelled answers' texts: the check `similarity`."""
        with self.clock("similarities"):
            win_rate_stage.write_similarities(self)

    @writes("scores")
    def ds_weights(self) -> None:
        """Say how far answers are from valid solutions, as `ds_weight`; needs `likelihood`."""
        with self.clock("ds_weight"):
            win_rate_stage.write_ds_weights(self)

    @writes()
    def train_by(self, training: TrainingSpec) -> None:
        """Train this round by other settings than the recipe's `training`."""
        self.config = self.config.model_copy(update={"training": training})

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

    @writes("scores")
    def ways(self) -> None:
        """Say in which way each answer was reached, as `way`: equal skeletons are one way."""
        with self.clock("ways"):
            find_ways(self)

    @writes("votes")
    def vote(self) -> None:
        """Count the answers of every problem; the whole distribution is kept."""
        with self.clock("vote"):
            count_votes(self)

    @writes("scores")
    def verify(self) -> None:
        """Let the environment check answers to made problems: the scores `verified`."""
        with self.clock("verify"):
            prompt_stage.verify(self)

    @writes("rejections")  # and the table that the selections name
    def select(self, *selections: Selection, filters: Sequence[Selection] = ()) -> TrainingTable:
        """Turn samples into training rows; returns the table that holds them.

        The settings can put another selection in their place, and more filters and dedup before it.
        """
        with self.clock("select"):
            if self.config.selection.dedup.methods:
                drop_copies(self)
            report = select_rows(self, selections, filters)
        return cast(TrainingTable, report.selections[0].table)

    @writes("rejections")  # and the table that the selections name
    def select_asked(self, name: str, *selections: Selection, role: str = "") -> TrainingTable:
        """Turn what was said in a stage of `ask` or `judge` into training rows.

        Their prompt is what was asked; see `flows.select_asked`.
        """
        with self.clock("select"):
            report = select_asked(self, name, selections, role)
        return cast(TrainingTable, report.selections[0].table)

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
    def seed_examples(self, num: int, difficulties: Sequence[int] | None) -> None:
        """Write labelled examples of an easy slice, once per run, for replay."""
        with self.clock("prompts"):
            write_seed_examples(self, num, None if difficulties is None else list(difficulties))

    @contextmanager
    def clock(self, stage: str) -> Iterator[None]:
        """Add the time of a block to the stage's seconds."""
        start = time.monotonic()
        try:
            yield
        finally:
            spent = self.seconds.get(stage, 0.0) + time.monotonic() - start
            self.seconds[stage] = round(spent, 3)
