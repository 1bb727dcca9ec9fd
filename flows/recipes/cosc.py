"""CoSC: Embedding Self-Correction as an Inherent Ability in Large Language Models.

arXiv 2410.10735. Answers are known; the model learns to check its programs and to go on:

    trace = program p1, its output o1, verification v1 (code against question, output against
            question), conclusion; where it concludes "wrong": p2, o2, v2, ...
    keep a trace if it concludes "right" about an output that is the answer
    SFT on all turns of the traces that were kept; outputs are not learned

Differs from the paper: phase 1 (37,000 traces of GPT-4) is what the base model knows already, this
is phase 2; a turn is an example of its own and sees the last program and its output, not the whole
trace; optimizer settings are not published, those below were chosen.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import Chain, Sample, Template
from tasks.ask.parsers import VerdictParser
from tasks.data_mix import TrainingTable
from tasks.demonstrations import Demonstration
from tasks.sampling import SamplingSpec
from tasks.training.spec import TrainingSpec

VERIFY, REFINE = Template.load("verify_output"), Template.load("refine")


class CoSC(RecipeConfig):
    """Settings of CoSC."""

    sampling: SamplingSpec = SamplingSpec(n=4, temperature=0.7)  # not published
    verification: SamplingSpec = SamplingSpec(n=1, temperature=0.7)  # not published
    max_turns: int = Field(
        default=3,
        ge=1,
        le=10,
        description="Most programs of a trace: about a fifth of problems take two or three.",
    )  # section 4
    learn_wrong_programs: bool = Field(
        default=True, description="Learn the programs of a trace that it corrects later as well."
    )
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=2e-5, epochs=1, batch_size=64
    )  # not published


def compose(stages: Stages, config: CoSC) -> TrainingTable:
    """Programs are run, verified, and corrected, turn after turn; whole traces are kept."""
    stages.sample(config.prompts, config.sampling)
    settings = config.verification.model_dump()
    for turn in range(config.max_turns):
        verify = Sample(
            role="critique",
            check="verification",
            template=VERIFY,
            over="unverified_outputs",
            parser=VerdictParser(),
            turn=2 * turn + 1,
            **settings,
        )
        if turn + 1 == config.max_turns:
            stages.ask(verify, f"turn-{turn}")
            break
        refine = Sample(role="refinement", template=REFINE, when=("no",), **settings)
        stages.ask(Chain(links=(verify, refine)), f"turn-{turn}", graded=("refinement",))
    stages.vote()
    turns = {"program": Template.load("as_is"), "critique": VERIFY, "refinement": REFINE}
    return stages.demonstrate(
        *(
            Demonstration(
                "verified_traces",
                template,
                {"learn": kind, "learn_wrong": config.learn_wrong_programs},
                f"{kind}_turns",
            )
            for kind, template in turns.items()
        )
    )


RECIPE = Recipe(
    name="cosc",
    title="Embedding Self-Correction as an Inherent Ability in Large Language Models for Enhanced "
    "Mathematical Reasoning",
    paper="2410.10735",
    labels="answers",
    reported="MATH: 7B 47.6 (its single round 40.2), 13B 42.4 -> 50.3, 34B 53.5",
    config=CoSC,
    compose=compose,
    labels_from="references",
)
