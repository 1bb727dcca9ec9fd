"""The settings that every recipe shares; a recipe adds its own and sets its paper's defaults.

Field descriptions are the help texts of the form in the Prefect UI.
"""

from __future__ import annotations

import contextlib
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from flows.recipes.schedule import (
    Schedule,
    complaints,
    drop_overruled,
    value_at,
    values_of_round,
    with_values,
)
from sandbox import Limits
from tasks.ask import DrawRule
from tasks.data_mix import MixSpec
from tasks.dedup import DedupSpec
from tasks.environments import ENVIRONMENTS
from tasks.evaluation import GateSpec
from tasks.monitors import MonitorSpec
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec

OptionValue = str | int | float | bool | dict[str, str] | list[str] | None


class Settings(BaseModel):
    """A frozen model that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EnvironmentSpec(Settings):
    """Where problems come from."""

    name: str = Field(
        default="word_problems",
        description=f"{', '.join(ENVIRONMENTS)}, or a class of your own as module:Class.",
    )
    options: dict[str, OptionValue] = Field(
        default_factory=dict, description="The environment's own options, e.g. path and columns."
    )


class PromptSpec(Settings):
    """Which problems a round asks about."""

    num: int = Field(default=400, ge=1, description="Problems per round.")
    difficulties: list[int] | None = Field(
        default=None, description="Difficulties to draw from; empty: the environment's default."
    )


class EngineSpec(Settings):
    """What serves models."""

    name: str = Field(default="transformers", description="Engine that generates completions.")
    options: dict[str, OptionValue] = Field(
        default_factory=dict, description="The engine's own options, e.g. num_threads."
    )
    reuse: bool = Field(
        default=True,
        description="Take samples that the same weights drew for the same request and seed in "
        "another run of the warehouse, instead of drawing them again.",
    )
    max_open: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Models that are served at the same time, e.g. policy and judge; with 1, one "
        "ends before the other starts.",
    )


class SandboxSpec(Settings):
    """How programs are run."""

    backend: str = Field(
        default="auto",
        description="auto, docker, docker:RUNTIME, namespaces, namespaces:bwrap or "
        "namespaces:unshare.",
    )
    workers: int = Field(default=2, ge=1, le=256, description="Programs at the same time.")
    cpu_s: float = Field(default=2.0, gt=0, description="CPU seconds per program.")
    wall_s: float = Field(default=6.0, gt=0, description="Seconds by the clock per program.")
    memory_mib: int = Field(default=256, ge=64, description="Memory per program in MiB.")
    recheck_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of programs run a second time under another seed; those that differ get "
        "the flag nondeterministic.",
    )

    def limits(self) -> Limits:
        """The limits as the sandbox takes them."""
        return Limits(cpu_s=self.cpu_s, wall_s=self.wall_s, memory_mib=self.memory_mib)


ParameterValue = str | int | float | bool


class SelectionRule(Settings):
    """A selection or a filter, and its parameters."""

    name: str = Field(description="A name, or the path of a .sql file of your own.")
    parameters: dict[str, ParameterValue] = Field(
        default_factory=dict, description="Its parameters; those left out have their defaults."
    )
    sql: str | None = Field(
        default=None,
        description="What the .sql file holds. Empty: the run reads it once, when it starts.",
    )

    def selection(self) -> Selection:
        """The rule as the selection stage takes it."""
        return Selection(self.name, self.parameters, self.sql)


class SelectionSpec(Settings):
    """How samples become training rows."""

    rule: SelectionRule | None = Field(
        default=None,
        description="Takes the place of the recipe's own selection. Empty: the recipe's.",
    )
    filters: list[SelectionRule] = Field(
        default_factory=list,
        description="Drop candidates first: length_band, curriculum_slice, or a .sql file.",
    )
    dedup: DedupSpec = DedupSpec()
    memory_gib: float | None = Field(
        default=None,
        gt=0.1,
        description="Memory of DuckDB in GiB before it spills to disk; empty: 80% of all.",
    )


class SuiteSpec(Settings):
    """Held-out problems beside the environment's own: a skill that must not get lost."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$",
        description="Name in the tables: letters, digits, '.', '_', '-'.",
    )
    environment: EnvironmentSpec | None = Field(
        default=None, description="Where its problems come from; empty: the run's environment."
    )
    num: int = Field(default=200, ge=1, description="Problems.")
    difficulties: list[int] | None = Field(
        default=None, description="Their difficulties; empty: the environment's default."
    )
    max_new_tokens: int | None = Field(
        default=None, ge=1, description="Longest answer in tokens; empty: sampling.max_new_tokens."
    )


