import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.backends.cgroups import find_hierarchy, sweep_stale_groups
from tests.sandbox.conftest import open_or_skip

pytestmark = pytest.mark.sandbox

_PARENT = """
import sys
from sandbox import Limits, Program, open_sandbox
daemon = "import os\\nif os.fork() == 0:\\n    os.setsid()\\nwhile True: pass"
with open_sandbox(sys.argv[1], workers=2, limits=Limits(cpu_s=60, wall_s=120)) as box:
    print("ready", flush=True)
    sleeper = "import time; time.sleep(99)"
    list(box.run([Program(id="a", source=daemon), Program(id="b", source=sleeper)]))
"""


def _descendants(pid: int) -> set[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return set()
    children = {int(child) for child in text.split()}
    return children.union(*(_descendants(child) for child in children))


def _own_groups(pid: int) -> list[Path]:
    hierarchy = find_hierarchy()
    bases = hierarchy.folders.values() if hierarchy else ()
    return [folder for base in bases for folder in base.glob(f"selfloom-*-{pid}-*")]


def _wait_for(condition: Callable[[], bool], what: str) -> None:
    for _ in range(1500):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail(f"not after 30 s: {what}")


@pytest.mark.parametrize("backend", ["namespaces:unshare", "namespaces:bwrap"])
def test_killing_the_parent_leaves_no_process_and_no_control_group(backend: str) -> None:
    with open_or_skip(backend):
        pass
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, backend], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    try:
        assert parent.stdout.readline() == "ready\n"
        # Two cells of warden, builder, process 1 and program, and one daemon.
        _wait_for(lambda: len(_descendants(parent.pid)) >= 9, "all programs run")
        family = _descendants(parent.pid)
        hierarchy = find_hierarchy()
        assert bool(_own_groups(parent.pid)) == (hierarchy is not None)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        parent.stdout.close()
    _wait_for(lambda: not any(map(_runs, family)), "all processes are gone")
    _wait_for(lambda: not _own_groups(parent.pid), "control groups are gone")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_groups_of_dead_owners_are_swept_and_others_stay() -> None:
    hierarchy = find_hierarchy()
    if hierarchy is None:
        pytest.skip("no control group can be written here")
    namespace = os.stat("/proc/self/ns/pid").st_ino
    base = next(iter(hierarchy.folders.values()))
    start = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    dead = base / f"selfloom-{namespace}-{os.getpid()}-1-9999"
    foreign = base / f"selfloom-1-{os.getpid()}-1-9999"
    alive = base / f"selfloom-{namespace}-{os.getpid()}-{start}-9999"
    try:
        for folder in (dead, foreign, alive):
            folder.mkdir()
        assert dead.name in sweep_stale_groups(hierarchy)
        assert (dead.exists(), foreign.exists(), alive.exists()) == (False, True, True)
    finally:
        for folder in (dead, foreign, alive):
            if folder.exists():
                folder.rmdir()


def test_closing_leaves_no_process_and_no_control_group() -> None:
    before = _descendants(os.getpid())
    groups = set(_own_groups(os.getpid()))
    with open_or_skip("auto", workers=2):
        assert len(_descendants(os.getpid()) - before) >= 6
    assert _descendants(os.getpid()) <= before
    assert set(_own_groups(os.getpid())) <= groups
