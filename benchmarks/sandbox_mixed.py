"""Twenty thousand programs, one in ten hostile: verdicts, leaks, and the memory of the harness.

Fine programs must be accepted and hostile ones get one of their verdicts; afterwards the host has
to be as before: processes, descriptors, mounts, control groups, containers, files in /tmp.

Run: python benchmarks/sandbox_mixed.py --backend namespaces:bwrap --programs 20000 --workers 2
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sandbox import Program, Verdict, open_sandbox
from tests.sandbox.conftest import LIMITS
from tests.sandbox.host_view import HostState
from tests.sandbox.hostile.every import CASES

FINE = (
    ("print({n} + 1)", "{m}"),
    ("import math\nprint(math.isqrt({n} * {n}) + 1)", "{m}"),
    ("total = sum(range({n} + 2)) - sum(range({n} + 1))\nprint(total)", "{m}"),
    (
        "import collections, json\nprint(json.dumps(collections.Counter('a' * ({n} + 1)))[6:-1])",
        "{m}",
    ),
    ("def f(x):\n    return x + 1\nif __name__ == '__main__':\n    print(f({n}))", "{m}"),
)


def programs(count: int, seed: int) -> Iterator[tuple[Program, tuple[Verdict, ...]]]:
    """Yield programs with the verdicts that they may get; same seed, same programs."""
    draw = random.Random(seed)
    for i in range(count):
        if draw.random() < 0.1:
            case = draw.choice(CASES)
            yield replace(case.program(LIMITS), id=f"{i}"), case.verdicts
        else:
            source, expected = draw.choice(FINE)
            n = draw.randrange(1000)
            right = Program(f"{i}", source.format(n=n), expected_stdout=expected.format(m=n + 1))
            yield right, (Verdict.ACCEPTED,)


def resident_mib() -> float:
    """Return the memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def containers() -> set[str]:
    """Return the ids of all containers of sandboxes; none where there is no engine."""
    if not shutil.which("docker"):
        return set()
    command = ["docker", "ps", "-aq", "--filter", "label=selfloom.owner"]
    return set(subprocess.run(command, capture_output=True, text=True).stdout.split())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="auto", help="which sandbox (default auto)")
    parser.add_argument("--workers", type=int, default=2, help="programs at once (default 2)")
    parser.add_argument("--programs", type=int, default=20_000, help="default 20000")
    parser.add_argument("--seed", type=int, default=0, help="of the mixture (default 0)")
    options = parser.parse_args()
    before, containers_before = HostState.now(), containers()
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    ids: set[str] = set()
    expected: dict[str, tuple[Verdict, ...]] = {}

    def given() -> Iterator[Program]:
        for program, verdicts in programs(options.programs, options.seed):
            expected[program.id] = verdicts
            yield program

    start = time.perf_counter()
    memory: list[float] = []
    with open_sandbox(options.backend, workers=options.workers, limits=LIMITS) as box:
        for number, execution in enumerate(box.run(given()), 1):
            assert execution.id not in ids, execution.id
            ids.add(execution.id)
            seen[execution.verdict] += 1
            if execution.verdict not in (allowed := expected.pop(execution.id)):
                wrong.append(f"{execution.id}: {execution.verdict}, expected {allowed}")
            if number % max(1, options.programs // 10) == 0:
                memory.append(resident_mib())
                print(f"{number:>7} done, {number / (time.perf_counter() - start):.0f}/s, "
                      f"{memory[-1]:.1f} MiB", flush=True)  # fmt: skip
    seconds = time.perf_counter() - start
    print(f"\n{len(ids)} verdicts for {options.programs} programs in {seconds:.0f} s")
    print(", ".join(f"{verdict} {count}" for verdict, count in seen.most_common()))
    print(f"verdicts other than allowed: {len(wrong)}", *wrong[:20], sep="\n  ")
    print(f"memory of the harness: {memory[0]:.1f} MiB after a tenth, {memory[-1]:.1f} at the end")
    changes = HostState.now().changes_since(before)
    changes += [f"container {extra}" for extra in containers() - containers_before]
    print(f"left on the host: {len(changes)}", *changes, sep="\n  ")
    complete = len(ids) == options.programs and not expected
    return 0 if complete and not wrong and not changes else 1


if __name__ == "__main__":
    sys.exit(main())
