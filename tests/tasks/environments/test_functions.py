"""Functions judged by hidden tests: seeded ones, HumanEval and MBPP, in the real sandbox."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import Sandbox, SandboxUnavailableError, Verdict, open_sandbox
from storage import Warehouse, content_id
from tasks.checks.function_tests import HiddenTests
from tasks.checks.shard import check_shard
from tasks.environments import Problem, load_environment
from tasks.environments.functions import TASKS, Functions
from tasks.errors import DataFormatError, OptionError

FUNCTIONS = Functions()
MBPP_ROWS = [
    {
        "task_id": task_id,
        "text": f"Write a function to find the shared elements, number {task_id}.",
        "code": "def shared(a, b):\n  return tuple(set(a) & set(b))",
        "test_list": [
            "assert set(shared((3, 4), (4, 5))) == set((4,))",
            "assert shared((), ()) == ()",
        ],
        "test_setup_code": "import math",
    }
    for task_id in (5, 11, 510, 601)
]


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    try:
        opened = open_sandbox("namespaces", workers=1)
    except SandboxUnavailableError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    with opened:
        yield opened


def test_tasks_are_split_by_what_they_compute() -> None:
    train, heldout = FUNCTIONS.problems("train", 300, 1), FUNCTIONS.problems("heldout", 60, 2)
    assert not {p.reference for p in train} & {p.reference for p in heldout}
    assert len({p.id for p in train + heldout}) == 360
    assert {p.difficulty for p in train} == {1, 2, 3}
    assert train == FUNCTIONS.problems("train", 300, 1) != FUNCTIONS.problems("train", 300, 2)
    assert {p.difficulty for p in FUNCTIONS.problems("train", 9, 0, [2])} == {2}
    assert 0.08 < sum(task.split == "heldout" for task in TASKS) / len(TASKS) < 0.17
    with pytest.raises(OptionError, match="there are 0 train tasks"):
        FUNCTIONS.problems("train", 1, 0, [4])


@pytest.mark.sandbox
def test_the_solutions_pass_and_those_of_others_do_not(box: Sandbox) -> None:
    labelled = FUNCTIONS.labelled("train", 60, 3)
    tests = [HiddenTests.from_json(problem.reference or "") for problem, _ in labelled]
    right = box.run(own.job("a", code) for own, (_, code) in zip(tests, labelled, strict=True))
    assert {execution.verdict for execution in right} == {Verdict.ACCEPTED}
    shifted = [*labelled[1:], labelled[0]]
    wrong = box.run(own.job("a", code) for own, (_, code) in zip(tests, shifted, strict=True))
    # Two tasks may be one on the numbers that they are tried on.
    assert sum(execution.verdict is Verdict.ACCEPTED for execution in wrong) <= 6


@pytest.mark.sandbox
def test_a_shard_of_functions_is_scored_by_hidden_tests(box: Sandbox, tmp_path: Path) -> None:
    (problem, code) = FUNCTIONS.labelled("train", 1, 0)[0]
    texts = [
        f"Sure:\n```python\n{code}```",
        code.replace("xs", "values"),
        "def f(xs):\n    return None\n",
        "def f(xs:",
        "def g(xs):\n    return 0\n",
    ]
    w = Warehouse.open(tmp_path / "w")
    w.write(
        "samples",
        [_sample(problem, i, text) for i, text in enumerate(texts)],
        run="r",
        round=1,
        part="p",
    )
    check_shard(w, FUNCTIONS, box, {problem.id: problem.reference}, run="r", round=1, part="p")
    scores = w.read("scores", run="r", round=1, part="p").to_pylist()
    by_check = {
        check: [row for row in scores if row["check"] == check] for check in ("answer", "reference")
    }
    assert [row["value"] for row in by_check["reference"]] == [1.0, 1.0, 0.0, 0.0, 0.0]
    labels = [row["label"] for row in by_check["answer"]]
    assert labels[0] == labels[1] != labels[2]  # names do not count
    assert labels[3] is None
    verdicts = [
        row["verdict"] for row in w.read("executions", run="r", round=1, part="p").to_pylist()
    ]
    assert verdicts[:4] == ["accepted", "accepted", "wrong_answer", "compile_error"]


@pytest.mark.sandbox
def test_humaneval_takes_whole_functions_and_bodies(box: Sandbox, shared_data: Path) -> None:
    path = shared_data / "humaneval" / "HumanEval.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    humaneval = load_environment("humaneval", {"path": str(path)})
    problems = {str(p.metadata["task_id"]): p for p in humaneval.problems("heldout")}
    assert len(problems) == 164 and humaneval.problems("train") == []

    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if int(row["task_id"][10:]) % 8 == 0]
    jobs = []
    for row in rows:
        tests = HiddenTests.from_json(problems[row["task_id"]].reference or "")
        for solution in (row["canonical_solution"], row["prompt"] + row["canonical_solution"]):
            text = f"```python\n{solution}```"
            program = humaneval.parse_answer(text)
            assert program is not None
            jobs.append(tests.job(row["task_id"], program))
        jobs.append(tests.job(row["task_id"], "    return None\n"))
    verdicts = [execution.verdict for execution in box.run(jobs)]
    assert set(verdicts[0::3]) == set(verdicts[1::3]) == {Verdict.ACCEPTED}
    assert Verdict.ACCEPTED not in verdicts[2::3]


@pytest.mark.sandbox
def test_mbpp_has_the_papers_split_and_finds_the_tested_function(
    box: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "mbpp.jsonl"
    bad = {**MBPP_ROWS[0], "test_list": ["assert True"]}
    path.write_text("\n".join(map(json.dumps, [*MBPP_ROWS, bad])))
    mbpp = load_environment("mbpp", {"path": str(path)})
    assert [p.metadata["task_id"] for p in sorted(mbpp.problems("heldout"), key=_task)] == [
        "11",
        "510",
    ]
    assert [p.metadata["task_id"] for p in sorted(mbpp.problems("train"), key=_task)] == [
        "5",
        "601",
    ]
    assert "calls no function" in mbpp.bad_rows[0].reason  # type: ignore[attr-defined]
    tests = HiddenTests.from_json(mbpp.problems("train")[0].reference or "")
    assert tests.entry_point == "shared"
    run = box.run(
        tests.job("a", code) for code in (str(MBPP_ROWS[0]["code"]), "def shared(a, b): return ()")
    )
    assert [e.verdict for e in run] == [Verdict.ACCEPTED, Verdict.WRONG_ANSWER]


def test_a_reference_that_is_none_is_named() -> None:
    with pytest.raises(DataFormatError, match="JSON of its tests, not '42'"):
        HiddenTests.from_json("42")
    with pytest.raises(DataFormatError, match="either cases or tests"):
        HiddenTests.from_json(HiddenTests("f").to_json())


def _task(problem: Problem) -> int:
    return int(str(problem.metadata["task_id"]))


def _sample(problem: Problem, index: int, text: str) -> dict[str, object]:
    return {
        "id": content_id("sample", text),
        "prompt_id": problem.id,
        "parent_ids": [],
        "role": "program",
        "purpose": "train",
        "turn": 0,
        "index": index,
        "policy_id": "m",
        "weight_hash": "h",
        "engine": "transformers",
        "sampling": {},
        "seed": index,
        "text": text,
        "num_tokens": 3,
        "finish_reason": "stop",
        "status": "ok",
    }
