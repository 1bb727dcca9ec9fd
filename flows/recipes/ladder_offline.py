"""LADDER, offline: Self-Improving LLMs Through Recursive Problem Decomposition.

arXiv 2503.00735. A tree of easier variants gives problems that the model can already solve:

    V_0 = the problems;  V_d = variants of V_{d-1}, 70% easier and 30% equivalent, d <= 3,
    T cycled through 0.8 - 1.4
    verify answers where the environment can work the variant out, else believe a confident vote
    SFT on what is solved, variants and problems alike

Differs from the paper: SFT on solved rows instead of GRPO with a KL term of 0.001; variants are
asked for one at a time, by two templates, without its library of transformations and personas; no
training at test time. The number of answers of a variant is not published; 8 was chosen.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import PromptSpec, RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import PassageParser, Sample, Template
from tasks.data_mix import TrainingTable
from tasks.prompts import PromptRules, Source
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec

KINDS: dict[str, tuple[Template, Source]] = {
    "easier": (Template.load("easier"), "decompose"),
    "equivalent": (Template.load("rephrase"), "rephrase"),
}


class LadderOffline(RecipeConfig):
    """Settings of LADDER without reinforcement learning."""

    prompts: PromptSpec = PromptSpec(num=10)  # section 4: 10 integrals
    depth: int = Field(default=3, ge=1, le=5, description="Levels of variants below a problem.")
    num_easier: int = Field(default=7, ge=0, description="Easier variants of each problem.")
    num_equivalent: int = Field(default=3, ge=0, description="Equally hard variants of each.")
    temperatures: list[float] = Field(
        default=[0.8, 1.0, 1.2, 1.4], min_length=1, description="Of variants, in turn."
    )
    max_new_tokens: int = Field(default=256, ge=1, description="Most tokens of a variant.")
    # A variant is meant to be like its parent: only equal ones are dropped.
    rules: PromptRules = Field(
        default=PromptRules(max_similarity=1), description="What a variant has to be."
    )
    min_share: float = Field(
        default=0.5, ge=0, le=1, description="Smallest vote share where nothing verifies."
    )
    max_per_prompt: int = Field(default=4, ge=1, description="Most examples of a problem.")
    sampling: SamplingSpec = SamplingSpec(n=8, temperature=0.8)
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=1e-5, epochs=3, batch_size=128
    )


def compose(stages: Stages, config: LadderOffline) -> TrainingTable:
    """Grow the tree of variants level by level, answer all of it, keep what is solved."""
    stages.draw(config.prompts)
    for depth in range(1, config.depth + 1):
        for kind, (template, source) in KINDS.items():
            asks = [
                Sample(
                    role=kind,
                    turn=depth - 1,
                    template=template,
                    over="given_prompts" if depth == 1 else "made_prompts",
                    parser=PassageParser(),
                    n=n,
                    temperature=temperature,
                    max_new_tokens=config.max_new_tokens,
                )
                for temperature, n in in_turn(getattr(config, f"num_{kind}"), config.temperatures)
            ]
            rules = config.rules.model_copy(update={"source": source})
            if asks:
                above = {"depth": depth - 1}
                stages.make_prompts(asks, rules, f"{kind}-{depth}", variables=above)
    stages.sample(config.prompts, config.sampling, of="all")
    stages.verify()
    stages.vote()
    parameters = {"min_share": config.min_share, "max_per_prompt": config.max_per_prompt}
    return stages.select(Selection("solved", parameters))


def in_turn(num: int, temperatures: list[float]) -> list[tuple[float, int]]:
    """How many of `num` samples get each temperature when they take them in turn.

    Example:
        >>> in_turn(7, [0.8, 1.0, 1.2, 1.4])
        [(0.8, 2), (1.0, 2), (1.2, 2), (1.4, 1)]
    """
    step = len(temperatures)
    counts = [(t, len(range(place, num, step))) for place, t in enumerate(temperatures)]
    return [(temperature, n) for temperature, n in counts if n]


RECIPE = Recipe(
    name="ladder_offline",
    title="LADDER: Self-Improving LLMs Through Recursive Problem Decomposition",
    paper="2503.00735",
    labels="none",
    reported="100 integrals 1% -> 82% (Llama-3.2-3B, GRPO, about 5,000 variants of 10 problems)",
    config=LadderOffline,
    compose=compose,
    labels_from="votes",
    threshold="min_share",
)
