"""The 164 problems of HumanEval with their own tests: right is accepted, None is not."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from sandbox import Sandbox, Verdict
from sandbox.programs import FunctionTests

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def problems(shared_data: Path) -> list[dict[str, str]]:
    path = shared_data / "humaneval" / "HumanEval.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def job(problem: dict[str, str], body: str) -> FunctionTests:
    prompt = problem["prompt"]
    entry_point = problem["entry_point"]
    return FunctionTests(
        problem["task_id"], prompt + body, (entry_point,), (problem["test"],), support=prompt
    )


def test_canonical_solutions_are_accepted(box: Sandbox, problems: list[dict[str, str]]) -> None:
    executions = list(box.run(job(p, p["canonical_solution"]) for p in problems))
    assert [e for e in executions if e.verdict is not Verdict.ACCEPTED] == []
    assert len(executions) == 164


def test_returning_none_is_wrong_everywhere(box: Sandbox, problems: list[dict[str, str]]) -> None:
    executions = box.run(job(p, "    return None\n") for p in problems)
    assert Counter(e.verdict for e in executions) == {Verdict.WRONG_ANSWER: 164}
