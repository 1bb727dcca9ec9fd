"""Check one committed shard of samples: run programs, parse answers, compare with references."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import cast

from sandbox import Runner
from storage import Warehouse
from tasks.checks.execution import (
    answered_by_functions,
    answered_by_programs,
    answered_by_texts,
    execute_samples,
)
from tasks.checks.function_tests import HiddenTests
from tasks.checks.scoring import score_answers
from tasks.environments import Environment

_COLUMNS = ["id", "prompt_id", "role", "text", "error"]


def check_shard(
    warehouse: Warehouse,
    environment: Environment,
    box: Runner | None,
    references: dict[str, str | None],
    *,
    run: str,
    round: int,
    part: str,
    roles: Collection[str] | None = None,
    opinions: Sequence[Mapping[str, object]] = (),
) -> int:
    """Write `executions` (where there is code) and `scores` for a part's samples; their number.

    Scores are written last: their shard says that it is done, and is not written again. Both stay
    shards until the stage seals them.

    Args:
        warehouse: Holds the part of `samples`.
        environment: Parses answers.
        box: An open sandbox; needed when the environment's answers are run.
        references: Reference answer by prompt id, None where unknown.
        run: The run.
        round: Its round.
        part: Name of the part, the same in all three tables.
        roles: Roles of the samples that are answers; None for all samples of the part.
        opinions: More rows for its `scores`.
    """
    place = {"run": run, "round": round, "part": part}
    asked = warehouse.read("samples", columns=_COLUMNS, **place)  # type: ignore[arg-type]
    samples = asked.to_pylist()
    if warehouse.has("scores", run=run, round=round, part=part):
        return len(samples)
    if roles is not None:
        samples = [sample for sample in samples if sample["role"] in roles]
    if environment.answer_format == "text":
        answered = answered_by_texts(samples, references)
    else:
        is_function = environment.answer_format == "function"
        tests = {
            id: HiddenTests.from_json(text)
            for id, text in references.items()
            if is_function and text is not None
        }
        executions = list(
            execute_samples(cast(Runner, box), samples, run=run, round=round, tests=tests)
        )
        warehouse.write_shard("executions", executions, run=run, round=round, part=part)
        pair = answered_by_functions if is_function else answered_by_programs
        answered = pair(samples, executions, references)
    scores: list[Mapping[str, object]] = list(
        score_answers(
            answered, environment.parse_answer, environment.canonical, run=run, round=round
        )
    )
    scores += opinions
    warehouse.write_shard("scores", scores, run=run, round=round, part=part)
    return len(samples)
