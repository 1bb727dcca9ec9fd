"""Run the programs of a round against tests that a model wrote: over `tasks.crossing`."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.errors import SettingError
from flows.progress import say, stage_progress
from flows.sample_stage import has_part, open_box, seal_parts
from flows.slots import sandbox_slot
from sandbox import Runner
from tasks.crossing import CrossSpec, contested_prompts, cross_shard

if TYPE_CHECKING:
    from flows.stages import Stages


def cross(stages: Stages, spec: CrossSpec, role: str) -> None:
    """Cross programs and tests, prompt by prompt; a shard that is done is not run again.

    Args:
        stages: The round.
        spec: How they are run and ranked.
        role: Role of the samples that are tests.

    Raises:
        SettingError: The environment's answers are no functions.
    """
    environment = stages.environment
    if environment.answer_format != "function":
        raise SettingError(
            f"environment.name={environment.name!r}: its answers are no functions, so that no test "
            "can call them; choose functions, humaneval or mbpp"
        )
    prompts = contested_prompts(
        stages.warehouse,
        run=stages.run,
        round=stages.number,
        program_role=stages.answer_role,
        test_role=role,
    )
    if not prompts:
        say(f"{stages.run} round {stages.number}: no problem has both programs and tests")
    size = stages.config.shard_size
    parts = {
        f"cross-{start // size:04d}": prompts[start : start + size]
        for start in range(0, len(prompts), size)
    }
    with ExitStack() as stack:
        box: Runner | None = None
        for part, own in parts.items():
            if has_part(stages, "scores", part):
                continue
            box = box or open_box(stages, stack)
            assert box is not None  # functions are run
            cross_part(stages, box, spec, own, role, part)
    seal_parts(stages, list(parts))


@task(name="cross shard", task_run_name="cross {part}", cache_policy=NO_CACHE, retries=2)
def cross_part(
    stages: Stages, box: Runner, spec: CrossSpec, prompts: list[str], role: str, part: str
) -> None:
    """Run one shard's programs against its tests; doing it again writes the same ids."""
    progress_of = stage_progress(f"round {stages.number} {part}", "prompts")
    with sandbox_slot(box), progress_of as progress:
        cross_shard(
            stages.warehouse,
            box,
            spec,
            prompts,
            run=stages.run,
            round=stages.number,
            part=part,
            program_role=stages.answer_role,
            test_role=role,
            on_progress=progress,
        )
