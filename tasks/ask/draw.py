"""How many samples a group needs: until the vote is decided, and more where answers disagree.

Samples are drawn in chunks, and after each chunk the votes so far say whether to go on. Sample i
has the same seed whatever the chunks are, so a group that ended early is the beginning of the whole
one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import comb
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class DrawRule(BaseModel):
    """When the samples of a group are enough."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stop: Literal["never", "decided", "confident"] = Field(
        default="decided",
        description="decided: when no answer can overtake the leading one any more, so that "
        "the winner is that of the full draw; confident: also when it probably won't; never: only "
        "n_max counts.",
    )
    confidence: float = Field(
        default=0.95,
        gt=0.5,
        lt=1,
        description="For stop=confident: probability that the leading answer is more likely than "
        "the second.",
    )
    chunk: int = Field(default=4, ge=1, le=4096, description="Samples between two looks.")
    n_max: int | None = Field(
        default=None, ge=2, le=4096, description="Most samples where answers disagree; empty: n."
    )
    agreement: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="With n_max: share of the leading answer below which more are drawn.",
    )

    def most(self, n: int) -> int:
        """Samples of a group that nothing ends early."""
        return n if self.n_max is None else max(n, self.n_max)


def next_draw(rule: DrawRule, n: int, votes: Sequence[str | None]) -> int:
    """How many samples to draw next for a group; 0 where it has enough.

    Args:
        rule: When there are enough.
        n: Samples of a group, before it is extended to n_max.
        votes: The answer of every sample drawn so far, None for one without.

    Source: for stop=confident, Aggarwal et al., "Let's Sample Step by Step: Adaptive-Consistency"
    (2305.11860), the Beta criterion of section 3.

    Example:
        >>> rule = DrawRule(chunk=3)
        >>> next_draw(rule, 8, ["4", "4", "4"]), next_draw(rule, 8, ["4"] * 5)
        (3, 0)
    """
    drawn, most = len(votes), rule.most(n)
    counts = Counter(vote for vote in votes if vote is not None)
    top = max(counts.values(), default=0)
    if drawn >= n and top >= rule.agreement * drawn:
        return 0
    # Below n: a group that will agree well enough by then is not extended.
    limit = n if drawn < n and top >= rule.agreement * n else most
    if drawn >= limit or (drawn and _may_end(rule, counts, limit - drawn)):
        return 0
    return min(rule.chunk, (n if drawn < n else limit) - drawn)


def _may_end(rule: DrawRule, counts: Mapping[str, int], remaining: int) -> bool:
    if rule.stop == "never":
        return False
    if is_decided(counts, remaining):
        return True
    if rule.stop == "decided":
        return False
    first, second = [*sorted(counts.values(), reverse=True), 0, 0][:2]
    return lead_probability(first, second) >= rule.confidence


def is_decided(counts: Mapping[str, int], remaining: int) -> bool:
    """Whether the most voted answer stays so however the remaining samples vote.

    Ties are as in `votes.sql`: of equal counts the answer that sorts first wins.

    Args:
        counts: Votes by answer.
        remaining: Samples that are still to come, at least 1.
    """
    if not counts:
        return False
    leader = min(counts, key=lambda answer: (-counts[answer], answer))
    lead = counts[leader]
    # An answer that nobody gave yet may sort before the leading one.
    return lead > remaining and all(
        (count + remaining, leader) < (lead, answer) or count + remaining < lead
        for answer, count in counts.items()
        if answer != leader
    )


def lead_probability(first: int, second: int) -> float:
    """P(p > 1/2) for p ~ Beta(first + 1, second + 1): whether the lead is more than chance.

    Example:
        >>> lead_probability(1, 1), lead_probability(4, 0)
        (0.5, 0.96875)
    """
    total = first + second + 1
    return float(sum(comb(total, k) for k in range(first + 1)) / 2**total)
