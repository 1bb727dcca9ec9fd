"""Solutions that the environment knows, as samples of a policy called `labelled`.

SPIN and Self-Contrast prefer them to the policy's own samples. As rows of `samples` they go through
the same checks and selections, and every pair leads back to them.
"""

from __future__ import annotations

from collections.abc import Sequence

from storage import content_id
from tasks.environments import Environment, Problem, WithSolutions
from tasks.errors import OptionError

LABELLED = "labelled"
"""Policy, engine and weights of a solution; the selections' name for it."""


def solved_problems(
    environment: Environment,
    split: str,
    num: int | None,
    seed: int,
    difficulties: Sequence[int] | None,
) -> list[tuple[Problem, str]]:
    """Problems of an environment with solutions; `environment.problems` gives the same ones.

    Raises:
        OptionError: The environment has no solutions, or too few problems.
    """
    if not isinstance(environment, WithSolutions):
        raise OptionError(
            f"environment {environment.name!r} knows answers, but no solutions to learn from; take "
            "word_problems, functions, gsm8k or a length task, an environment of your own with a "
            "method `solved` (tasks.environments.WithSolutions), or a recipe that needs none"
        )
    return environment.solved(split, num, seed, difficulties)


def labelled_rows(
    solved: Sequence[tuple[Problem, str]], role: str, *, run: str, round: int
) -> list[dict[str, object]]:
    """Solutions as rows of `samples`.

    Args:
        solved: Problems with a completion each.
        role: `program` where completions are run, else `answer`.
        run: The run that they are for.
        round: Its round.
    """
    return [
        {
            "id": content_id("sample", run, round, problem.id, role, LABELLED),
            "prompt_id": problem.id,
            "parent_ids": [],
            "role": role,
            "purpose": "imported",
            "turn": 0,
            "index": 0,
            "policy_id": LABELLED,
            "weight_hash": LABELLED,
            "engine": LABELLED,
            "sampling": {},
            "seed": 0,
            "text": text,
            "num_tokens": 0,  # of whose tokenizer? nobody generated it
            "finish_reason": "stop",
            "status": "ok",
        }
        for problem, text in solved
    ]
