"""SelfCodeAlign: Self-Alignment for Code Generation.

arXiv 2410.24198. A base model makes its own instructions and checks its own programs; no teacher:

    seeds -> concepts -> tasks about the concepts, shown 8 other tasks
    10 programs per task, each with tests of its own, at T 0.7;  run them
    keep programs that pass all of their tests, one per task;  held-out tasks are dropped
    SFT of the same base model on (task, program)

Differs from the paper: seeds are the environment's problems, not functions of The Stack; concepts
come without examples; tests are asked for after the program instead of in the same completion, and
are not learned. What no program passed, and what is no task, stays in the tables with its reason.
Optimizer settings are those of the published StarCoder2 variant.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flows.recipes.config import EnvironmentSpec, PromptSpec, RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import PassageParser, Sample, Template
from tasks.crossing import CrossSpec
from tasks.data_mix import TrainingTable
from tasks.prompts import PromptRules
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec

TEST, TESTS_OF_PROGRAM = Template.load("test"), Template.load("tests_of_program")


class SelfCodeAlign(RecipeConfig):
    """Settings of SelfCodeAlign."""

    environment: EnvironmentSpec = EnvironmentSpec(name="functions")
    prompts: PromptSpec = PromptSpec(num=400)  # seeds
    concepts: SamplingSpec = Field(
        default=SamplingSpec(n=1, temperature=0.7), description="How concepts are drawn."
    )
    tasks: SamplingSpec = Field(
        default=SamplingSpec(n=1, temperature=0.7), description="How tasks are drawn."
    )
    num_shots: int = Field(default=8, ge=1, description="Problems that a request for a task shows.")
    rules: PromptRules = Field(default=PromptRules(), description="What a task has to be.")
    problems: Literal["made", "all"] = Field(
        default="made", description="Solve the made tasks alone, or the seeds as well."
    )
    sampling: SamplingSpec = SamplingSpec(n=10, temperature=0.7)
    tests: SamplingSpec = Field(
        default=SamplingSpec(n=1, temperature=0.7), description="How tests are drawn."
    )
    tests_see_program: bool = Field(
        default=True, description="Show the program to whoever writes its tests; off: the task."
    )
    per_task: int = Field(default=1, ge=1, description="Most programs of a task.")
    start_from: Literal["base", "previous"] = "base"
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=1e-5, epochs=4, batch_size=64, max_length=1280,
        optimizer="adafactor",
    )  # fmt: skip


def compose(stages: Stages, config: SelfCodeAlign) -> TrainingTable:
    """Concepts, tasks, programs, tests of each; programs that pass their own tests are learned."""
    stages.draw(config.prompts)
    passage = PassageParser()
    concepts = config.concepts.model_dump()
    stages.ask(
        Sample(
            role="concepts", template="concepts", over="given_prompts", parser=passage, **concepts
        ),
        "concepts",
    )
    task = Sample(
        role="question",
        template="task_of_concepts",
        over="concept_examples",
        parser=passage,
        **config.tasks.model_dump(),
    )
    shown = {"num_shots": config.num_shots, "shot_seed": stages.number}
    stages.make_prompts([task], config.rules, "tasks", variables=shown)
    stages.sample(config.prompts, config.sampling, of=config.problems)
    template = TESTS_OF_PROGRAM if config.tests_see_program else TEST
    test = Sample(role="test", template=template, over="answers", **config.tests.model_dump())
    stages.ask(test, "tests")
    stages.cross(CrossSpec(tests_of="program", num_timings=0))
    best = {"check_name": "cross_passed", "min_score": 1.0, "top": config.per_task}
    return stages.select(Selection("best_by_score", best))


RECIPE = Recipe(
    name="self_code_align",
    title="SelfCodeAlign: Self-Alignment for Code Generation",
    paper="2410.24198",
    labels="none",
    reported="HumanEval+ 67.1 (CodeQwen1.5-7B, 74,000 pairs), above CodeLlama-70B-Instruct",
    config=SelfCodeAlign,
    compose=compose,
    labels_from="execution",
)
