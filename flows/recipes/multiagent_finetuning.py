"""Multiagent Finetuning: Self Improvement with Diverse Reasoning Chains.

arXiv 2501.05707. No answers. Agents of two kinds start from one base and are trained on data of
their own, so that they stay different; a debate decides what is right:

    y_i ~ G_i(x), i = 1..3;   z_i ~ C_i(x, summary of the other agents' answers), once or more
    y* = majority of the last z_i
    G_i learns its y_i that equal y*; C_i its z_i that equal y*, half of the weight on those where
    y_i was another answer

The paper reports gains that go on over several rounds where a single agent stops, in arithmetic,
GSM8K and MATH (Phi-3, Mistral, LLaMA-3, GPT-3.5): more diverse answers, and no plateau.

A round of a run trains one model, so every agent is a run, all of them in one warehouse. Round n of
every agent comes before round n + 1 of any; the debate is drawn once, the other runs reuse it:

    for n in 1 2 3; do for agent in generation-0 generation-1 ... critic-2; do
      selfloom run multiagent_finetuning --run society-$agent --set agent=$agent --rounds $n
    done; done

Differs from the paper: an agent's gate asks it alone, and what it lets pass is decided for each
agent; rounds.metrics has the label accuracy of the debates. A round has its own problems. Sampling
and training settings are not at hand; those below were chosen.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.ask import Chain, Sample, Template
from tasks.data_mix import TrainingTable
from tasks.demonstrations import Demonstration
from tasks.sampling import SamplingSpec
from tasks.training.spec import TrainingSpec


class MultiagentFinetuning(RecipeConfig):
    """Settings of multiagent finetuning."""

    agent: str = Field(
        default="generation-0",
        pattern=r"^(generation|critic)-\d+$",
        description="The agent that this run trains: generation-0, critic-0, ...",
    )
    society: str = Field(
        default="society", description="The run of each agent is called SOCIETY-AGENT."
    )
    num_agents: int = Field(default=3, ge=2, le=64, description="Agents of each kind.")  # sec. 3
    num_debates: int = Field(
        default=1, ge=1, le=16, description="Debates after the first answers."
    )  # section 3: two rounds with the first answers
    summarise: bool = Field(
        default=True, description="Whether critics see a summary that they wrote, or the answers."
    )  # section 2.1
    debate: Template = Field(
        default_factory=lambda: Template.load("debate"),
        description="How a critic is asked, with the others' answers as `summary`.",
    )
    critic_mix: float = Field(
        default=0.5, gt=0, lt=1, description="Weight of what a critic corrected."
    )  # section 2.3: w
    sampling: SamplingSpec = SamplingSpec(n=1, temperature=1.0)  # not at hand; chosen
    training: TrainingSpec = TrainingSpec(
        method="sft", learning_rate=1e-5, epochs=1, batch_size=64
    )  # not at hand; chosen

    @model_validator(mode="after")
    def _check_agent(self) -> Self:
        if int(self.agent.rpartition("-")[2]) >= self.num_agents:
            raise ValueError(
                f"agent={self.agent!r}, but num_agents={self.num_agents} counts from 0"
            )
        return self


def compose(stages: Stages, config: MultiagentFinetuning) -> TrainingTable:
    """Let the society debate, and learn what this run's agent said and the debate confirmed."""
    stages.draw(config.prompts)
    settings = config.sampling.model_dump()
    for debate in range(config.num_debates + 1):
        role = stages.answer_role if debate == config.num_debates else "draft"
        for number in range(config.num_agents):
            agent = f"{'critic' if debate else 'generation'}-{number}"
            signed = {"agent": agent} | ({"debate": debate} if debate else {})
            common: dict[str, Any] = {"turn": 2 * debate, "constants": signed, **settings}
            what: Sample | Chain = Sample(
                role=role, template="as_is", over="agent_prompts", **common
            )
            if debate:
                what = Sample(role=role, template=config.debate, over="other_answers", **common)
                if config.summarise:
                    read = Sample(
                        role="summary", template="summarize", over="other_answers", **common
                    )
                    what = Chain(links=(read, what))
            own = agent == config.agent
            stages.ask(
                what,
                f"turn-{debate}-{agent}",
                model=stages.incumbent if own else stages.agent(f"{config.society}-{agent}"),
                graded=(role,),
                variables={"agent": agent, "debate": debate - 1},
            )
    stages.vote()
    if config.agent.startswith("generation"):
        return stages.demonstrate(
            Demonstration("agreeing_drafts", parameters={"agent": config.agent})
        )
    given = {"agent": config.agent, "mix": config.critic_mix}
    return stages.demonstrate(Demonstration("debated_answers", config.debate, given))


RECIPE = Recipe(
    name="multiagent_finetuning",
    title="Multiagent Finetuning: Self Improvement with Diverse Reasoning Chains",
    paper="2501.05707",
    labels="none",
    reported="gains over several rounds where a single agent stops (arithmetic, GSM8K, MATH; "
    "Phi-3, Mistral, LLaMA-3, GPT-3.5)",
    config=MultiagentFinetuning,
    compose=compose,
    labels_from="votes",
)
