import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import (
    Limits,
    Program,
    Sandbox,
    SandboxClosedError,
    SandboxUsageError,
    Verdict,
    open_sandbox,
)
from tests.sandbox.conftest import LIMITS, open_or_skip

pytestmark = pytest.mark.sandbox


def programs(*sources: str) -> list[Program]:
    return [Program(id=str(i), source=source) for i, source in enumerate(sources)]


def test_executions_come_back_in_input_order_with_verdicts_by_expected_output(
    auto_box: Sandbox,
) -> None:
    batch = [
        Program(
            id=f"p{i}",
            source="import time\n" + ("time.sleep(0.2)\n" if i % 7 == 0 else "") + f"print({i})",
            expected_stdout=str(i if i % 2 else i + 1),
        )
        for i in range(60)
    ]
    executions = list(auto_box.run(batch))
    assert [execution.id for execution in executions] == [program.id for program in batch]
    assert [execution.verdict for execution in executions] == [
        Verdict.ACCEPTED if i % 2 else Verdict.WRONG_ANSWER for i in range(60)
    ]
    assert all(execution.attempts == 1 and execution.exit_code == 0 for execution in executions)


def test_programs_are_taken_only_as_cells_become_free(auto_box: Sandbox) -> None:
    taken: list[int] = []

    def endless() -> Iterator[Program]:
        while True:
            taken.append(len(taken))
            yield Program(id=str(len(taken)), source="print(1)")

    run = auto_box.run(endless())
    for _ in range(5):
        next(run)
    assert len(taken) < 300
    run.close()  # type: ignore[attr-defined]
    assert [e.verdict for e in auto_box.run(programs("print(2)"))] == [Verdict.ACCEPTED]


def test_nothing_in_nothing_out(auto_box: Sandbox) -> None:
    assert list(auto_box.run([])) == []


def test_input_reaches_the_program_whole(box: Sandbox) -> None:
    text = "ä€𝄞\n" * 100_000
    source = "import sys\nprint(len(sys.stdin.read()))"
    echo, ignored, after = box.run(
        [
            Program(id="read", source=source, stdin=text, expected_stdout=str(len(text))),
            Program(id="never reads", source="print(1)", stdin="x" * (8 << 20)),
            Program(
                id="lines", source="print(input() + input())", stdin="a\nb", expected_stdout="ab"
            ),
        ]
    )
    assert echo.verdict is Verdict.ACCEPTED
    assert ignored.verdict is Verdict.ACCEPTED
    assert after.verdict is Verdict.ACCEPTED


def test_same_program_gives_same_output_in_every_cell() -> None:
    source = (
        "import os, random\n"
        "print(list({'a', 'b', 'c', 'd', 'e'}), hash('x'), random.random(), os.getuid())"
    )
    outputs = set()
    for backend in ("namespaces:unshare", "auto"):
        with open_or_skip(backend, workers=2) as box:
            outputs |= {execution.stdout for execution in box.run(programs(*[source] * 8))}
    assert len(outputs) == 1


def test_a_forked_child_of_a_program_draws_other_numbers(box: Sandbox) -> None:
    source = (
        "import os, random\n"
        "r, w = os.pipe()\n"
        "if os.fork() == 0:\n    os.write(w, repr(random.random()).encode())\n    os._exit(0)\n"
        "os.wait()\nprint(os.read(r, 99).decode() != repr(random.random()))"
    )
    (execution,) = box.run(programs(source))
    assert execution.stdout == "True\n"


def test_cells_are_replaced_after_their_share_of_programs() -> None:
    with open_or_skip("auto"):
        pass
    with open_sandbox("auto", workers=1, limits=LIMITS, programs_per_cell=2) as box:
        source = "import os; print(os.getpid())"
        pids = [execution.stdout for execution in box.run(programs(*[source] * 6))]
    # Process ids count up inside a cell, so equal ones belong to different cells.
    assert len(set(pids)) < len(pids)


def test_the_expected_output_is_compared_as_asked() -> None:
    source = Program(id="a", source="print('1 ')", expected_stdout="1")
    verdicts = []
    for comparator in ("lines", "exact"):
        with open_or_skip("auto"):
            pass
        with open_sandbox("auto", workers=1, limits=LIMITS, comparator=comparator) as box:
            verdicts += [execution.verdict for execution in box.run([source])]
    assert verdicts == [Verdict.ACCEPTED, Verdict.WRONG_ANSWER]


def test_wrong_use_is_refused_with_the_reason(auto_box: Sandbox) -> None:
    with pytest.raises(SandboxUsageError, match="str; expected sandbox"):
        list(auto_box.run(["print(1)"]))  # type: ignore[list-item]
    with pytest.raises(SandboxUsageError, match="stdin_kib"):
        list(auto_box.run([Program(id="a", source="", stdin="x" * (17 << 20))]))
    with pytest.raises(
        SandboxUsageError, match=r"limits\.processes=3, but cells were made with 16"
    ):
        list(auto_box.run([Program(id="a", source="", limits=replace(LIMITS, processes=3))]))
    with pytest.raises(SandboxUsageError, match=r"memory_mib=999 is more than the cells have"):
        list(auto_box.run([Program(id="a", source="", limits=replace(LIMITS, memory_mib=999))]))
    auto_box.close()
    auto_box.close()
    with pytest.raises(SandboxClosedError, match="open a new one"):
        auto_box.run(programs("print(1)"))


