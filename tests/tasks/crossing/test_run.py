"""A shard of programs and tests in a real sandbox: who passes what, ranks, and times."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import Limits, Sandbox
from storage import Warehouse, content_id
from tasks.checks.function_tests import HiddenTests
from tasks.crossing import Contest, CrossSpec, contested_prompts, cross_shard, entry_point
from tasks.selection import Selection, select
from tests.sandbox.opened import open_default

PROGRAMS = {
    "right": "def f(xs):\n    return sum(xs)",
    "again": "```python\ndef f(xs):\n    return sum(xs)\n```",
    "slow": "def f(xs):\n    for _ in range(300_000):\n        pass\n    return sum(xs)",
    "partly": "def f(xs):\n    return sum(xs) if xs else None",
    "broken": "def f(xs) return",
}
TESTS = {
    "two": "assert f([1, 2]) == 3",
    "none": "assert f([]) == 0",
    "one": "assert f([5]) == 5",
    "wrong": "assert f([1]) == 7",
    "no python": "I would test it.",
}
TIMED_TWICE = CrossSpec(num_timings=2)
ROLES: dict[str, Any] = {"program_role": "program", "test_role": "test"}
PLACE: dict[str, Any] = {"run": "r", "round": 1}


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    # On a busy machine, too, nothing here is to be stopped by the clock.
    with open_default(workers=2, limits=Limits(wall_s=120, cpu_s=20)) as opened:
        yield opened


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory, box: Sandbox) -> Warehouse:
    w = Warehouse.open(tmp_path_factory.mktemp("crossed") / "w")
    write(w)
    cross(w, box)
    return w


def sample(prompt: str, role: str, name: str, text: str) -> dict[str, Any]:
    return {
        "id": f"{prompt}-{name}", "prompt_id": prompt, "parent_ids": [], "role": role,
        "purpose": "train", "turn": 0, "index": 0, "policy_id": "m", "weight_hash": "h",
        "engine": "e", "sampling": {}, "seed": 0, "text": text, "num_tokens": 1,
        "finish_reason": "stop", "status": "ok",
    }  # fmt: skip


def write(w: Warehouse) -> None:
    problem: dict[str, Any] = {
        "environment": "functions", "messages": [{"role": "user", "content": "?"}],
        "reference": None, "source": "seed", "parent_ids": [], "split": "train",
        "difficulty": 1, "metadata": {},
    }  # fmt: skip
    w.write("prompts", [{"id": p, **problem} for p in ("p", "q")], part="train", **PLACE)
    rows = [sample("p", "program", *item) for item in PROGRAMS.items()]
    rows += [sample("p", "test", *item) for item in TESTS.items()]
    rows.append(sample("q", "program", "alone", PROGRAMS["right"]))
    w.write("samples", rows, part="sample-0000", **PLACE)
    scores = [
        {"id": content_id("score", row["id"]), "sample_id": row["id"], "check": "answer",
         "version": "1", "label": row["text"], "detail": {}, "status": "ok"}
        for row in rows if row["role"] == "program"
    ]  # fmt: skip
    w.write("scores", scores, part="sample-0000", **PLACE)


def cross(w: Warehouse, box: Sandbox, spec: CrossSpec = TIMED_TWICE) -> None:
    prompts = contested_prompts(w, **PLACE, **ROLES)
    assert prompts == ["p"]
    cross_shard(w, box, spec, prompts, part="cross-0000", **PLACE)
    w.seal("executions", ["cross-0000"], **PLACE)
    w.seal("scores", ["cross-0000"], **PLACE)


def read(w: Warehouse) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    executions = w.read("executions", part="cross-0000", **PLACE).to_pylist()
    scores = w.read("scores", part="cross-0000", **PLACE).to_pylist()
    return executions, {f"{row['sample_id'][2:]} {row['check']}": row for row in scores}


@pytest.mark.sandbox
def test_programs_and_tests_judge_each_other(crossed: Warehouse) -> None:
    executions, scores = read(crossed)
    passed = {
        (row["sample_id"][2:], row["test_ids"][0][2:]): row["verdict"] == "accepted"
        for row in executions
        if "timed" not in row["flags"]
    }
    valid = ["two", "none", "one", "wrong"]
    expected = {
        name: {"two", "none", "one"} if name in ("right", "again", "slow") else set()
        for name in PROGRAMS
    } | {"partly": {"two", "one"}}
    assert passed == {(p, t): t in expected[p] for p in PROGRAMS for t in valid}
    ranks = {key.split()[0]: row["value"] for key, row in scores.items() if "rank" in key}
    assert ranks["right"] == ranks["again"] == ranks["slow"] == 1.0
    assert 1.0 > ranks["partly"] > ranks["broken"] > 0
    assert ranks["two"] == ranks["one"] == 1.0 > ranks["none"] > ranks["wrong"] > 0
    assert scores["partly cross_passed"]["value"] == 0.5
    assert {t: scores[f"{t} cross_rank"]["label"] for t in TESTS} == {
        "two": "credible", "none": "credible", "one": "credible", "wrong": "other",
        "no python": "invalid",
    }  # fmt: skip
    assert json.loads(scores["no python cross_rank"]["detail"])["failure"] == "SyntaxError"


@pytest.mark.sandbox
def test_fast_programs_are_preferred_to_slow_ones(crossed: Warehouse) -> None:
    w, (executions, _) = crossed, read(crossed)
    timed = [row for row in executions if "timed" in row["flags"]]
    assert sorted(row["sample_id"] for row in timed) == sorted(["p-right", "p-again", "p-slow"] * 2)
    assert {tuple(row["test_ids"]) for row in timed} == {("p-none", "p-one", "p-two")}
    ids = [row["id"] for row in executions]
    assert len(set(ids)) == len(ids)
    report = select(
        w, [Selection("best_worst", {"check_name": "cross_rank"}), Selection("efficiency_pairs")],
        **PLACE,
    )  # fmt: skip
    assert [one.num_rows for one in report.selections] == [1, 1]
    rows = w.read("pairs", part="efficiency_pairs-0000", **PLACE).to_pylist()
    (pair,) = rows
    assert pair["rejected_sample_id"] == "p-slow" and pair["margin"] > 1
    assert pair["chosen_sample_id"] in ("p-right", "p-again")
    (pair,) = w.read("pairs", part="best_worst-0000", **PLACE).to_pylist()
    assert pair["rejected_sample_id"] == "p-broken"
    with w.connect() as connection:
        told = connection.execute(
            "SELECT relation, id FROM lineage($id) WHERE relation = 'test'", {"id": pair["id"]}
        ).fetchall()
    assert sorted(id for _, id in told) == ["p-none", "p-one", "p-two", "p-wrong"]


def test_of_a_problem_with_tests_only_what_its_question_says_is_read() -> None:
    hidden = HiddenTests("f", (([[1]], 1),), (), "import math\ndef f(xs):\n")
    contest = Contest.of({"a": "    return 1\n", "b": "def f(xs): return 2"}, {"t": "g()"}, hidden)
    assert (contest.function, contest.support) == ("f", hidden.prelude)
    assert contest.programs["a"] == hidden.prelude + "    return 1\n"
    assert contest.programs["b"] == "import math\n\ndef f(xs): return 2"


def test_the_function_that_tests_are_about() -> None:
    helped = "def helper(x): return x\ndef solve(x): return helper(x)"
    assert entry_point([helped, "def solve(x): pass"], ["assert solve(1) == helper(1)"]) == "solve"
    assert entry_point([helped], ["assert other(1)", "not python ("]) is None
    assert entry_point(["def ("], ["assert f(1)"]) is None


@pytest.mark.sandbox
def test_tests_of_nothing_leave_programs_without_a_rank(tmp_path: Path, box: Sandbox) -> None:
    w = Warehouse.open(tmp_path / "w")
    rows = [sample("p", "program", "a", "def f(xs): return 1"), sample("p", "test", "t", "g(1)")]
    w.write("samples", rows, part="sample-0000", **PLACE)
    cross(w, box)
    executions, scores = read(w)
    assert executions == []
    assert {key: row["value"] for key, row in scores.items()} == {
        "a cross_rank": None, "a cross_passed": None, "t cross_rank": None,
    }  # fmt: skip
    assert json.loads(scores["a cross_rank"]["detail"])["failure"] == "no_usable_test"
    assert json.loads(scores["t cross_rank"]["detail"])["failure"] == "no_entry_point"


@pytest.mark.sandbox
def test_a_program_can_meet_its_own_tests_alone(tmp_path: Path, box: Sandbox) -> None:
    w = Warehouse.open(tmp_path / "w")
    programs = {"one": "def f(x): return 1", "two": "def f(x): return 2", "none": "f = 1"}
    tests = {
        "of one": "assert f(0) == 1",
        "of two": "assert f(0) == 1",
        "again": "assert f(9) == 2",
    }
    parents = {"of one": "p-one", "of two": "p-two", "again": "p-two"}
    rows = [sample("p", "program", *item) for item in programs.items()]
    rows += [
        sample("p", "test", *item) | {"parent_ids": [parents[item[0]]]} for item in tests.items()
    ]
    w.write("samples", rows, part="sample-0000", **PLACE)
    cross(w, box, CrossSpec(tests_of="program", num_timings=0))
    executions, scores = read(w)
    met = {(row["sample_id"], *row["test_ids"]): row["verdict"] for row in executions}
    assert met == {
        ("p-one", "p-of one"): "accepted",
        ("p-two", "p-of two"): "wrong_answer",
        ("p-two", "p-again"): "accepted",
    }
    passed = {key: row["value"] for key, row in scores.items() if "passed" in key}
    assert passed == {"one cross_passed": 1.0, "two cross_passed": 0.5}
