"""What an execution says to whoever wrote the program: how it failed, and where."""

from __future__ import annotations

from sandbox import Execution, FunctionCases, Job, Verdict

MAX_CHARACTERS = 500


def feedback(job: Job, execution: Execution) -> str | None:
    """How a program failed, in a line or two; None where it did not, or the sandbox did.

    A function hears of the first call that it failed and of what it returned, never of what was
    expected.

    Args:
        job: What was run.
        execution: What came of it.

    Example: "wrong_answer: f([1, 2]) returned 3"
    """
    if execution.verdict is Verdict.ACCEPTED or not execution.verdict.is_label:
        return None
    for number, result in enumerate(execution.results):
        if result.verdict is Verdict.ACCEPTED or not result.verdict.is_label:
            continue
        if result.verdict is Verdict.COMPILE_ERROR:
            break  # it says nothing of any call
        said = result.note
        if isinstance(job, FunctionCases):
            shown = ", ".join(map(repr, job.cases[number].args))
            what = f"returned {result.got}" if result.got else f"failed: {result.note}"
            said = f"{job.entry_point}({shown}) {what}"
        return _told(result.verdict, said)
    lines = execution.stderr.strip().splitlines()
    return _told(execution.verdict, lines[-1] if lines else "")


def _told(verdict: Verdict, said: str) -> str:
    return (f"{verdict.value}: {said}" if said else verdict.value)[:MAX_CHARACTERS]
