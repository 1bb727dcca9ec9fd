"""Self-Specialization: Uncovering Latent Expertise within Large Language Models.

arXiv 2310.00160. A few seeds of a domain turn a general model into one of that domain:

    x_i ~ M(seeds, instructions made before)    Self-Instruct within the domain, ROUGE-L filter
    y_i ~ M_{n-1}(domain, seeds, x_i)           the round before answers (iterative re-generation)
    M_n = SFT of the base with adapters on all (x_i, y_i)

Differs from the paper: no retrieval of domain texts for the answers (it is optional there), LoRA
without quantisation, and problems have no input apart from their instruction. About 5,000 rows are
made. Shots, temperatures, learning rate and rank were not published where this could be checked;
6 + 2 shots are Self-Instruct's, the others were chosen.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flows.recipes.config import PromptSpec, RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import PassageParser, Sample, Template
from tasks.data_mix import TrainingTable
from tasks.prompts import PromptRules
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec

QUESTION, AS_IS = Template.load("question"), Template.load("as_is")
FEW_SHOT = Template.load("few_shot_answer")


class SelfSpecialization(RecipeConfig):
    """Settings of Self-Specialization."""

    domain: str = Field(default="mathematics", description="Names the domain in the question.")
    prompts: PromptSpec = PromptSpec(num=80)  # seeds
    num_generated: int = Field(
        default=5000, ge=1, description="Instructions to ask for in a round."
    )
    num_seed_shots: int = Field(default=6, ge=1, description="Seeds that a question shows.")
    num_made_shots: int = Field(default=2, ge=0, description="Made instructions that it shows.")
    questions: SamplingSpec = Field(
        default=SamplingSpec(n=1, temperature=0.7, max_new_tokens=256),
        description="How instructions are drawn.",
    )
    rules: PromptRules = Field(default=PromptRules(), description="What an instruction has to be.")
    num_answer_shots: int = Field(
        default=3, ge=0, description="Labelled seeds before an answer; 0: the question alone."
    )
    sampling: SamplingSpec = SamplingSpec(n=1, temperature=0.7)
    start_from: Literal["base", "previous"] = "base"
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=3e-4, epochs=3, batch_size=32, lora_r=8, lora_alpha=16
    )


def compose(stages: Stages, config: SelfSpecialization) -> TrainingTable:
    """Make instructions of the domain, let the incumbent answer them, keep what can be read."""
    stages.seed_examples(config.prompts.num, config.prompts.difficulties)
    question = Sample(
        role="question",
        template=QUESTION,
        over="few_shot",
        parser=PassageParser(),
        **config.questions.model_dump(),
    )
    drawn = {
        "num_questions": config.num_generated,
        "num_seed_shots": config.num_seed_shots,
        "num_made_shots": config.num_made_shots,
        "shot_seed": stages.number,
    }
    stages.make_prompts([question], config.rules, "instructions", variables=drawn)
    answer = Sample(
        role="answer",
        template=FEW_SHOT if config.num_answer_shots else AS_IS,
        over="made_with_examples",
        constants={"instruction": f"You are an expert in {config.domain}. Answer the last input."},
        **config.sampling.model_dump(),
    )
    shown = {"num_shots": config.num_answer_shots}
    stages.ask(answer, "answers", graded=("answer",), variables=shown)
    return stages.select(Selection("every_answer", {"problems": "made"}))


RECIPE = Recipe(
    name="self_specialization",
    title="Self-Specialization: Uncovering Latent Expertise within Large Language Models",
    paper="2310.00160",
    labels="seed answers",
    reported="MPT-30B specialised in biomedicine is above models based on LLaMA-65B",
    config=SelfSpecialization,
    compose=compose,
    labels_from="none",
)
