"""Self-Lengthen: Language Models can Self-Lengthen to Generate Long Texts.

arXiv 2410.23933. A Generator answers, an Extender makes the answer longer, both learn from it:

    q ~ self-instruct of seeds;  y_0 ~ Generator(q)
    y_{k+1} ~ Extender(q, y_k)          its first half, then the rest, in more detail
    Generator_n = SFT on (q, the longest y);  the next round begins with longer answers

Differs from the paper: one model is both, told apart by the question, so only the Generator's rows
are trained; an extension is one request instead of one for each half; length is counted in tokens.
Published: 5,000 instructions and 3 iterations (the README of the code). Extensions per iteration,
smallest ratio, learning rate and batch size were not found; the values here were chosen.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import PromptSpec, RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import Chain, PassageParser, Sample, Template
from tasks.data_mix import TrainingTable
from tasks.prompts import PromptRules
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec

QUESTION, LENGTHEN = Template.load("question"), Template.load("lengthen")


class SelfLengthen(RecipeConfig):
    """Settings of Self-Lengthen."""

    prompts: PromptSpec = PromptSpec(num=50)  # seeds
    num_generated: int = Field(
        default=5000, ge=1, description="Instructions to ask for in a round."
    )
    num_shots: int = Field(default=3, ge=1, description="Seeds that a question shows.")
    questions: SamplingSpec = Field(
        default=SamplingSpec(n=1, temperature=1.0, max_new_tokens=256),
        description="How instructions are drawn.",
    )
    rules: PromptRules = Field(default=PromptRules(), description="What an instruction has to be.")
    num_extensions: int = Field(default=2, ge=1, le=10, description="Times an answer is extended.")
    min_ratio: float = Field(
        default=1.5, gt=0, description="Fewest tokens of an extension, against the first answer."
    )
    needs_answer: bool = Field(
        default=False, description="Keep only texts with an answer that can be read."
    )
    sampling: SamplingSpec = SamplingSpec(n=1, temperature=0.7, max_new_tokens=2048)
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=1e-5, epochs=3, batch_size=32, max_length=8192
    )


def compose(stages: Stages, config: SelfLengthen) -> TrainingTable:
    """Make instructions, answer them, extend the answers again and again, keep the longest."""
    stages.seeds(config.prompts)
    question = Sample(
        role="question",
        template=QUESTION,
        over="few_shot",
        parser=PassageParser(),
        **config.questions.model_dump(),
    )
    drawn = {
        "num_questions": config.num_generated,
        "num_seed_shots": config.num_shots,
        "num_made_shots": 0,
        "shot_seed": stages.number,
    }
    stages.make_prompts([question], config.rules, "instructions", variables=drawn)
    stages.sample(config.prompts, config.sampling, of="made")
    drawing = config.sampling.model_dump() | {"n": 1}
    extension = Sample(role="answer", template=LENGTHEN, over="answers", turn=1, **drawing)
    chain = Chain(links=(extension,) * config.num_extensions)
    stages.ask(chain, "extend", graded=("answer",))
    parameters = {"min_ratio": config.min_ratio, "needs_answer": config.needs_answer}
    return stages.select(Selection("lengthened", parameters))


RECIPE = Recipe(
    name="self_lengthen",
    title="Language Models can Self-Lengthen to Generate Long Texts",
    paper="2410.23933",
    labels="none",
    reported="Qwen's longest output grows from 1,000 to 8,000 words",
    config=SelfLengthen,
    compose=compose,
    labels_from="none",
)
