"""Programs in completions: what is run, what its output means, and what an outage is not."""

import json
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import Limits, Sandbox, SandboxUnavailableError, open_sandbox
from tasks.checks.execution import (
    answered_by_programs,
    answered_by_texts,
    execute_samples,
    extract_program,
)


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("print(1)", "print(1)"),
        ("```python\nprint(1)\n```", "print(1)\n"),
        ("```py\nprint(1)\n```", "print(1)\n"),
        ("```\nprint(1)\n```", "print(1)\n"),
        ("```PYTHON  \nprint(1)\n```", "print(1)\n"),
        ("first ```python\nprint(1)\n``` then ```python\nprint(2)\n```", "print(2)\n"),
        ("```python\nprint(1)", "print(1)"),
        ("", ""),
    ],
)
def test_the_last_fenced_block_is_the_program(text: str, program: str) -> None:
    assert extract_program(text) == program


@given(st.text("abc()\n ", max_size=20), st.text("xyz \n", max_size=10))
def test_a_fence_hides_what_is_around_it(program: str, around: str) -> None:
    assert extract_program(f"{around}```python\n{program}\n```{around}") == f"{program}\n"


SAMPLES = [
    {"id": "s-right", "prompt_id": "p", "text": "print(4)"},
    {"id": "s-fenced", "prompt_id": "p", "text": "So:\n```python\nprint(2 + 3)\n```"},
    {"id": "s-broken", "prompt_id": "p", "text": "print(4"},
    {"id": "s-failed", "prompt_id": "q", "text": "print(4)\nraise ValueError('no')"},
    {"id": "s-left", "prompt_id": "q", "text": "print(4)\nimport os\nos._exit(0)"},
    {"id": "s-endless", "prompt_id": "q", "text": "while True: pass"},
]
VERDICTS = ["accepted", "accepted", "compile_error", "runtime_error", "early_exit", "cpu_timeout"]


@pytest.fixture(scope="module")
def executed() -> Iterator[list[dict[str, object]]]:
    limits = Limits(cpu_s=0.5, wall_s=5.0, memory_mib=128)
    try:
        opened: Sandbox = open_sandbox("auto", workers=2, limits=limits)
    except SandboxUnavailableError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    with opened as box:
        yield list(execute_samples(box, SAMPLES, run="r", round=1))


@pytest.mark.sandbox
def test_every_sample_gets_one_row_in_order(executed: list[dict[str, object]]) -> None:
    assert [row["sample_id"] for row in executed] == [sample["id"] for sample in SAMPLES]
    assert [row["verdict"] for row in executed] == VERDICTS
    assert [str(row["stdout"]).strip() for row in executed[:2]] == ["4", "5"]
    assert len({row["id"] for row in executed}) == len(SAMPLES)


@pytest.mark.sandbox
def test_only_a_program_that_ran_to_its_end_answers(executed: list[dict[str, object]]) -> None:
    references = {"p": "4", "q": None}
    found = list(answered_by_programs(SAMPLES, reversed(executed), references))
    texts = [one.text for one in found]
    assert [text and text.strip() for text in texts] == ["4", "5", None, None, None, None]
    assert [one.reference for one in found] == ["4", "4", "4", None, None, None]
    assert [one.outage for one in found] == [None] * len(SAMPLES)
    assert [json.loads(json.dumps(one.detail))["verdict"] for one in found] == VERDICTS


@pytest.mark.parametrize("verdict", ["sandbox_fault", "not_run"])
def test_an_outage_is_neither_an_answer_nor_a_missing_one(verdict: str) -> None:
    execution = {"sample_id": "s-right", "verdict": verdict, "stdout": "4\n"}
    (one,) = answered_by_programs(SAMPLES[:1], [execution], {"p": "4"})
    assert one.text is None
    assert one.outage == f"the sandbox did not judge it: {verdict}"


def test_a_text_answers_for_itself() -> None:
    (one,) = answered_by_texts(SAMPLES[:1], {})
    assert (one.sample_id, one.text, one.reference, one.outage) == (
        "s-right",
        "print(4)",
        None,
        None,
    )


def test_a_sandbox_that_stopped_gives_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    from sandbox import workers

    limits = Limits(memory_mib=128)
    monkeypatch.setattr(workers, "_PAUSES_S", (0.0, 0.05))
    try:
        opened = open_sandbox("namespaces", workers=1, limits=limits)
    except SandboxUnavailableError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    with opened as box:

        def refuse(slot: int) -> None:
            raise SandboxUnavailableError("the engine is gone")

        monkeypatch.setattr(box._backend, "start_cell", refuse)
        for cell in (talk.cell for worker in box._crew.workers for talk in worker.cells.values()):
            os.kill(cell.warden_pid, signal.SIGKILL)  # type: ignore[attr-defined]
        with pytest.raises(SandboxUnavailableError, match=r"selfloom sandbox doctor"):
            list(execute_samples(box, SAMPLES, run="r", round=0))
