"""The loop as one deployment for all recipes: recipe and environment are choices of its form.

It is what a schedule or a work pool of `deploy/prefect.yaml` runs; the deployment of a recipe has a
form of that recipe's own settings instead.
"""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.utilities.callables import ParameterSchema

from flows.plans import make_config
from flows.recipes import RECIPES
from flows.recipes.config import LoopSpec
from flows.self_training import LoopResult, run_unless_late
from tasks.environments import ENVIRONMENTS

RECIPES_OWN = "the recipe's own"


@flow(name="self_training", flow_run_name="{recipe}")
def any_recipe(
    recipe: str = "rest_em",
    environment: str = RECIPES_OWN,
    settings: dict[str, Any] = {},  # noqa: B006  # a flow's default becomes its form
    loop: LoopSpec = LoopSpec(),
) -> LoopResult | State[Any]:
    """Self-train a model with any recipe.

    Args:
        recipe: The method; `selfloom recipes show NAME` explains it.
        environment: Where problems come from; one of your own goes into settings as
            {"environment.name": "module:Class"}.
        settings: Settings by their path, as --set takes them, e.g. {"sampling.n": 8}.
        loop: Which run, how many rounds, from which model, into which warehouse.
    """
    given = {} if environment == RECIPES_OWN else {"environment.name": environment}
    return run_unless_late(recipe, make_config(recipe, None, (), given | settings), loop)


def form_of_any(schema: ParameterSchema) -> ParameterSchema:
    """The schema of the flow's parameters with recipes and environments as choices."""
    form = schema.model_copy(deep=True)
    form.properties["recipe"]["enum"] = list(RECIPES)
    form.properties["environment"]["enum"] = [RECIPES_OWN, *ENVIRONMENTS]
    return form
