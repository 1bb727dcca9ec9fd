import contextlib
from collections.abc import Iterator

import pytest

from sandbox import Program, Sandbox, Verdict
from tests.sandbox.host_view import HostState, programs_in, wait_for
from tests.sandbox.hostile.case import Hostile
from tests.sandbox.hostile.every import CASES
from tests.sandbox.hostile.suite import AFTER, faults_after, faults_of

pytestmark = pytest.mark.sandbox

_BEFORE = Program(id="before", source="import os; print(os.stat('/proc/self/ns/pid').st_ino)")


@pytest.fixture(scope="module", autouse=True)
def _unchanged_host(box: Sandbox) -> Iterator[None]:
    """All programs together leave the host as it was."""
    list(box.run([_BEFORE]))
    before = HostState.now()
    yield
    with contextlib.suppress(pytest.fail.Exception):
        wait_for(lambda: not HostState.now().changes_since(before), "the host is as it was")
    assert HostState.now().changes_since(before) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_program_gets_its_verdict_and_leaves_nothing(box: Sandbox, case: Hostile) -> None:
    (before,) = box.run([_BEFORE])
    (execution,) = box.run([case.program(box.limits)])
    alive = programs_in(int(before.stdout))
    (after,) = box.run([AFTER])
    assert faults_of(case, execution) + faults_after(after) == []
    # The cell of a program that tampered is thrown away, which takes its moment.
    assert alive == [] or execution.verdict is Verdict.TAMPERING
    wait_for(lambda: not programs_in(int(before.stdout)), "the program is gone")


def test_every_name_is_there_once() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