class EvaluationSpec(Settings):
    """How the held-out accuracy of a model is measured."""

    num: int = Field(default=300, ge=1, description="Held-out problems.")
    difficulties: list[int] | None = Field(
        default=None, description="Difficulties of held-out problems; empty: the default ones."
    )
    num_samples: int = Field(
        default=4, ge=0, le=256, description="Samples per problem for pass@k and maj@k; 0: none."
    )
    temperature: float = Field(default=0.7, gt=0, le=5, description="Temperature of the samples.")
    headroom_difficulties: list[int] | None = Field(
        default=None,
        description="Difficulties on which round 0 measures which loop applies; empty: all. For a "
        "loop that extends its difficulty: the first step beyond what the model knows.",
    )
    suites: list[SuiteSpec] = Field(
        default_factory=list,
        description="Other held-out problems, for what the loop must not unlearn. On none of them "
        "may a candidate lose more than gate.non_inferiority_margin.",
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        lt=2**31,
        description="Decides which held-out problems are taken, so that runs of other seeds can "
        "have the same; empty: the run's seed.",
    )


class RecipeConfig(Settings):
    """Everything that decides a run's rows and weights, apart from base model and number of rounds.

    What papers disagree on are switches here: start of a round, reference model, data mix,
    temperature.
    """

    @model_validator(mode="before")
    @classmethod
    def _fill_groups(cls, values: object) -> object:
        """Complete a group that is given in part from this recipe's own defaults.

        Without it `{"training": {"steps": 10}}` would be SFT for a recipe that trains with DPO.
        """
        if not isinstance(values, dict):
            return values
        filled = dict(values)
        for name, field in cls.model_fields.items():
            if isinstance(filled.get(name), dict) and isinstance(field.default, BaseModel):
                filled[name] = {**field.default.model_dump(), **filled[name]}
        default = cls.model_construct()
        if default.schedule or filled.get("schedule"):
            filled["schedule"] = drop_overruled(filled, default)
        return filled

    @model_validator(mode="after")
    def _check_schedule(self) -> Self:
        """Refuse a schedule that some round could not follow, or that contradicts a setting."""
        wrong = list(complaints(self.schedule, self))
        if wrong:
            raise ValueError("; ".join(wrong))
        default = type(self).model_construct()
        for path, values in self.schedule.items():
            now, expected = value_at(self, path), [values[0]]
            with contextlib.suppress(KeyError):  # an engine's option that is not there by default
                expected.append(value_at(default, path))
            if now not in expected:
                raise ValueError(
                    f"{path}={now!r}, but schedule.{path} begins with {values[0]!r}; give the "
                    "value of round 1 in one place"
                )
        for number in range(1, max(map(len, self.schedule.values()), default=0) + 1):
            try:
                self.for_round(number)
            except ValidationError as error:
                lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
                raise ValueError(f"schedule, round {number}: {'; '.join(lines)}") from error
        return self

    def for_round(self, number: int) -> Self:
        """The settings of one round: with what the schedule says of it, and no schedule.

        Args:
            number: The round; round 0 has the settings as they are.
        """
        changes = values_of_round(self.schedule, number)
        if not changes:
            return self
        values = {name: getattr(self, name) for name in type(self).model_fields}
        dumped = self.model_dump()
        for path in changes:
            group = path.partition(".")[0]
            values[group] = dumped[group]
        values = with_values(values, changes) | {"schedule": {}}
        return type(self).model_validate(values)

    environment: EnvironmentSpec = EnvironmentSpec()
    prompts: PromptSpec = PromptSpec()
    sampling: SamplingSpec = SamplingSpec()
    draw: DrawRule | None = Field(
        default=None,
        description="Ends a problem's samples when the vote is decided, or draws more where "
        "answers disagree; empty: sampling.n for every problem. For answers that are texts.",
    )
    training: TrainingSpec = TrainingSpec()
    steps_growth: float = Field(
        default=1.0,
        gt=0,
        le=10,
        description="Factor on the training steps (or epochs) from one round to the next.",
    )
    start_from: Literal["base", "previous"] = Field(
        default="previous", description="Weights that training starts from."
    )
    reference: Literal["base", "previous", "fixed"] = Field(
        default="previous",
        description="Reference model of preference losses: the run's base, the incumbent, or the "
        "model named in fixed_reference.",
    )
    fixed_reference: str | None = Field(
        default=None, description="Model for reference=fixed: a folder, model id or seed:NAME."
    )
    selection: SelectionSpec = SelectionSpec()
    mix: MixSpec = MixSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    gate: GateSpec = GateSpec()
    after_reject: Literal["go_on", "hotter", "stop"] = Field(
        default="go_on",
        description="After a rejected round: go_on from the incumbent; hotter, with samples of a "
        "higher temperature from then on (monitors.hotter_factor, up to max_temperature); stop.",
    )
    monitors: MonitorSpec = MonitorSpec()
    engine: EngineSpec = EngineSpec()
    sandbox: SandboxSpec = SandboxSpec()
    shard_size: int = Field(
        default=200, ge=1, le=100_000, description="Problems per shard: the unit of resuming."
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="Decides every random choice.")
    schedule: Schedule = Field(
        default_factory=dict,
        description="Values per round for any setting, by its path, e.g. "
        '{"sampling.temperature": [0.8, 0.8, 1.3]}; the last one holds for all rounds that '
        "follow. A setting that is set itself holds for every round.",
    )

    def training_of(self, number: int) -> TrainingSpec:
        """The training of a round: its steps, or epochs, have grown since round 1."""
        spec, growth = self.training, self.steps_growth ** (number - 1)
        if spec.steps is None:
            return spec.model_copy(update={"epochs": spec.epochs * growth})
        return spec.model_copy(update={"steps": max(1, round(spec.steps * growth))})

    @property
    def other_models(self) -> list[str]:
        """Models beside the base that the settings name: they have to be there from the start."""
        is_fixed = self.reference == "fixed" and self.fixed_reference is not None
        return [str(self.fixed_reference)] if is_fixed else []


