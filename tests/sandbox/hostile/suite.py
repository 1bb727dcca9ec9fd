"""Runs every hostile program and holds what must be true of each."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sandbox import Execution, Program, Sandbox, Verdict
from tests.sandbox.hostile.case import Hostile

# What has to be true after every program: nothing lives, nothing lies around, the cell works.
AFTER = Program(
    id="after",
    source="""
import os
pids = sorted({int(name) for name in os.listdir("/proc") if name.isdigit()} - {1, os.getpid()})
print(1 + 1, pids, os.listdir("/tmp"), os.listdir("/dev/shm"))
""",
)
_NOTHING_LEFT = "2 [] [] []\n"
_MOST_OUTPUT = 8 << 20
_MOST_ERRORS = 64 << 10


class Finding(NamedTuple):
    """What became of one program, and what was wrong with that."""

    case: Hostile
    execution: Execution
    wrong: list[str]


def faults_of(case: Hostile, execution: Execution) -> list[str]:
    """Return what an execution has that the case does not allow."""
    wrong = []
    if execution.verdict not in case.verdicts:
        wrong.append(f"verdict {execution.verdict}, expected {' or '.join(case.verdicts)}")
    if case.stdout is not None and execution.stdout != case.stdout:
        wrong.append(f"stdout {execution.stdout[:200]!r}, expected {case.stdout[:200]!r}")
    if case.stderr not in execution.stderr:
        wrong.append(f"stderr {execution.stderr[-300:]!r} without {case.stderr!r}")
    # Refused forks are counted by control groups alone.
    unseen = case.flag == "pids_limit" and "polling" in execution.limits_enforced_by
    if case.flag is not None and case.flag not in execution.flags and not unseen:
        wrong.append(f"flags {execution.flags} without {case.flag!r}")
    if len(execution.stdout) > _MOST_OUTPUT or len(execution.stderr) > _MOST_ERRORS:
        wrong.append("more output than the limit")
    return wrong


def faults_after(after: Execution) -> list[str]:
    """Return what the next program found that it should not have."""
    if (after.verdict, after.stdout) == (Verdict.ACCEPTED, _NOTHING_LEFT):
        return []
    return [f"the next program: {after.verdict} {after.stdout!r} {after.stderr[-300:]!r}"]


def try_all(box: Sandbox, cases: Iterable[Hostile]) -> Iterator[Finding]:
    """Run programs one by one in a sandbox with one worker, with a look after each."""
    for case in cases:
        execution, after = box.run([case.program(box.limits), AFTER])
        yield Finding(case, execution, faults_of(case, execution) + faults_after(after))