def test_closing_from_another_thread_ends_a_run_that_waits() -> None:
    errors = []

    def run_for_ever(box: Sandbox) -> None:
        try:
            list(box.run(Program(id="sleep", source="while True: pass") for _ in iter(int, 1)))
        except SandboxClosedError as error:
            errors.append(error)

    with open_or_skip("auto", limits=Limits(cpu_s=60, wall_s=60)) as box:
        runner = threading.Thread(target=run_for_ever, args=[box])
        runner.start()
        while runner.is_alive() and not box._attempts:
            time.sleep(0.01)
        box.close()
        runner.join()  # without the wake-up only after four times the program's own wall time
    assert len(errors) == 1


def test_two_runs_of_one_sandbox_do_not_mix(auto_box: Sandbox) -> None:
    first = auto_box.run(programs(*["print(1)"] * 40))
    second = auto_box.run(programs(*["print(2)"] * 40))
    pairs = [(one.stdout, two.stdout) for one, two in zip(first, second, strict=True)]
    assert pairs == [("1\n", "2\n")] * 40


def test_two_hundred_callers_get_their_own_executions(auto_box: Sandbox) -> None:
    def call(number: int) -> list[str]:
        return [e.stdout for e in auto_box.run(programs(*[f"print({number})"] * 3))]

    with ThreadPoolExecutor(200) as callers:
        printed = list(callers.map(call, range(200)))
    assert printed == [[f"{number}\n"] * 3 for number in range(200)]


def test_a_program_has_its_own_limits(box: Sandbox) -> None:
    shared = box.limits
    spin, grow, talk, fine = box.run(
        [
            Program("spin", "while True: pass", limits=replace(shared, cpu_s=0.1)),
            Program(
                "grow",
                "x = b'x' * (90 << 20)\nimport time; time.sleep(0.3)",
                limits=replace(shared, memory_mib=64),
            ),
            Program("talk", "print('x' * 3000)", limits=replace(shared, stdout_kib=1)),
            Program("fine", "x = b'x' * (90 << 20); print('x' * 3000)"),
        ]
    )
    assert spin.verdict is Verdict.CPU_TIMEOUT and spin.cpu_ms < 300
    assert grow.verdict is Verdict.MEMORY_LIMIT
    assert talk.verdict is Verdict.OUTPUT_LIMIT and len(talk.stdout) == 1024
    assert fine.verdict is Verdict.ACCEPTED


def test_an_error_of_the_caller_leaves_the_sandbox_usable(auto_box: Sandbox) -> None:
    def broken() -> Iterator[Program]:
        yield Program(id="a", source="import time; time.sleep(9)")
        raise RuntimeError("the caller's own")

    with pytest.raises(RuntimeError, match="own"):
        list(auto_box.run(broken()))
    assert [e.verdict for e in auto_box.run(programs("print(1)"))] == [Verdict.ACCEPTED]


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _kill_cells_while_busy(wardens: Callable[[], set[int]], times: int) -> None:
    """Kill the builder of a cell, and with it the cell, each time a program sleeps in one."""
    killed: set[int] = set()
    for _ in range(2000):
        time.sleep(0.01)
        for warden in wardens() - killed:
            try:
                (builder,) = _children(warden)
                (first,) = _children(builder)
                if not _children(first):
                    continue
            except (OSError, ValueError):
                continue
            killed.add(warden)
            os.kill(builder, signal.SIGKILL)
            if len(killed) == times:
                return


@pytest.mark.parametrize(
    ("times", "verdict", "attempts"),
    [(1, Verdict.ACCEPTED, 2), (2, Verdict.ACCEPTED, 3), (3, Verdict.TAMPERING, 3)],
)
def test_a_program_whose_cell_dies_is_tried_again(
    times: int, verdict: Verdict, attempts: int
) -> None:
    limits = Limits(wall_s=5, cpu_s=1, memory_mib=128)
    with open_or_skip("namespaces:unshare", limits=limits) as box:
        workers = box._crew.workers

        def wardens() -> set[int]:
            # Not where the sandbox probes whether cells live at all.
            attempts = [(worker, box._attempts.get(worker.number)) for worker in workers]
            busy = [worker for worker, one in attempts if one and one.task.job.id == "0"]
            cells = [talk.cell for worker in busy for talk in list(worker.cells.values())]
            return {cell.warden_pid for cell in cells}  # type: ignore[attr-defined]

        killer = threading.Thread(target=_kill_cells_while_busy, args=(wardens, times))
        killer.start()
        slow, after = box.run(programs("import time; time.sleep(1.0); print(1)", "print(2)"))
        killer.join()
    assert (slow.verdict, slow.attempts) == (verdict, attempts)
    assert ("cell_killer" in slow.flags) == (verdict is Verdict.TAMPERING)
    assert after.verdict is Verdict.ACCEPTED
