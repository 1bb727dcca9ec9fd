"""A small run whose lineage is known by heart."""

from collections.abc import Callable
from typing import Any

import pytest

from storage import Warehouse

MakeRow = Callable[..., dict[str, Any]]


@pytest.fixture
def story(warehouse: Warehouse, make_row: MakeRow) -> Warehouse:
    """Returns a run of two rounds over one prompt.

    Round 1: model m0 gives four programs: s1 and s3 print 3, s2 prints 5, s4 fails; s1 refines
    draft s0. s1 against s2 becomes pair p1, s1 example e1; s3 is dropped as a duplicate of s1, s4
    for its error, the draft as a draft. m0 becomes m1. Round 2: model m1 answers the same prompt
    with t1, which becomes example e2, and with t2, which is dropped; m1 becomes m2. For evaluation
    m1 draws v1.
    """

    def write(table: str, round: int, *rows: dict[str, Any]) -> None:
        made = [make_row(table, **row) for row in rows]
        warehouse.write(table, made, run="r", round=round, part="p")

    def sample(id: str, model: str, **fields: Any) -> dict[str, Any]:
        fields = {"purpose": "train", "role": "program", "seed": 7} | fields
        sampling = {"temperature": 0.7}
        return {
            "id": id, "prompt_id": "q", "policy_id": model, "weight_hash": f"hash-{model}",
            "text": f"text of {id}", "sampling": sampling, **fields,
        }  # fmt: skip

    def score(sample_id: str, label: str | None) -> dict[str, Any]:
        return {"id": f"score-{sample_id}", "sample_id": sample_id, "check": "answer",
                "version": "1", "label": label}  # fmt: skip

    def execution(sample_id: str, verdict: str) -> dict[str, Any]:
        return {"id": f"exec-{sample_id}", "sample_id": sample_id, "verdict": verdict}

    def rejection(row_id: str, filter: str, reason: str) -> dict[str, Any]:
        return {"id": f"rejection-{row_id}", "row_table": "samples", "row_id": row_id,
                "filter": filter, "reason": reason}  # fmt: skip

    def model(id: str, parent: str | None, status: str) -> dict[str, Any]:
        return {"id": id, "parent_id": parent, "status": status, "weight_hash": f"hash-{id}"}

    seed = {"id": "q0", "environment": "word_problems", "reference": None}
    write("prompts", 0, seed)
    warehouse.write(
        "models", [make_row("models", "m0", status="base", weight_hash="hash-m0")],
        run="r", round=0, part="base",
    )  # fmt: skip
    problem = {"id": "q", "environment": "word_problems", "reference": "3", "parent_ids": ["q0"]}
    for round in (1, 2):
        write("prompts", round, problem)
    write(
        "samples", 1, sample("s0", "m0", role="draft"), sample("s1", "m0", parent_ids=["s0"]),
        sample("s2", "m0"), sample("s3", "m0"), sample("s4", "m0"),
    )  # fmt: skip
    write(
        "samples", 2, sample("t1", "m1"), sample("t2", "m1"),
        sample("v1", "m1", purpose="evaluate"),
    )  # fmt: skip
    write(
        "executions", 1, execution("s1", "accepted"), execution("s2", "wrong_answer"),
        execution("s3", "accepted"), execution("s4", "runtime_error"),
    )  # fmt: skip
    write("executions", 2, execution("t1", "accepted"), execution("v1", "accepted"))
    write("scores", 1, score("s1", "3"), score("s2", "5"), score("s3", "3"), score("s4", None))
    write("scores", 2, score("t1", "3"), score("v1", "3"))
    vote = {"prompt_id": "q", "num_samples": 4}
    write(
        "votes", 1, vote | {"id": "vote-3", "answer": "3", "share": 2 / 3, "rank": 1, "count": 2},
        vote | {"id": "vote-5", "answer": "5", "share": 1 / 3, "rank": 2, "count": 1},
    )  # fmt: skip
    write("votes", 2, vote | {"id": "vote-later", "answer": "3", "share": 1.0, "rank": 1})
    chosen = [{"role": "assistant", "content": "text of s1"}]
    write(
        "pairs", 1,
        {"id": "p1", "prompt_id": "q", "chosen": chosen, "chosen_sample_id": "s1",
         "rejected_sample_id": "s2", "sample_ids": ["s1", "s2"], "vote_ids": ["vote-3"],
         "margin": 1 / 3},
    )  # fmt: skip
    example = {"prompt_id": "q", "completion": chosen}
    write("examples", 1, example | {"id": "e1", "sample_ids": ["s1"], "weight": 0.25})
    write("examples", 2, example | {"id": "e2", "sample_ids": ["t1"]})
    write(
        "rejections", 1, rejection("s0", "role", "a draft"),
        rejection("s3", "duplicate", "same program as s1"), rejection("s4", "answer", "no answer"),
    )  # fmt: skip
    write("rejections", 2, rejection("t2", "cap", "at most 1 per prompt"))
    for number in (1, 2):
        parent, child = f"m{number - 1}", f"m{number}"
        write("models", number, model(child, parent, "candidate"))
        verdict = make_row("models", **model(child, parent, "promoted"))
        warehouse.write("models", [verdict], run="r", round=number, part="verdict")
        write(
            "rounds", number,
            {"id": f"round-{number}", "recipe": "scpo", "config": {"min_share": 0.5},
             "parent_model_id": parent, "child_model_id": child, "gate_verdict": "promoted"},
        )  # fmt: skip
        write(
            "evaluations", number,
            {"id": f"ev-{number}", "model_id": child, "suite": "a", "metric": "pass@1 greedy",
             "value": number / 4, "n": 30, "k": None},
            {"id": f"ev-{number}-b", "model_id": child, "suite": "b", "metric": "pass@1 greedy",
             "value": 1.0, "n": 10},
            {"id": f"ev-{number}-easy", "model_id": child, "suite": "a", "difficulty": 1,
             "metric": "pass@1 greedy", "value": 0.0, "n": 15},
            {"id": f"ev-{number}-k", "model_id": child, "suite": "a", "metric": "maj@k",
             "value": 0.0, "n": 30},
        )  # fmt: skip
    return warehouse
