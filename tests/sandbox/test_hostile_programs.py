import pytest

from sandbox import Program, Sandbox, Verdict
from tests.sandbox.hostile.case import Hostile
from tests.sandbox.hostile.every import CASES

pytestmark = pytest.mark.sandbox

# What has to be true after every program: nothing lives, nothing lies around, the cell works.
_AFTER = """
import os
pids = sorted({int(name) for name in os.listdir("/proc") if name.isdigit()} - {1, os.getpid()})
print(pids, os.listdir("/tmp"), os.listdir("/dev/shm"))
"""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_program_gets_its_verdict_and_leaves_nothing(box: Sandbox, case: Hostile) -> None:
    program = Program(
        id=case.name, source=case.source, stdin=case.stdin, expected_stdout=case.expected
    )
    execution, after = box.run([program, Program(id="after", source=_AFTER)])
    assert execution.verdict in case.verdicts, execution
    if case.stdout is not None:
        assert execution.stdout == case.stdout
    assert case.stderr in execution.stderr
    if case.flag is not None:
        assert case.flag in execution.flags
    assert len(execution.stdout) <= 1024 << 10 and len(execution.stderr) <= 64 << 10
    assert (after.verdict, after.stdout) == (Verdict.ACCEPTED, "[] [] []\n"), after