class LoopSpec(Settings):
    """What a loop is: which run, how many rounds, from which model, into which warehouse."""

    run: str = Field(default="", description="Name of the run; empty: recipe and settings' hash.")
    rounds: int = Field(default=3, ge=1, le=1000, description="Rounds in total.")
    more: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Rounds beyond those that are done, in place of a total; for schedules.",
    )
    base_model: str = Field(
        default="seed:programs",
        description="Model to start from: seed:programs, seed:copy, seed:skills, a folder, a model "
        "id of the warehouse, or promoted:RUN for the model that another run promoted last.",
    )
    warehouse: str = Field(
        default="warehouse",
        description="Folder of the warehouse; a relative one starts where the command, or "
        "`selfloom ui`, was started.",
    )
    patience: int = Field(
        default=2, ge=1, description="Rejected rounds in a row after which the loop ends."
    )
    approval: bool = Field(
        default=False,
        description="Wait for a person before a model is promoted: Resume on the page of the "
        "round's run asks whether to promote or refuse it.",
    )
    approval_h: float = Field(
        default=72.0, gt=0, le=8760, description="Hours to wait for approval; then the run fails."
    )
    max_late_min: float | None = Field(
        default=None,
        ge=0,
        description="Minutes after which a scheduled run that could not start in time does "
        "nothing; empty: it starts however late.",
    )
