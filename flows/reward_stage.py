"""The implicit rewards of a round's answers, by the models of the loop, and how far they agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.measure_stage import log_ratio, measure
from tasks.measures import Consistency, Likelihood, rank_consistency
from tasks.models import ModelRef, incumbent_of, resolve_model

if TYPE_CHECKING:
    from flows.stages import Stages

REWARD, PREVIOUS_REWARD = "reward", "previous_reward"


class Rewarded(NamedTuple):
    """What the rewards of a round are.

    Attributes:
        kind: `log_ratio`, or `mean_logprob` where the model is the reference itself.
        model: The model that they are of.
        reference: The model that it is compared with.
    """

    kind: Literal["log_ratio", "mean_logprob"]
    model: str
    reference: str


def implicit_reward(
    stages: Stages, initial_model: str | None, *, model: ModelRef | None = None, name: str = REWARD
) -> Rewarded:
    """Write what a model prefers among the round's answers, log pi(y | x) - log pi_0(y | x).

    The model that is the reference itself has no preference by this measure: its reward is the mean
    log-probability of the answer's tokens instead.

    Args:
        stages: The round.
        initial_model: pi_0, as `resolve_model` takes it; None for the run's base.
        model: pi; None for the incumbent.
        name: The check that is written.

    Source: CREAM (2410.12735), equation 7, and the authors' code for a model without a reference.
    """
    reference = _initial(stages, initial_model) or stages.base
    model = model or stages.incumbent
    if model.weight_hash == reference.weight_hash:
        measure(stages, Likelihood(name, value="mean"), model=model)
        return Rewarded("mean_logprob", model.id, reference.id)
    log_ratio(stages, reference, policy=model, name=name)
    return Rewarded("log_ratio", model.id, reference.id)


def consistent_rewards(
    stages: Stages, initial_model: str | None, mode: Literal["avg", "dyn"]
) -> dict[str, object]:
    """Write the rewards of the incumbent and of the model before it, and how far they agree.

    The checks are `reward`, `previous_reward` and `consistency`. Where there is no model before the
    incumbent, there are no agreement and no rows of the last two.

    Args:
        stages: The round.
        initial_model: pi_0, as `resolve_model` takes it; None for the run's base.
        mode: See `tasks.measures.rank_consistency`.

    Returns:
        What the rewards are and how far they agree, for `rounds.metrics`.
    """
    found: dict[str, object] = {"reward": implicit_reward(stages, initial_model)._asdict()}
    previous = previous_model(stages, initial_model)
    if previous is None:
        return found
    other = implicit_reward(stages, initial_model, model=previous, name=PREVIOUS_REWARD)
    return {**found, "previous": other._asdict(), **agree(stages, mode)._asdict()}


def previous_model(stages: Stages, initial_model: str | None) -> ModelRef | None:
    """The model that the incumbent took the place of; for the run's base the initial model.

    Args:
        stages: The round.
        initial_model: What the base came from, as `resolve_model` takes it; None: nobody knows.
    """
    if stages.incumbent.weight_hash == stages.base.weight_hash:
        return _initial(stages, initial_model)
    with stages.warehouse.connect() as connection:
        ((made_in,),) = connection.execute(
            "SELECT max(round) FROM models WHERE run = $run AND id = $id AND round < $round",
            {"run": stages.run, "id": stages.incumbent.id, "round": stages.number},
        ).fetchall()
    return incumbent_of(stages.warehouse, stages.run, before_round=made_in)


def _initial(stages: Stages, initial_model: str | None) -> ModelRef | None:
    return None if initial_model is None else resolve_model(stages.warehouse, initial_model)


@task(name="rank agreement", cache_policy=NO_CACHE)
def agree(stages: Stages, mode: Literal["avg", "dyn"]) -> Consistency:
    """Compare how both models rank the answers; doing it again writes the same rows."""
    return rank_consistency(
        stages.warehouse,
        REWARD,
        PREVIOUS_REWARD,
        run=stages.run,
        round=stages.number,
        mode=mode,
        memory_gib=stages.config.selection.memory_gib,
    )
