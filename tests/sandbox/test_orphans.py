import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.backends.cgroups import find_hierarchy, sweep_stale_groups
from tests.sandbox.conftest import open_or_skip
from tests.sandbox.host_view import descendants, own_groups, runs, wait_for

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
        wait_for(lambda: len(descendants(parent.pid)) >= 9, "all programs run")
        family = descendants(parent.pid)
        hierarchy = find_hierarchy()
        assert bool(own_groups(parent.pid)) == (hierarchy is not None)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        parent.stdout.close()
    wait_for(lambda: not any(map(runs, family)), "all processes are gone")
    wait_for(lambda: not own_groups(parent.pid), "control groups are gone")


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
    before = descendants(os.getpid())
    groups = set(own_groups(os.getpid()))
    with open_or_skip("auto", workers=2):
        assert len(descendants(os.getpid()) - before) >= 6
    assert descendants(os.getpid()) <= before
    assert set(own_groups(os.getpid())) <= groups
