"""Programs per second: warm cells against a fresh, unprotected `python3 -I` per program.

Both run the same programs with the same number of workers, in turns, so that a busy machine slows
both; the table gives medians over the turns.

Run: python benchmarks/sandbox_throughput.py --workers 2 --programs 400 --turns 3
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

SOURCES = {
    "print(1+1)": "print(1 + 1)",
    "ten stdlib imports": (
        "import math, random, re, json, itertools, functools, collections, decimal, fractions,"
        " datetime\nprint(2)"
    ),
}


def run_fresh(source: str, num_programs: int, workers: int) -> None:
    """Run each program in an interpreter of its own, without any protection."""

    def one(_: int) -> None:
        done = subprocess.run(
            [sys.executable, "-I", "-"], input=source, capture_output=True, text=True, check=True
        )
        assert done.stdout == "2\n", done

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, range(num_programs)))


def run_cells(box: Sandbox, source: str, num_programs: int) -> None:
    """Run each program in a cell."""
    programs = (Program(str(i), source, expected_stdout="2") for i in range(num_programs))
    for execution in box.run(programs):
        assert execution.verdict is Verdict.ACCEPTED, execution


def rate(work: Callable[..., None], *arguments: object, num_programs: int) -> float:
    """Return programs per second by the clock."""
    start = time.perf_counter()
    work(*arguments)
    return num_programs / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2, help="programs at once (default 2)")
    parser.add_argument("--programs", type=int, default=400, help="programs a turn (default 400)")
    parser.add_argument("--turns", type=int, default=3, help="turns (default 3)")
    options = parser.parse_args()
    boxes: dict[str, Sandbox] = {}
    for builder in ("unshare", "bwrap"):
        try:
            boxes[builder] = open_sandbox(f"namespaces:{builder}", workers=options.workers)
        except SandboxUnavailableError as error:
            print(f"{builder} left out: {error}", file=sys.stderr)
    print(f"{options.workers} workers, {options.turns} turns of {options.programs} programs,")
    print(f"load average at the start {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs\n")
    print(f"{'program':<22}{'mechanism':<26}{'programs/s':>11}{'times':>7}")
    for name, source in SOURCES.items():
        rates: dict[str, list[float]] = {}
        for _ in range(options.turns):
            count = options.programs
            fresh = rate(run_fresh, source, count, options.workers, num_programs=count)
            rates.setdefault("fresh python3 -I, no wall", []).append(fresh)
            for builder, box in boxes.items():
                cell = rate(run_cells, box, source, count, num_programs=count)
                rates.setdefault(f"{builder} cell", []).append(cell)
        base = statistics.median(rates["fresh python3 -I, no wall"])
        for mechanism, values in rates.items():
            median = statistics.median(values)
            print(f"{name:<22}{mechanism:<26}{median:>11.0f}{median / base:>6.1f}x")
    for box in boxes.values():
        box.close()


if __name__ == "__main__":
    main()
