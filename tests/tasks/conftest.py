"""A small warehouse as two loops leave it, written through the real storage API.

Run `labels` knows the answers: three rounds, the last one rejected. Run `votes` has none: one round
is promoted, the next is stopped by a monitor. Model-written text is hostile on purpose.
"""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from storage import Warehouse, content_id

HOSTILE = (
    "</script><script>alert('owned')</script><img src=x onerror=alert(1)> {{ 7 * 7 }} $x_1$ \u202e"
)

Row = dict[str, Any]


def make_prompts(run: str, round: int, difficulties: tuple[int, ...], number: int) -> list[Row]:
    """Return `number` prompts that ask for their index times the difficulty."""
    rows = []
    for i in range(number):
        level = difficulties[i % len(difficulties)]
        text = f"Ann has {i} bags of {level} apples. How many apples? ({HOSTILE})"
        rows.append(
            {
                "id": content_id("prompt", run, round, i),
                "environment": "word_problems",
                "messages": [{"role": "user", "content": text}],
                "reference": str(i * level),
                "source": "seed",
                "parent_ids": [],
                "split": "train",
                "difficulty": level,
                "metadata": "{}",
            }
        )
    return rows


def make_sample(prompt: Row, run: str, round: int, index: int, temperature: float) -> Row:
    """Returns one program sample; its text is filled in by the caller."""
    return {
        "id": content_id("sample", run, round, prompt["id"], "program", index, temperature),
        "prompt_id": prompt["id"],
        "parent_ids": [],
        "role": "program",
        "purpose": "evaluate" if temperature == 0.0 else "train",
        "turn": 0,
        "index": index,
        "policy_id": f"model-{run}-{round - 1}",
        "weight_hash": f"w{round - 1}",
        "engine": "transformers",
        "sampling": json.dumps({"temperature": temperature, "top_p": 1.0}),
        "seed": index,
        "text": "",
        "num_tokens": 20 + index,
        "finish_reason": "stop",
        "sum_logprob": -4.0,
        "mean_logprob": -0.2,
        "status": "ok",
    }


def make_execution(sample: Row, answer: str, good: bool) -> Row:
    """Returns the program's run: it printed the answer."""
    return {
        "id": content_id("execution", sample["id"]),
        "sample_id": sample["id"],
        "test_ids": [],
        "verdict": "accepted" if good else "wrong_answer",
        "exit_code": 0,
        "stdout": f"{answer}\n",
        "stderr": "",
        "stdout_truncated": False,
        "stderr_truncated": False,
        "wall_ms": 1.5,
        "cpu_ms": 1.0,
        "backend": "namespaces",
        "isolation": "namespaces",
        "limits_enforced_by": "cgroup",
        "flags": [],
        "attempts": 1,
    }


def make_scores(sample: Row, answer: str, good: bool) -> list[Row]:
    """Returns the scores of the checks 'answer' and 'reference'."""
    return [
        {
            "id": content_id("score", sample["id"], check),
            "sample_id": sample["id"],
            "check": check,
            "version": "1",
            "value": value,
            "label": label,
            "detail": "{}",
            "status": "ok",
        }
        for check, value, label in (("answer", None, answer), ("reference", float(good), None))
    ]


def make_votes(prompt: Row, answers: list[str]) -> list[Row]:
    """Returns the votes of one prompt, most voted first."""
    ranked = sorted(set(answers), key=lambda a: (-answers.count(a), a))
    return [
        {
            "id": content_id("vote", prompt["id"], answer),
            "prompt_id": prompt["id"],
            "answer": answer,
            "count": answers.count(answer),
            "weight": float(answers.count(answer)),
            "share": answers.count(answer) / len(answers),
            "rank": rank,
            "num_samples": len(answers),
        }
        for rank, answer in enumerate(ranked, 1)
    ]


def make_example(prompt: Row, sample: Row, answer: str) -> Row:
    """Returns the training row of a sample that was selected."""
    return {
        "id": content_id("example", sample["id"]),
        "prompt_id": prompt["id"],
        "prompt": prompt["messages"],
        "completion": [{"role": "assistant", "content": sample["text"]}],
        "weight": 1.0,
        "sample_ids": [sample["id"]],
        "score_ids": [content_id("score", sample["id"], "answer")],
        "vote_ids": [content_id("vote", prompt["id"], answer)],
    }


def make_rejection(sample: Row) -> Row:
    """Returns why a sample was not selected."""
    return {
        "id": content_id("rejection", sample["id"]),
        "row_table": "samples",
        "row_id": sample["id"],
        "filter": "majority",
        "reason": "the answer is not the majority answer",
        "detail": "{}",
    }


