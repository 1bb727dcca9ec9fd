"""DNO: Direct Nash Optimization: Teaching Language Models to Self-Improve with General Preferences.

arXiv 2404.03715. No answers: win rates against the policy's own samples are the reward, and the
model learns them as preferences, against itself as the reference.

    r_t(y) = mean over samples y' of M_t of P(y beats y');  pairs (y1, y2) with r_t(y1) > r_t(y2)
    loss = -sigma(r1 - r2) log sigma(m) - sigma(r2 - r1) log sigma(-m),  m = DPO's margin to M_t
    DNO-Prct, the practical form: pairs of large margin only, with hard labels (plain DPO)

Differs from the paper: its preference is GPT-4-Turbo and one of the answers is GPT-4's; here it is
the answers' vote shares by default (win_rates.preference names others), over the policy's own
samples alone. The paper's margin is in points of GPT-4's rubric; in win rates it is not published,
0.25 is chosen. Learning rate, batch and epochs are not published in the sources at hand; those of
SPPO, with AdamW, are chosen.
"""

from __future__ import annotations

from pydantic import Field

from flows.recipes.config import RecipeConfig
from flows.recipes.recipe import Recipe
from flows.stages import Stages
from tasks.data_mix import TrainingTable
from tasks.judging import WinRateSpec
from tasks.sampling import SamplingSpec
from tasks.selection import Selection
from tasks.training.spec import TrainingSpec


class DNO(RecipeConfig):
    """Settings of DNO."""

    sampling: SamplingSpec = SamplingSpec(n=5, temperature=0.7, top_p=0.9)  # n: section 5.1
    win_rates: WinRateSpec = Field(
        default=WinRateSpec(), description="Which preference decides who beats whom."
    )
    min_margin: float = Field(
        default=0.25, ge=0, le=1, description="Win rates of a pair differ by more than this."
    )  # not published in win rates
    soft_labels: bool = Field(
        default=False,
        description="Algorithm 1: sigmoid of the win rates' difference as the soft label; off: "
        "hard labels, DNO-Prct.",
    )
    max_pairs: int = Field(default=1, ge=1, description="Most pairs per problem.")
    training: TrainingSpec = TrainingSpec(
        method="dpo", beta=0.1, learning_rate=5e-7, epochs=1, batch_size=64
    )  # not published, apart from the loss


def compose(stages: Stages, config: DNO) -> TrainingTable:
    """Sample, count who would beat whom, pair best with worst where the difference is large."""
    stages.sample(config.prompts, config.sampling)
    stages.vote()
    stages.win_rates(config.win_rates)
    names = ("min_margin", "soft_labels", "max_pairs")
    parameters = {name: getattr(config, name) for name in names}
    return stages.select(Selection("win_rate_pairs", parameters))


RECIPE = Recipe(
    name="dno",
    title="Direct Nash Optimization: Teaching Language Models to Self-Improve with General "
    "Preferences",
    paper="2404.03715",
    labels="none",
    reported="AlpacaEval 2 win rate against GPT-4-Turbo 7 -> 33 (Orca-2.5 7B)",
    config=DNO,
    compose=compose,
    labels_from="votes",
    threshold="min_margin",
)
