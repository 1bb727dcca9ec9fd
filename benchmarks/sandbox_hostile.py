"""Runs all hostile programs again and again and prints every verdict that differs between turns.

A label must not depend on when a program ran. The exit status is 1 when a verdict differed, was not
one that the suite allows, or left something behind.

Run: python benchmarks/sandbox_hostile.py --turns 20 --backend namespaces:bwrap
"""

import argparse
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sandbox import open_sandbox
from tests.sandbox.conftest import LIMITS
from tests.sandbox.host_view import HostState
from tests.sandbox.hostile.every import CASES
from tests.sandbox.hostile.suite import try_all


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--backend", default="namespaces")
    arguments = parser.parse_args()
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    num_wrong = 0
    with open_sandbox(arguments.backend, workers=1, limits=LIMITS) as box:
        before = HostState.now()
        for turn in range(arguments.turns):
            start = time.perf_counter()
            for finding in try_all(box, CASES):
                verdicts = seen[finding.case.name]
                verdicts[finding.execution.verdict] += 1
                if len(verdicts) > 1 and verdicts[finding.execution.verdict] == 1:
                    print(f"turn {turn + 1}: {finding.case.name}: {dict(verdicts)}", flush=True)
                num_wrong += bool(finding.wrong)
                for text in finding.wrong:
                    print(f"turn {turn + 1}: {finding.case.name}: {text}", flush=True)
            num_different = sum(len(verdicts) > 1 for verdicts in seen.values())
            print(
                f"turn {turn + 1}: {len(CASES)} programs in {time.perf_counter() - start:.1f} s, "
                f"{num_wrong} wrong and {num_different} different so far",
                flush=True,
            )
        changes = HostState.now().changes_since(before)
    for name, different in seen.items():
        if len(different) > 1:
            print(f"different: {name}: {dict(different)}")
    for change in changes:
        print(f"the host: {change}")
    print(f"{arguments.turns} turns, {num_wrong} wrong, {num_different} different")
    return int(bool(num_wrong or num_different or changes))


if __name__ == "__main__":
    sys.exit(main())
