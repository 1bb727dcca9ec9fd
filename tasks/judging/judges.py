"""What the judges are: which samples each asks for, and how its judgements are put together.

The rows of `scores` that a judge called `judge` leaves behind:

    rubric   judge         one judgement of an answer: the score
             judge_mean    the mean of an answer's judgements
    pair     judge_order   one judgement of a pair in one order, about the answer shown first
             judge         of both orders: the probability that an answer beats another one
             judge_win_rate  the mean of an answer's probabilities
    meta     as pair, about judgements instead of answers
             judge_elo     the rating of a judgement among those of the same answer
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.ask import Sample, Template
from tasks.ask.parsers import ChoiceParser, ScoreParser


class _Judge(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        default="judge", pattern=r"^[a-z][a-z0-9_]*$", description="Its check in `scores`."
    )
    temperature: float = Field(default=0.7, ge=0, le=5, description="Temperature of judgements.")
    top_p: float = Field(default=0.9, gt=0, le=1, description="Nucleus of judgements.")
    max_new_tokens: int = Field(default=256, ge=1, description="Most tokens of a judgement.")
    principles: tuple[str, ...] = Field(
        default=(), description="Principles that answers are held to; empty: the rubric alone."
    )

    def _settings(self, n: int) -> dict[str, object]:
        constants = {"principles": list(self.principles)} if self.principles else {}
        return {
            "n": n,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_new_tokens": self.max_new_tokens,
            "constants": constants,
            "about": "parent",
        }

    def _own_reference(self) -> Sample:
        """The model's own greedy answer, to be shown beside what is judged."""
        return Sample(
            role="reference",
            template="as_is",
            n=1,
            temperature=0.0,
            max_new_tokens=self.max_new_tokens,
        )


class RubricJudge(_Judge):
    """Scores every answer of the round by a rubric, several times.

    Source: additive rubric, n = 3, T = 0.7, top-p 0.9: Self-Rewarding (2401.10020). The model's own
    answer first, which is then shown as a reference: self-reference feedback. Principles: SALMON
    and Self-Align.
    """

    kind: Literal["rubric"] = "rubric"
    num_judgements: int = Field(default=3, ge=1, le=4096, description="Judgements of an answer.")
    template: Template = Field(
        default_factory=lambda: Template.load("judge_additive"), description="The rubric."
    )
    low: float = Field(default=0.0, description="Lowest score.")
    high: float = Field(default=5.0, description="Highest score.")
    marker: str = Field(default="score", description="Word before the score; empty: none.")
    reference: Literal["none", "own", "gold"] = Field(
        default="none",
        description="Answer shown beside the judged one: the model's own greedy one, or the gold "
        "one, in recipes that may read it.",
    )

    def asks(self) -> tuple[Sample, ...]:
        """The samples that it needs, each after the one before is in the tables."""
        over = {"none": "answers", "own": "answers_with_own_reference"}
        judgement = Sample(
            role="judgement",
            template=self.template,
            over=over.get(self.reference, "answers_with_gold_reference"),
            parser=ScoreParser(low=self.low, high=self.high, marker=self.marker),
            check=self.judged_by,
            **self._settings(self.num_judgements),
        )
        return (self._own_reference(), judgement) if self.reference == "own" else (judgement,)

    def variables(self) -> dict[str, object]:
        """Variables of the queries that give its rows."""
        return {}

    @property
    def judged_by(self) -> str:
        """The check of single judgements."""
        return self.name


class PairJudge(_Judge):
    """Compares the answers to a problem in both orders; an order that decides is no decision.

    Source: position swap as in MT-Bench (2306.05685), win rates as in SPPO (2405.00675), the
    model's own answer as a reference as in self-reference feedback (2406.11190).
    """

    kind: Literal["pair"] = "pair"
    num_judgements: int = Field(default=1, ge=1, le=4096, description="Judgements of each order.")
    num_opponents: int = Field(
        default=0, ge=0, description="Answers that each one meets in a ring; 0: all."
    )
    inconsistent: Literal["tie", "abstain", "mean"] = Field(
        default="tie",
        description="What a pair is whose orders contradict each other: a tie, no opinion, or the "
        "mean of both like any other.",
    )
    reference: Literal["none", "own"] = Field(
        default="none", description="Answer shown beside both: the model's own greedy one."
    )
    template: Template = Field(
        default_factory=lambda: Template.load("judge_pair"), description="The question."
    )

    def asks(self) -> tuple[Sample, ...]:
        """The samples that it needs, each after the one before is in the tables."""
        is_own = self.reference == "own"
        judgement = Sample(
            role="judgement",
            template=self.template,
            over="pairs_with_own_reference" if is_own else "pairs",
            parser=ChoiceParser(),
            check=self.judged_by,
            **self._settings(self.num_judgements),
        )
        return (self._own_reference(), judgement) if is_own else (judgement,)

    def variables(self) -> dict[str, object]:
        """Variables of the query that gives its pairs."""
        return {"num_opponents": self.num_opponents}

    @property
    def judged_by(self) -> str:
        """The check of single judgements."""
        return f"{self.name}_order"


class MetaJudge(_Judge):
    """Compares the judgements of each problem's most disputed answer, and rates them by Elo.

    Source: Meta-Rewarding (2407.19594, section 2.3): the answer with the largest score variance,
    both orders, ratings weighted against the position bias.
    """

    kind: Literal["meta"] = "meta"
    name: str = Field(
        default="meta_judge", pattern=r"^[a-z][a-z0-9_]*$", description="Its check in `scores`."
    )
    judge: str = Field(default="judge", description="Check of the judgements: a rubric judge.")
    max_judgements: int = Field(
        default=11, ge=2, le=64, description="Judgements of an answer that are compared."
    )
    inconsistent: Literal["tie", "abstain"] = Field(
        default="tie", description="What a pair is whose orders contradict each other."
    )
    template: Template = Field(
        default_factory=lambda: Template.load("judge_meta"), description="The question."
    )

    def asks(self) -> tuple[Sample, ...]:
        """The samples that it needs."""
        return (
            Sample(
                role="meta_judgement",
                template=self.template,
                over="judgement_pairs",
                parser=ChoiceParser(options=("A", "B")),
                check=self.judged_by,
                **self._settings(1),
            ),
        )

    def variables(self) -> dict[str, object]:
        """Variables of the query that gives its pairs."""
        return {"judged_by": self.judge, "max_judgements": self.max_judgements}

    @property
    def judged_by(self) -> str:
        """The check of single judgements."""
        return f"{self.name}_order"


Judge = Annotated[RubricJudge | PairJudge | MetaJudge, Field(discriminator="kind")]
"""Any of the judges, told apart by `kind`."""
