"""Children that are forked from a process with the libraries behave as started ones do."""

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tasks import child_process, forked_child
from tasks.child_process import Child, end_child, read_tail, start_child
from tasks.forked_child import ForkedChild
from tests.flows.test_server import is_alive, wait_until

WORKER = "tests.tasks.echo_worker"
LIBRARY = "tasks.engines.batching"


@pytest.fixture
def log() -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        yield file


def start(log: IO[bytes], *arguments: str) -> ForkedChild:
    child = start_child(WORKER, arguments, 1, stderr=log, talk=True, imports=LIBRARY)
    if not isinstance(child, ForkedChild):
        end_child(child)
        pytest.skip("here children are not forked")
    return child


def say(child: Child, line: str) -> None:
    assert child.stdin is not None
    child.stdin.write(f"{line}\n".encode())
    child.stdin.flush()


def hear(child: Child) -> str:
    assert child.stdout is not None
    return child.stdout.readline().decode().strip()


def server_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_child_has_what_it_was_given_and_talks(
    log: IO[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    end_child(start(log))  # the server is there: later values must reach the child none the less
    monkeypatch.setenv("ECHO_VARIABLE", "ä")
    monkeypatch.chdir(tmp_path)
    child = start(log, "one", "")
    given = json.loads(hear(child))
    assert given == {
        "arguments": ["one", ""],
        "variable": "ä",
        "folder": str(tmp_path),
        "was_imported": True,
    }
    command = Path(f"/proc/{child.pid}/cmdline").read_bytes().rstrip(b"\0")
    assert command == f"selfloom {WORKER}".encode()
    assert os.getpgid(child.pid) == os.getsid(child.pid) == child.pid
    say(child, "hello")
    assert hear(child) == "HELLO"
    assert child.poll() is None and child.returncode is None
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(timeout=0.01)
    end_child(child)
    # Its input ended, so it may have been faster than the signal.
    assert child.returncode == child.poll() and child.returncode in (0, -signal.SIGKILL)
    assert "to stderr: hello" in read_tail(log)


def test_freed_memory_stays_with_a_child_unless_the_user_says_otherwise(
    log: IO[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the variables are glibc's")
    num_bytes = 100_000_000  # more than what is asked for ahead
    child = start(log)
    hear(child)
    say(child, f"free {num_bytes}")
    assert int(hear(child)) > num_bytes / 2
    end_child(child)
    monkeypatch.setenv("MALLOC_MMAP_MAX_", "65536")
    # They count from the start of the process that children are forked from.
    monkeypatch.setattr(child_process, "start_forked", forked_child._Forks().start)
    child = start(log)
    hear(child)
    say(child, f"free {num_bytes}")
    assert int(hear(child)) < num_bytes / 2
    end_child(child)


@pytest.mark.parametrize(("order", "code"), [("exit 0", 0), ("exit 7", 7), ("raise", 1)])
def test_exit_codes_and_last_words(log: IO[bytes], order: str, code: int) -> None:
    child = start(log)
    say(child, order)
    assert child.wait() == code
    assert ("RuntimeError: as it was told" in read_tail(log)) == (order == "raise")
    end_child(child)
    assert child.returncode == code


def test_a_child_ends_by_itself_when_its_input_does(log: IO[bytes]) -> None:
    child = start(log)
    hear(child)
    end_child(child, grace_s=60)
    assert child.returncode == 0


def test_what_cannot_be_imported_fails_in_the_child(log: IO[bytes]) -> None:
    child = start_child("no.such.module", [], 1, stderr=log, talk=False, imports="no.such.library")
    assert child.wait() == 1
    assert "No module named 'no'" in read_tail(log)
    end_child(child)


def test_children_end_with_their_server_and_the_next_child_has_a_new_one(log: IO[bytes]) -> None:
    child = start(log)
    hear(child)
    server = server_of(child.pid)
    os.kill(server, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    wait_until(lambda: not is_alive(child.pid), "the child outlived its server")
    end_child(child)
    other = start(log)
    assert server_of(other.pid) != server
    end_child(other)


def test_nothing_outlives_a_killed_process(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from tasks.child_process import start_child\n"
        f"child = start_child('{WORKER}', [], 1, stderr=sys.stderr.buffer, talk=True,"
        f" imports='{LIBRARY}')\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        server = server_of(pid)
        starter.kill()
    wait_until(lambda: not is_alive(pid) and not is_alive(server), "something is left")
