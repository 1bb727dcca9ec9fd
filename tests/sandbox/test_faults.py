"""What breaks around the programs: every program still gets exactly one verdict."""

import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox import Execution, Limits, Program, Sandbox, SandboxUnavailableError, Verdict
from tests.sandbox.conftest import NAMESPACES, open_or_skip

pytestmark = pytest.mark.sandbox


def short_programs(count: int) -> Iterator[Program]:
    source = "import time; time.sleep(0.02); print({0})"
    for i in range(count):
        yield Program(str(i), source.format(i), expected_stdout=str(i))


def children(pid: int) -> list[int]:
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in listed.split()]


def wardens(box: Sandbox) -> list[int]:
    cells = [talk.cell for w in box._crew.workers for talk in list(w.cells.values())]
    return [cell.warden_pid for cell in cells]  # type: ignore[attr-defined]


def process_one(warden: int) -> int | None:
    """The host's number of the fork server below a warden: where the only children end."""
    pid, below = warden, children(warden)
    for _ in range(3):
        if not below:
            break
        pid, below = below[0], children(below[0])
        if "NSpid:" in (status := _status(pid)):
            numbers = status.split("NSpid:")[1].splitlines()[0].split()
            if len(numbers) > 1 and numbers[-1] == "1":
                return pid
    return None


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return ""


@contextmanager
def killing(choose: Callable[[], int | None], pause_s: float = 0.15) -> Iterator[list[int]]:
    """Kill what `choose` names again and again, while the block runs."""
    stop, killed = threading.Event(), []

    def work() -> None:
        while not stop.wait(pause_s):
            if (pid := choose()) is not None:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                killed.append(pid)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


def one_verdict_each(executions: list[Execution], count: int) -> set[Verdict]:
    assert [execution.id for execution in executions] == [str(i) for i in range(count)]
    return {execution.verdict for execution in executions}


@pytest.mark.parametrize("backend", NAMESPACES)
@pytest.mark.parametrize("victim", ["process one", "warden"])
def test_killing_cells_costs_no_verdict(backend: str, victim: str) -> None:
    with open_or_skip(backend, workers=2, limits=Limits(memory_mib=128)) as box:

        def choose() -> int | None:
            # Only cells that have done something: on a slow machine none would ever get that far.
            alive = [worker for worker in box._crew.workers if worker.served > 3 and worker.cells]
            if not alive:
                return None
            warden = next(iter(alive[0].cells.values())).cell.warden_pid  # type: ignore[attr-defined]
            return int(warden) if victim == "warden" else process_one(warden)

        with killing(choose) as killed:
            executions = list(box.run(short_programs(120)))
    assert len(killed) > 3
    verdicts = one_verdict_each(executions, 120)
    # Hit twice, a program may look like one that kills its cell; it is never called wrong.
    assert verdicts <= {Verdict.ACCEPTED, Verdict.SANDBOX_FAULT, Verdict.TAMPERING}
    accepted = [e for e in executions if e.verdict is Verdict.ACCEPTED]
    assert len(accepted) >= 115
    assert all(e.attempts >= 2 for e in executions if e.verdict is not Verdict.ACCEPTED)


def test_a_full_disk_costs_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.sandbox.mounts import tiny_filesystem

    with tiny_filesystem(tmp_path) as folder:
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.chdir(folder)
        monkeypatch.setattr("tempfile.tempdir", None)
        (folder / "full").write_bytes(b"x" * (64 << 10))
        with pytest.raises(OSError, match="No space"):
            (folder / "more").write_bytes(b"x" * (64 << 10))
        with open_or_skip("namespaces", workers=2) as box:
            assert one_verdict_each(list(box.run(short_programs(20))), 20) == {Verdict.ACCEPTED}


def test_running_out_of_descriptors_passes() -> None:
    with open_or_skip("namespaces", workers=1, limits=Limits(memory_mib=128)) as box:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = len(os.listdir("/proc/self/fd"))
        programs = iter(short_programs(6))

        def watched() -> Iterator[Program]:
            yield next(programs)
            # From now on no new cell can be started, and the one there is gets killed.
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, hard))
            os.kill(wardens(box)[0], signal.SIGKILL)
            threading.Timer(1.0, resource.setrlimit, (resource.RLIMIT_NOFILE, (soft, hard))).start()
            yield from programs

        try:
            executions = list(box.run(watched()))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert one_verdict_each(executions, 6) <= {Verdict.ACCEPTED, Verdict.SANDBOX_FAULT}


def test_when_cells_start_no_more_the_rest_is_not_run_and_a_later_run_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sandbox import workers

    monkeypatch.setattr(workers, "_PAUSES_S", (0.0, 0.05, 0.05))
    with open_or_skip("namespaces", workers=1) as box:
        backend = box._backend

        def refuse(slot: int) -> None:
            raise SandboxUnavailableError("the engine is gone")

        def watched() -> Iterator[Program]:
            programs = short_programs(30)
            yield next(programs)
            monkeypatch.setattr(backend, "start_cell", refuse)
            os.kill(wardens(box)[0], signal.SIGKILL)
            yield from programs

        executions = list(box.run(watched()))
        assert one_verdict_each(executions, 30) <= {
            Verdict.ACCEPTED,
            Verdict.SANDBOX_FAULT,
            Verdict.NOT_RUN,
        }
        assert executions[-1].verdict is Verdict.NOT_RUN
        assert executions[-1].flags == ("sandbox_unavailable",)
        monkeypatch.undo()
        assert one_verdict_each(list(box.run(short_programs(3))), 3) == {Verdict.ACCEPTED}


def test_a_thread_that_waits_for_its_turn_is_not_starved() -> None:
    with open_or_skip("namespaces", workers=1, limits=Limits(memory_mib=128)) as box:
        stop = threading.Event()
        done = 0

        def endless() -> Iterator[Program]:
            while not stop.is_set():
                yield Program("busy", "print(1)")

        def occupy() -> None:
            nonlocal done
            done = sum(1 for _ in box.run(endless()))

        thread = threading.Thread(target=occupy)
        thread.start()
        time.sleep(0.2)
        assert one_verdict_each(list(box.run(short_programs(5))), 5) == {Verdict.ACCEPTED}
        stop.set()
        thread.join()
    assert done > 0


def test_a_cell_that_is_gone_keeps_its_last_counters() -> None:
    with open_or_skip("namespaces") as box:
        list(box.run(short_programs(1)))
        cell = next(iter(box._crew.workers[0].cells.values())).cell
        last = cell.usage()
    assert cell.usage() == last
    cell.reset_peak()
