"""What `selfloom ui` serves: the loop per recipe, each with its own form, and for any recipe;
and the evaluation of a model.

The names of this module are what a worker imports (`flows.deployments.rest_em`).
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

from prefect import Flow, serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.types.entrypoint import EntrypointType

from flows.any_recipe import any_recipe, form_of_any
from flows.evaluate_model import evaluate_flow
from flows.forms import form_of, offer_names
from flows.recipes import RECIPES
from flows.self_training import LOOPS
from flows.server import TAG, end_with_server

for _name, _loop in LOOPS.items():
    setattr(sys.modules[__name__], _name, _loop)

end_with_server()  # the process of a served run imports this module before anything else of ours


def deployments() -> list[RunnerDeployment]:
    """All deployments; a second run of one while one is going on is cancelled, not queued."""
    made = []
    for name, recipe in RECIPES.items():
        about = f"{recipe.title} (arXiv {recipe.paper}); labels needed: {recipe.labels}"
        one = _deployment(LOOPS[name], name, about, recipe.labels_from)
        # Prefect has no public way to change a form (3.7.7).
        one._parameter_openapi_schema = form_of(recipe, one._parameter_openapi_schema)
        made.append(one)
    loop = _deployment(any_recipe, "any_recipe", "Any recipe, for a quick start and for schedules.")
    loop._parameter_openapi_schema = form_of_any(loop._parameter_openapi_schema)
    measure = _deployment(evaluate_flow, "evaluate_flow", "Measure a model on held-out problems.")
    offer_names(measure._parameter_openapi_schema)
    return [loop, *made, measure]


def _deployment(flow: Flow[..., Any], name: str, about: str, *tags: str) -> RunnerDeployment:
    made = flow.to_deployment(
        name=name,
        description=about,
        tags=[TAG, *tags],
        version=_version(),
        concurrency_limit=ConcurrencyLimitConfig(
            limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
        ),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    # A worker imports this module first, which binds its life to the server's.
    deployment = cast(RunnerDeployment, made)  # a coroutine only where an event loop runs
    deployment.entrypoint = f"{__name__}.{name}"
    return deployment


def _version() -> str:
    try:
        return version("selfloom")
    except PackageNotFoundError:  # run from the source tree
        return "unknown"


def serve_all() -> None:
    """Serve the deployments until the process is stopped."""
    serve(*deployments(), pause_on_shutdown=False)
