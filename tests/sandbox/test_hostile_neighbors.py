"""Cases of the threat list that need more than one program: neighbors, the next one, many."""

from collections.abc import Iterator
from textwrap import dedent

import pytest

from sandbox import Execution, Limits, Program, Sandbox, Verdict
from tests.sandbox.conftest import LIMITS, NAMESPACES, open_or_skip
from tests.sandbox.hostile.every import CASES

pytestmark = pytest.mark.sandbox

_SPIN = "while True: pass"


@pytest.fixture(scope="module", params=NAMESPACES)
def pair(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox with two cells, so that programs have a neighbor."""
    with open_or_skip(request.param, workers=2) as sandbox:
        yield sandbox


def run(box: Sandbox, *sources: str) -> list[Execution]:
    """Run sources in order; two of them at once where the sandbox has two cells."""
    return list(box.run([Program(str(i), dedent(text).strip()) for i, text in enumerate(sources)]))


def test_a16_a_right_program_is_accepted_however_busy_the_machine_is() -> None:
    # Half of its CPU limit, while twenty programs want all processors.
    half = Program(
        "half",
        "import time\nwhile time.process_time() < 0.2: pass\nprint(42)",
        expected_stdout="42",
    )
    batch = [half if i % 4 == 3 else Program(f"spin {i}", _SPIN) for i in range(26)]
    with open_or_skip("auto", workers=8) as box:
        executions = list(box.run(batch))
    verdicts = {execution.id[:4]: set[Verdict]() for execution in executions}
    for execution in executions:
        verdicts[execution.id[:4]].add(execution.verdict)
    assert verdicts == {"half": {Verdict.ACCEPTED}, "spin": {Verdict.CPU_TIMEOUT}}


def test_c13_a_neighbor_is_not_seen(pair: Sandbox) -> None:
    known = """
        import os, socket, sys, time
        from multiprocessing.shared_memory import SharedMemory
        kept = socket.socket(socket.AF_UNIX)
        kept.bind("\\0neighbor")
        kept.listen()
        SharedMemory("neighbor", create=True, size=9)
        open("/tmp/neighbor", "w").close()
        os.mkfifo("/dev/shm/fifo-neighbor")
        if os.fork() == 0:
            os.execve(sys.executable, ["neighbor", "-c", "import time; time.sleep(9)"],
                      {"NEIGHBOR": "neighbor"})
        time.sleep(0.6)
        print("was there")
    """
    look = """
        import glob, os, socket, time
        from multiprocessing.shared_memory import SharedMemory
        seen, end = set(), time.monotonic() + 0.5
        def note(what, look):
            try:
                if look():
                    seen.add(what)
            except OSError:
                pass
        def read(pattern):
            for path in glob.glob(pattern):
                if f"/{os.getpid()}/" not in path and "/self/" not in path:
                    try:
                        with open(path, "rb") as file:
                            yield file.read()
                    except OSError:
                        pass
        while time.monotonic() < end:
            note("process", lambda: any(b"neighbor" in text for text in read("/proc/*/cmdline")))
            note("environment", lambda: any(b"NEIGHBOR" in t for t in read("/proc/*/environ")))
            note("socket", lambda: socket.socket(socket.AF_UNIX).connect("\\0neighbor") is None)
            note("memory", lambda: SharedMemory("neighbor"))
            note("file", lambda: glob.glob("/tmp/*neighbor*") + glob.glob("/dev/shm/*neighbor*"))
            note("number", lambda: len(glob.glob("/proc/[0-9]*")) != 2)
            time.sleep(0.05)
        print(sorted(seen))
    """
    executions = run(pair, known, look, known, look)
    assert [execution.stdout for execution in executions] == ["was there\n", "[]\n"] * 2


def test_d6_d7_planted_modules_reach_neither_the_harness_nor_the_next_program(
    box: Sandbox,
) -> None:
    plant = """
        import os, site, sys
        evil = "import os\\nos.write(1, b'evil')\\nos._exit(0)\\n"
        folders = ["/tmp", "/dev/shm", os.path.expanduser("~/.local/lib/python3/site-packages")]
        folders += [path for path in [*sys.path, site.getusersitepackages()] if path]
        planted = 0
        for folder in folders:
            for name in ("usercustomize.py", "sitecustomize.py", "json.py", "os.py", "ast.py",
                         "evil.pth", "traceback.py", "threading.py", "sandbox.py"):
                try:
                    os.makedirs(folder, exist_ok=True)
                    with open(folder + "/" + name, "w") as file:
                        file.write(evil if name.endswith("py") else "import usercustomize")
                    planted += 1
                except OSError:
                    pass
        print(planted > 0)
    """
    look = """
        import ast, importlib, json, os, subprocess, sys, threading, traceback
        for module in (ast, json, os, threading, traceback):
            importlib.reload(module) if module in (ast, json) else None
            assert module.__file__.startswith((sys.prefix, "/usr")), module.__file__
        code = "import json; print(json.loads('[42]')[0])"
        print(subprocess.check_output([sys.executable, "-c", code], text=True), end="")
    """
    planted, after = run(box, plant, look)
    assert (planted.stdout, "left_files" in planted.flags) == ("True\n", True)
    assert (after.verdict, after.stdout) == (Verdict.ACCEPTED, "42\n"), after


def test_nothing_that_is_set_on_standard_input_reaches_the_next_program(box: Sandbox) -> None:
    look = """
        import fcntl, os
        print(fcntl.fcntl(0, fcntl.F_GETFL), fcntl.fcntl(0, fcntl.F_GETOWN))
        fcntl.flock(os.open("/dev/null", os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    """
    change = """
        import fcntl, os
        fcntl.fcntl(0, fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND)
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.flock(0, fcntl.LOCK_EX)
    """
    before, _, after = run(box, look, change, look)
    assert (after.verdict, after.stdout) == (before.verdict, before.stdout)


def test_h1_h2_what_is_fixed_repeats_and_what_is_chance_does_not(box: Sandbox) -> None:
    fixed = "import random\nprint(set('abcdef'), hash('x'), random.random(), hash(None) is None)"
    chance = "import os, uuid, time\nprint(os.urandom(8), uuid.uuid4(), time.time_ns())"
    outputs = [execution.stdout for execution in run(box, fixed, chance, fixed, chance)]
    assert outputs[0] == outputs[2]
    assert outputs[1] != outputs[3]


def test_i1_a_program_that_destroys_its_cell_costs_its_neighbors_nothing(pair: Sandbox) -> None:
    killer = next(case for case in CASES if case.name == "B14 lets process 1 look larger")
    good = [Program(f"good {i}", f"print({i})", expected_stdout=str(i)) for i in range(40)]
    batch = [*good[:20], killer.program(pair.limits), *good[20:], killer.program(pair.limits)]
    executions = {execution.id: execution for execution in pair.run(batch)}
    assert {executions[program.id].verdict for program in good} == {Verdict.ACCEPTED}
    assert executions[killer.name].verdict in killer.verdicts


def test_i2_a_thousand_good_programs_among_a_hundred_hostile_ones(pair: Sandbox) -> None:
    # Every sixth case, whatever it is: no kind of hostility may reach a neighbor.
    hostile = CASES[:: len(CASES) // 100][:100]
    batch: list[Program] = []
    for i, case in enumerate(hostile):
        batch += [Program("good", f"print({i * j})", expected_stdout=str(i * j)) for j in range(10)]
        batch.append(case.program(pair.limits))
    executions = list(pair.run(batch))
    assert [execution.id for execution in executions] == [program.id for program in batch]
    good = [execution for execution in executions if execution.id == "good"]
    assert len(good) == 1000
    assert {execution.verdict for execution in good} == {Verdict.ACCEPTED}
    by_name = {case.name: case for case in hostile}
    wrong = [
        (execution.id, execution.verdict)
        for execution in executions
        if execution.id != "good" and execution.verdict not in by_name[execution.id].verdicts
    ]
    assert wrong == []


def test_memory_that_only_files_take_up_is_freed_and_is_no_fault_of_the_sandbox() -> None:
    # Folders that may hold more than the cell may use: the kernel has nothing but processes to
    # kill, and the files stay until they are swept.
    fill = """
        for path in ("/tmp/a", "/dev/shm/a"):
            for i in range(9):
                with open(path + str(i), "wb", buffering=0) as file:
                    for _ in range(15):
                        file.write(b"x" * (1 << 20))
    """
    limits = Limits(cpu_s=2, wall_s=6, memory_mib=64, tmp_mib=128)
    with open_or_skip("auto", limits=limits) as box:
        filled, after = run(box, fill, "print(1 + 1)")
    assert filled.verdict in (Verdict.MEMORY_LIMIT, Verdict.TAMPERING), filled
    assert (after.verdict, after.stdout) == (Verdict.ACCEPTED, "2\n")


def test_i8_the_same_program_gets_the_same_verdict_in_every_cell(pair: Sandbox) -> None:
    names = {"A1 spins", "B2 one huge block", "C4 daemon keeps stdout", "D8 fills tmp"}
    names |= {"E1 endless stdout", "F3 os._exit", "F25 garbage", "G1 tcp", "C19 segfault"}
    cases = [case for case in CASES if case.name in names]
    assert len(cases) == len(names)
    batch = [case.program(pair.limits) for case in cases for _ in range(4)]
    verdicts: dict[str, set[Verdict]] = {}
    for execution in pair.run(batch):
        verdicts.setdefault(execution.id, set()).add(execution.verdict)
    assert {name: len(seen) for name, seen in verdicts.items()} == dict.fromkeys(names, 1)


def test_the_suites_own_limits_are_those_of_its_sandboxes(pair: Sandbox) -> None:
    assert pair.limits == LIMITS
