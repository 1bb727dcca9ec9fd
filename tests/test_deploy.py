"""The files of `deploy/`: what they name exists, and templates of Prefect know each variable."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.client.schemas.schedules import CronSchedule
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from flows.any_recipe import form_of_any
from flows.plans import make_config
from flows.recipes.config import LoopSpec

PROJECT = Path(__file__).parents[1]
DEPLOYMENTS = {
    one["name"]: one
    for one in yaml.safe_load((PROJECT / "deploy" / "prefect.yaml").read_text())["deployments"]
}


def base_job_template(kind: str) -> dict[str, Any]:
    """The variables that a work pool of this kind has, as Prefect ships them."""
    data = files("prefect.server.api.collections_data.views") / "aggregate-worker-metadata.json"
    workers = json.loads(data.read_text())
    (template,) = [
        worker["default_base_job_configuration"]
        for collection in workers.values()
        for worker in collection.values()
        if worker["type"] == kind
    ]
    return dict(template["variables"]["properties"])


@pytest.mark.parametrize("kind", ["process", "docker", "kubernetes"])
def test_a_deployment_of_each_pool_runs_the_loop_with_variables_that_the_pool_knows(
    kind: str,
) -> None:
    one = DEPLOYMENTS[kind]
    flow: Flow[..., Any] = load_flow_from_entrypoint(one["entrypoint"])
    form = form_of_any(parameter_schema(flow))
    parameters = one["parameters"]
    assert parameters.keys() == form.properties.keys()
    for name in ("recipe", "environment"):
        assert parameters[name] in form.properties[name]["enum"]
    make_config(parameters["recipe"], None, (), parameters["settings"])
    loop = LoopSpec.model_validate(parameters["loop"])
    assert loop.more and loop.max_late_min  # for schedules: more rounds, and no catching up
    (schedule,) = one["schedules"]
    CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
    assert not schedule["active"]
    assert one["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    known = base_job_template(kind)
    assert one["work_pool"].get("job_variables", {}).keys() <= known.keys()


def test_the_image_copies_what_is_there_and_has_the_cells_program() -> None:
    text = (PROJECT / "deploy" / "Dockerfile").read_text()
    steps = re.sub(r"\\\n", " ", text)
    copied = [line.split()[1:-1] for line in steps.splitlines() if line.startswith("COPY")]
    names = [name for names in copied for name in names]
    assert {"flows", "tasks", "sandbox", "storage", "pyproject.toml"} <= set(names)
    assert [name for name in names if not (PROJECT / name).exists()] == []
    assert "bubblewrap" in steps
    first_words = {line.split()[0] for line in steps.splitlines() if line.strip()}
    assert first_words <= {"#", "ARG", "FROM", "RUN", "WORKDIR", "COPY", "ENV"}