def write_round(
    w: Warehouse,
    run: str,
    round: int,
    *,
    right: float,
    difficulties: tuple[int, ...] = (1, 2),
    num_prompts: int = 24,
    num_samples: int = 4,
    accuracy: float,
    verdict: str,
    reasons: list[str],
    findings: list[str],
    recipe: str,
) -> None:
    """Write one round in which a sample is right with probability `right`."""
    rng = random.Random(f"{run}/{round}")
    prompts = make_prompts(run, round, difficulties, num_prompts)
    samples: list[Row] = []
    executions: list[Row] = []
    scores: list[Row] = []
    votes: list[Row] = []
    examples: list[Row] = []
    rejections: list[Row] = []
    for prompt in prompts:
        given: list[tuple[Row, str]] = []
        for index in range(num_samples + 1):
            sample = make_sample(prompt, run, round, index, 0.0 if index == num_samples else 0.7)
            good = rng.random() < right
            answer = prompt["reference"] if good else str(1000 + rng.randrange(3))
            sample["text"] = f"print({answer})  # {HOSTILE}"
            samples.append(sample)
            executions.append(make_execution(sample, answer, good))
            scores += make_scores(sample, answer, good)
            if index < num_samples:
                given.append((sample, str(answer)))
        ballot = make_votes(prompt, [answer for _, answer in given])
        votes += ballot
        for sample, answer in given:
            if answer == ballot[0]["answer"]:
                examples.append(make_example(prompt, sample, answer))
            else:
                rejections.append(make_rejection(sample))
    child = None if verdict == "stopped" else f"model-{run}-{round}"
    tables = {
        "prompts": prompts,
        "samples": samples,
        "executions": executions,
        "scores": scores,
        "votes": votes,
        "examples": examples,
        "rejections": rejections,
        "evaluations": []
        if child is None
        else make_evaluations(child, f"w{round}", accuracy, difficulties),
        "models": []
        if child is None
        else [
            {
                "id": child,
                "parent_id": f"model-{run}-{round - 1}",
                "recipe": recipe,
                "recipe_hash": "h",
                "path": f"models/{child}",
                "weight_hash": f"w{round}",
                "status": verdict,
                "metrics": "{}",
            }
        ],
    }
    for table, rows in tables.items():
        if rows:
            w.write(table, rows, run=run, round=round, part="all")
    w.write(
        "rounds",
        [
            {
                "id": content_id("round", run, round),
                "parent_model_id": f"model-{run}-{round - 1}",
                "child_model_id": child,
                "recipe": recipe,
                "recipe_hash": "h",
                "config": json.dumps({"temperature": 0.7, "num_samples": num_samples}),
                "counts": json.dumps({"samples": len(samples), "examples": len(examples)}),
                "metrics": "{}",
                "seconds": json.dumps(
                    {"sample": 20.5 + round, "execute": 4.0, "train": 61.0, "evaluate": 9.5}
                ),
                "tokens": json.dumps({"sample": 2_345}),
                "gate_verdict": verdict,
                "gate_reasons": reasons,
                "monitor_findings": findings,
            }
        ],
        run=run,
        round=round,
        part="all",
    )


def make_evaluations(
    model_id: str, weight_hash: str, accuracy: float, difficulties: tuple[int, ...]
) -> list[Row]:
    """Return greedy accuracy overall and for each difficulty, and pass@k and maj@k overall."""
    measured: list[tuple[int | None, str, int | None, float]] = [
        (None, "pass@1 greedy", None, accuracy),
        (None, "maj@k", 4, accuracy),
        (None, "pass@k", 4, min(1.0, accuracy + 0.1)),
    ]
    measured += [(d, "pass@1 greedy", None, max(0.0, accuracy - 0.1 * d)) for d in difficulties]
    return [
        {
            "id": content_id("evaluation", model_id, level, metric),
            "model_id": model_id,
            "weight_hash": weight_hash,
            "suite": "word_problems",
            "split": "heldout",
            "difficulty": level,
            "metric": metric,
            "k": k,
            "value": value,
            "n": 200,
            "ci_low": max(0.0, value - 0.06),
            "ci_high": min(1.0, value + 0.06),
        }
        for level, metric, k, value in measured
    ]


@pytest.fixture(scope="session")
def finished_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """The runs `labels` (rounds 1 to 3) and `votes` (rounds 1 and 2), for tests that only read."""
    w = Warehouse.open(tmp_path_factory.mktemp("finished") / "warehouse")
    for run in ("labels", "votes"):
        base = make_evaluations(f"model-{run}-0", "w0", 0.5, (1, 2))
        w.write("evaluations", base, run=run, round=0, part="base")
    verdicts = (("promoted", 0.5, 0.72), ("promoted", 0.7, 0.9), ("rejected", 0.8, 0.89))
    for number, (verdict, right, accuracy) in enumerate(verdicts, 1):
        write_round(
            w,
            "labels",
            number,
            right=right,
            accuracy=accuracy,
            verdict=verdict,
            reasons=[f"The candidate wins {10 * number} problems and loses 3: p = 0.0{number}."],
            findings=["warn: label_accuracy: 81.0% of the selected completions are right."]
            if number == 1
            else [],
            recipe="rest_em",
        )
    write_round(
        w,
        "votes",
        1,
        right=0.97,
        accuracy=0.95,
        verdict="promoted",
        reasons=["The candidate wins 12 problems and loses 0: p = 0.0002."],
        findings=[],
        recipe="lmsi",
    )
    write_round(
        w,
        "votes",
        2,
        right=0.3,
        difficulties=(1, 2, 3),
        accuracy=0.0,
        verdict="stopped",
        reasons=[],
        findings=["stop: error_avalanche: On the newest slice the mean majority share is 0.31."],
        recipe="lmsi",
    )
    return w


@pytest.fixture
def warehouse_of_two_runs(finished_warehouse: Warehouse, tmp_path: Path) -> Warehouse:
    """A copy of `finished_warehouse`, for tests that write."""
    shutil.copytree(finished_warehouse.root, tmp_path / "warehouse")
    return Warehouse.open(tmp_path / "warehouse")
