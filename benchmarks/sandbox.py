"""Programs per second: both backends against `docker run` and a fresh, unprotected `python3 -I`.

All run the same programs with the same number of workers, in turns, so that a busy machine slows
all of them; the table gives medians over the turns, and where the time of a cell goes.

Run: python benchmarks/sandbox.py --workers 2 --programs 400 --turns 5
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sandbox import Program, Sandbox, SandboxUnavailableError, Verdict, open_sandbox
from sandbox.image import find_image

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    "print(1+1)": "print(1 + 1)",
    "ten stdlib imports": (
        "import math, random, re, json, itertools, functools, collections, decimal, fractions,"
        " datetime\nprint(2)"
    ),
}
BACKENDS = ("namespaces:unshare", "namespaces:bwrap", "docker")
FRESH = "python3 -I, no wall"
DOCKER_RUN = "docker run"
# One container per program is a hundred times slower: fewer of them say as much.
DOCKER_RUN_SHARE = 20

# What a cell does once and a program is spared, or what a program costs at least.
STEPS = {
    "fork, exit, wait": "pass",
    "and a mount namespace with a tmpfs": (
        "libc.unshare(0x20000), libc.mount(b'none', b'/', b'', 0x44000, b''), "
        "libc.mount(b'none', b'/mnt', b'tmpfs', 0, b'')"
    ),
    "and a system-call filter": "install_filter()",
    "and setting limits": "[resource.setrlimit(k, (1 << 30, 1 << 30)) for k in (0, 1, 9)]",
    "and running the program": "exec(compile(source, 'main.py', 'exec'), {})",
}
STEP_PROGRAM = """
import ctypes, gc, importlib, os, resource, sys, time
sys.path.insert(0, {root!r})
from sandbox.backends.process_one import PRELOAD
from sandbox.cell.seccomp import install_filter
for name in PRELOAD: importlib.import_module(name)
libc, source = ctypes.CDLL(None), {source!r}
gc.collect(); gc.freeze(); gc.disable()
start = time.perf_counter()
for _ in range(200):
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
        {step}
        os._exit(0)
    os.waitpid(pid, 0)
print((time.perf_counter() - start) / 200 * 1000)
"""


def in_threads(work: Callable[[int], None], num_programs: int, workers: int) -> None:
    """Call `work` for every program, a few at once."""
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(num_programs)))


def run_command(command: list[str], source: str) -> None:
    """Run a program as the standard input of a command."""
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=True)
    assert done.stdout == "2\n", done


def run_cells(box: Sandbox, source: str, num_programs: int) -> float:
    """Run each program in a cell; return the CPU milliseconds per program inside of it."""
    programs = (Program(str(i), source, expected_stdout="2") for i in range(num_programs))
    used = 0.0
    for execution in box.run(programs):
        assert execution.verdict is Verdict.ACCEPTED, execution
        used += execution.cpu_ms
    return used / num_programs


def rate(work: Callable[[int], object], num_programs: int) -> float:
    """Return programs per second by the clock."""
    start = time.perf_counter()
    work(num_programs)
    return num_programs / (time.perf_counter() - start)


def docker_command() -> list[str] | None:
    """Return the command of one hardened container per program, None where there is no engine."""
    try:
        image = find_image()
    except SandboxUnavailableError as error:
        print(f"docker left out: {error}", file=sys.stderr)
        return None
    options = ["--rm", "-i", "--pull=never", "--network=none", "--read-only", "--cap-drop=ALL"]
    return ["docker", "run", *options, "--entrypoint=python3", image, "-I", "-"]


def mechanisms(
    options: argparse.Namespace, boxes: dict[str, Sandbox], source: str
) -> dict[str, tuple[int, Callable[[int], object]]]:
    """Return how many programs each mechanism is to run, and what runs that many."""
    count, workers = options.programs, options.workers
    found: dict[str, tuple[int, Callable[[int], object]]] = {}

    def with_command(command: list[str]) -> Callable[[int], object]:
        return lambda number: in_threads(lambda _: run_command(command, source), number, workers)

    def with_cells(box: Sandbox) -> Callable[[int], object]:
        return lambda number: run_cells(box, source, number)

    if (docker_run := docker_command()) is not None:
        found[DOCKER_RUN] = max(workers, count // DOCKER_RUN_SHARE), with_command(docker_run)
    found[FRESH] = count, with_command([sys.executable, "-I", "-"])
    return found | {backend: (count, with_cells(box)) for backend, box in boxes.items()}


def compare(options: argparse.Namespace, boxes: dict[str, Sandbox]) -> None:
    """Print programs per second of all mechanisms."""
    print(f"{'program':<20}{'mechanism':<22}{'programs/s':>11}{'docker run':>12}{'python3':>9}")
    for name, source in SOURCES.items():
        rates: dict[str, list[float]] = {}
        works = mechanisms(options, boxes, source)
        for _ in range(options.turns):
            for mechanism, (number, work) in works.items():
                rates.setdefault(mechanism, []).append(rate(work, number))
        medians = {mechanism: statistics.median(values) for mechanism, values in rates.items()}
        for mechanism, median in medians.items():
            slow = f"{median / medians[DOCKER_RUN]:.0f}x" if DOCKER_RUN in medians else "-"
            times = f"{median / medians[FRESH]:.1f}x"
            print(f"{name:<20}{mechanism:<22}{median:>11.1f}{slow:>12}{times:>9}")


def explain(options: argparse.Namespace, boxes: dict[str, Sandbox]) -> None:
    """Print what the steps of a program cost one after the other, and what a cell needs of it."""
    name, source = list(SOURCES.items())[-1]
    print(f"\nWhere the time goes ({name!r}, milliseconds per program, one at a time):")
    program, before, body = STEP_PROGRAM, 0.0, []
    for label, step in STEPS.items():
        body.append(step)
        text = program.format(root=str(ROOT), source=source, step="; ".join(body))
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
        if done.returncode:
            print(f"  {label:<36} not possible here")
            body.pop()
            continue
        total = float(done.stdout)
        print(f"  {label:<36} +{total - before:5.2f}  = {total:5.2f}")
        before = total
    for backend, box in boxes.items():
        start = time.process_time()
        used = run_cells(box, source, options.programs)
        here = (time.process_time() - start) * 1000 / options.programs
        start = time.perf_counter()
        with open_sandbox(backend, workers=1):
            started = (time.perf_counter() - start) * 1000
        print(
            f"  {backend:<36} {used:.2f} CPU in the cell, {here:.2f} CPU in the caller; "
            f"{started:.0f} to start a cell, once"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2, help="programs at once (default 2)")
    parser.add_argument("--programs", type=int, default=400, help="programs a turn (default 400)")
    parser.add_argument("--turns", type=int, default=5, help="turns (default 5)")
    parser.add_argument(
        "--backends", nargs="+", default=BACKENDS, help=f"backends (default {' '.join(BACKENDS)})"
    )
    options = parser.parse_args()
    boxes: dict[str, Sandbox] = {}
    for backend in options.backends:
        try:
            boxes[backend] = open_sandbox(backend, workers=options.workers)
        except SandboxUnavailableError as error:
            print(f"{backend} left out: {error}", file=sys.stderr)
    print(f"{options.workers} workers, {options.turns} turns of {options.programs} programs")
    print(f"load average at the start {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs\n")
    compare(options, boxes)
    explain(options, boxes)
    for box in boxes.values():
        box.close()


if __name__ == "__main__":
    main()
