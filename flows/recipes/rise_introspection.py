"""RISE: Recursive Introspection, teaching language model agents how to self-improve.

arXiv 2407.18219. Answers are known; solving a problem is a dialog of attempts:

    s_1 = x,  y_k ~ M(s_k),  s_{k+1} = (s_k, y_k, "there may be a mistake") while y_k is wrong
    in every state take the best of N own attempts (self-distillation)
    maximise sum of exp((r - mean r) / tau) * log p(y_k | s_k)  over all turns

Differs from the paper: a later attempt sees the problem and the last attempt, not all attempts
before; the better attempts are the model's own (the paper also distills from a stronger one); the
mean is over the turn's attempts of the round. tau, learning rate and batch size are not at hand;
those below were chosen.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import Sample, Template
from tasks.data_mix import TrainingTable
from tasks.demonstrations import Demonstration
from tasks.sampling import SamplingSpec
from tasks.training.spec import TrainingSpec

RETRY = Template.load("retry")


class RISE(RecipeConfig):
    """Settings of RISE."""

    sampling: SamplingSpec = SamplingSpec(n=4, temperature=1.0)  # not at hand; chosen
    attempt: SamplingSpec = SamplingSpec(n=4, temperature=1.0)  # not at hand; chosen
    max_turns: int = Field(
        default=2, ge=2, le=10, description="Most attempts in a row at one problem."
    )
    tau: float = Field(
        default=1.0, ge=0.01, le=100, description="How little rewards count in the weights."
    )
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=1e-5, epochs=1, batch_size=64, loss_reduction="sequence"
    )  # not at hand; a weight per row is what the loss is about


def compose(stages: Stages, config: RISE) -> TrainingTable:
    """Attempts after wrong attempts, turn after turn; the best of each state, by its reward."""
    stages.sample(config.prompts, config.sampling)
    stages.vote()
    for turn in range(1, config.max_turns):
        attempt = Sample(
            role="attempt",
            template=RETRY,
            over="unsolved_attempts",
            turn=turn,
            **config.attempt.model_dump(),
        )
        stages.ask(attempt, f"turn-{turn}", graded=("attempt",))
    return stages.demonstrate(
        Demonstration("rewarded_attempts", parameters={"tau": config.tau}, name="first_attempts"),
        Demonstration(
            "rewarded_attempts", RETRY, {"tau": config.tau, "turns": "later"}, "later_attempts"
        ),
    )


RECIPE = Recipe(
    name="rise_introspection",
    title="Recursive Introspection: Teaching Language Model Agents How to Self-Improve",
    paper="2407.18219",
    labels="answers",
    reported="not quoted: the paper's tables were not at hand",
    config=RISE,
    compose=compose,
    labels_from="references",
)
