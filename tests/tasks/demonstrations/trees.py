"""Rounds for the tests of demonstrations: answers and what followed them, as trees of samples."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, field
from typing import Any

from storage import TABLES, Warehouse, content_id

RUN = "r"
TEXTS = ("a\nb\nc", "a\nb\nd", "a\nx\nc", "a\nb")


@dataclass
class Node:
    """A sample.

    Attributes:
        role: Its role.
        text: Its text.
        is_right: What the reference says; None where nobody compared.
        says: Label by check; yes is 1, no is 0.
        above: The sample that it follows.
        prompt: Number of its prompt.
        feedback: What its execution said.
        id: Set when the tree is numbered.
    """

    role: str
    text: str
    is_right: bool | None = None
    says: dict[str, str] = field(default_factory=dict)
    above: Node | None = None
    prompt: int = 0
    feedback: str | None = None
    id: str = ""

    @property
    def trace(self) -> list[Node]:
        """Everything before it, then itself."""
        return [*(self.above.trace if self.above else []), self]

    @property
    def ids(self) -> list[str]:
        """Ids of its trace."""
        return [node.id for node in self.trace]

    def then(self, role: str, text: str, **more: Any) -> Node:
        """A sample that follows it."""
        return Node(role, text, above=self, prompt=self.prompt, **more)


def text_of(rng: random.Random) -> str:
    return rng.choice(TEXTS)


def answer(rng: random.Random, prompt: int) -> Node:
    known = rng.choice((True, False, False, None))
    return Node("program", text_of(rng), known, prompt=prompt)


def write_nodes(w: Warehouse, nodes: list[Node], num_prompts: int, reference: str = "7") -> None:
    """Replace round 1 by these samples, with their scores and executions."""
    for table in TABLES:
        shutil.rmtree(w.root / f"tables/{table}/run={RUN}", ignore_errors=True)
    prompts = [
        {
            "id": prompt_id(number),
            "environment": "test",
            "messages": [{"role": "user", "content": f"{number}?"}],
            "reference": reference,
            "source": "seed",
            "parent_ids": [],
            "split": "train",
            "metadata": "{}",
            "difficulty": 1,
        }
        for number in range(num_prompts)
    ]
    for number, node in enumerate(nodes):
        node.id = content_id("sample", number)
    place: dict[str, Any] = {"run": RUN, "round": 1, "part": "all"}
    w.write("prompts", prompts, **place)
    w.write("samples", [_sample(number, node) for number, node in enumerate(nodes)], **place)
    w.write("scores", [row for node in nodes for row in _scores(node)], **place)
    w.write("executions", [_execution(n) for n in nodes if n.is_right is not None], **place)


def prompt_id(number: int) -> str:
    return content_id("prompt", number)


def output_of(node: Node) -> str:
    return "7" if node.is_right else "8"


def _sample(number: int, node: Node) -> dict[str, Any]:
    return {
        "id": node.id, "prompt_id": prompt_id(node.prompt), "parent_ids": node.ids[:-1],
        "role": node.role, "purpose": "train", "turn": len(node.trace) - 1, "index": number,
        "policy_id": "m", "weight_hash": "h", "engine": "e", "sampling": "{}", "seed": number,
        "text": node.text, "num_tokens": 1, "mean_logprob": -1.0 - number % 5,
        "finish_reason": "stop", "status": "ok",
    }  # fmt: skip


def _scores(node: Node) -> list[dict[str, Any]]:
    found = {check: (float(label == "yes"), label) for check, label in node.says.items()}
    if node.is_right is not None:
        found["answer"] = (None, output_of(node))  # type: ignore[assignment]
        found["reference"] = (float(node.is_right), None)  # type: ignore[assignment]
    return [
        {"id": content_id("score", node.id, check), "sample_id": node.id, "check": check,
         "version": "1", "detail": "{}", "status": "ok", "label": label, "value": value}
        for check, (value, label) in found.items()
    ]  # fmt: skip


def _execution(node: Node) -> dict[str, Any]:
    return {
        "id": content_id("execution", node.id), "sample_id": node.id, "test_ids": [],
        "verdict": "wrong_answer" if node.feedback else "accepted",
        "stdout": f"{output_of(node)}\n", "stderr": "",
        "stdout_truncated": False, "stderr_truncated": False, "wall_ms": 1.0, "cpu_ms": 1.0,
        "backend": "b", "isolation": "i", "limits_enforced_by": "l", "flags": [], "attempts": 1,
        "feedback": node.feedback,
    }  # fmt: skip
