"""What `selfloom ui` serves: one deployment of the loop per recipe, each with its own form.

The names of this module are what a worker imports (`flows.deployments.rest_em`).
"""

from __future__ import annotations

import sys
from typing import cast

from prefect import serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.types.entrypoint import EntrypointType

from flows.forms import form_of
from flows.recipes import RECIPES
from flows.self_training import LOOPS
from flows.server import TAG, end_with_server

for _name, _loop in LOOPS.items():
    setattr(sys.modules[__name__], _name, _loop)

end_with_server()  # the process of a served run imports this module before anything else of ours


def deployments() -> list[RunnerDeployment]:
    """One deployment per recipe; a second run while one is going on is cancelled, not queued."""
    limit = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
    made = [
        LOOPS[name].to_deployment(
            name=name,
            description=f"{recipe.title} (arXiv {recipe.paper}); labels needed: {recipe.labels}",
            tags=[TAG, recipe.labels_from],
            concurrency_limit=limit,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for name, recipe in RECIPES.items()
    ]
    served = cast("list[RunnerDeployment]", made)  # coroutines only where an event loop runs
    for deployment, recipe in zip(served, RECIPES.values(), strict=True):
        # Prefect has no public way to change a form (3.7.7).
        schema = deployment._parameter_openapi_schema
        deployment._parameter_openapi_schema = form_of(recipe, schema)
    return served


def serve_all() -> None:
    """Serve the deployments until the process is stopped."""
    serve(*deployments(), pause_on_shutdown=False)
