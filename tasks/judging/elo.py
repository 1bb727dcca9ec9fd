"""Ratings out of comparisons, with the judge's liking for the first place taken out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

# Wins that each of two who met is given over the other: without them one who always wins would
# have an infinite rating. Not published; small against one real comparison.
PRIOR_WINS = 0.1
_SCALE = 400 / math.log(10)
_STEPS, _TOLERANCE = 10_000, 1e-12


@dataclass(frozen=True)
class Battle:
    """One comparison of two.

    Attributes:
        first: The one shown first.
        second: The other one.
        is_first_better: Whether the first was preferred.
        group: Ratings are relative to the others of a group.
    """

    first: str
    second: str
    is_first_better: bool
    group: str = ""


def position_weights(battles: Sequence[Battle]) -> tuple[float, float]:
    """What a win of the first and of the second place counts; they add up to 1.

    A judge who prefers the first place gives wins there away, so that they count less.

    Source: Meta-Rewarding, 2407.19594, section 2.3: w1 = wins of the second place / all wins.

    Example:
        >>> position_weights([Battle("a", "b", True)] * 3 + [Battle("a", "b", False)])
        (0.25, 0.75)
    """
    if not battles:
        return 0.5, 0.5
    first = sum(battle.is_first_better for battle in battles) / len(battles)
    return 1 - first, first


def elo_ratings(battles: Sequence[Battle]) -> dict[str, float]:
    """The rating of everyone who was compared, on the Elo scale; the mean of a group is 0.

    Maximises the likelihood of the weighted wins under P(a beats b) = 1 / (1 + 10^((Rb - Ra)/400)).

    Args:
        battles: Comparisons; the position weights are those of all of them together.

    Source: Meta-Rewarding, 2407.19594, section 2.3; iteration: Hunter 2004, "MM algorithms for
    generalized Bradley-Terry models".
    """
    weights = position_weights(battles)
    groups: dict[str, list[Battle]] = defaultdict(list)
    for battle in battles:
        groups[battle.group].append(battle)
    return {
        name: rating
        for _, own in sorted(groups.items())
        for name, rating in _ratings(own, weights).items()
    }


def _ratings(battles: Sequence[Battle], weights: tuple[float, float]) -> dict[str, float]:
    wins: dict[tuple[str, str], float] = {}
    for battle in battles:
        for pair in ((battle.first, battle.second), (battle.second, battle.first)):
            wins.setdefault(pair, PRIOR_WINS)
        if battle.is_first_better:
            wins[battle.first, battle.second] += weights[0]
        else:
            wins[battle.second, battle.first] += weights[1]
    names = sorted({name for pair in wins for name in pair})
    strength = dict.fromkeys(names, 1.0)
    for _ in range(_STEPS):
        before = strength
        strength = {name: _step(name, wins, before) for name in names}
        mean = math.exp(math.fsum(map(math.log, strength.values())) / len(names))
        strength = {name: value / mean for name, value in strength.items()}
        if all(abs(strength[name] - before[name]) <= _TOLERANCE * before[name] for name in names):
            break
    return {name: _SCALE * math.log(value) for name, value in strength.items()}


def _step(name: str, wins: dict[tuple[str, str], float], strength: dict[str, float]) -> float:
    won = math.fsum(count for (winner, _), count in wins.items() if winner == name)
    met = math.fsum(
        (count + wins[other, name]) / (strength[name] + strength[other])
        for (winner, other), count in wins.items()
        if winner == name
    )
    return won / met
