"""Selection at ten million samples: vote, SFT examples, weighted pairs, caps, exact dedup.

Selfloom's own stage runs on two cores with a memory limit of 4 GB, on a tenth of the rows and on
all of them; the exponent says how its time grows. On the tenth the same work is done with Hugging
Face `datasets` and Python dicts, and with polars, which leave out ids, lineage columns and the
reasons of each selection. Each runs in a process of its own, from files to files. All of them have
to make the same number of votes, examples and pairs.

Run: python benchmarks/selection.py --prompts 625000 --samples 16
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.selection_data import ROUND, RUN, write_round
from benchmarks.selection_peers import Counts, select_with_dicts, select_with_polars
from storage import Warehouse

MEMORY_GIB = 4e9 / 2**30
OUTPUTS = ("votes", "examples", "pairs", "rejections")
Measured = dict[str, float]


def select_with_selfloom(folder: Path) -> Counts:
    """Vote and select as a recipe does it."""
    from tasks.checks.votes import vote
    from tasks.selection import Selection, select

    warehouse = Warehouse.open(folder)
    num_votes = vote(warehouse, run=RUN, round=ROUND, memory_gib=MEMORY_GIB)
    report = select(
        warehouse,
        [Selection("confident_majority"), Selection("vote_pairs")],
        run=RUN,
        round=ROUND,
        memory_gib=MEMORY_GIB,
    )
    examples, pairs = report.selections
    return Counts(num_votes, examples.num_rows, pairs.num_rows)


CONTESTANTS: dict[str, Callable[[Path], Counts]] = {
    "selfloom": select_with_selfloom,
    "datasets and dicts": select_with_dicts,
    "polars": select_with_polars,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=62_500)
    parser.add_argument("--samples", type=int, default=16, help="samples per prompt")
    parser.add_argument(
        "--folder", type=Path, help="keeps the rounds there, and takes those that are there already"
    )
    parser.add_argument("--write-only", action="store_true", help="write the rounds, measure later")
    parser.add_argument("--no-peers", action="store_true", help="measure selfloom alone")
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        print(json.dumps(measure(CONTESTANTS[options.contestant], options.folder)))
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        for name, number in rounds(options.prompts).items():
            write(folder / name, number, options.samples)
        if not options.write_only:
            compare(folder, options.prompts, options.samples, not options.no_peers)


def rounds(num_prompts: int) -> dict[str, int]:
    """Prompts of both rounds: a tenth and the whole, by the folder of their warehouse."""
    small = max(1, num_prompts // 10)
    return {f"prompts-{small}": small, f"prompts-{num_prompts}": num_prompts}


def write(folder: Path, num_prompts: int, num_samples: int) -> None:
    """Write a round's warehouse unless it is there."""
    if folder.is_dir():
        return
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    start = time.perf_counter()
    write_round(Warehouse.open(unfinished), num_prompts, num_samples)
    unfinished.rename(folder)
    spent = time.perf_counter() - start
    print(f"wrote {num_prompts * num_samples:,} samples in {spent:.0f} s", flush=True)


def measure(work: Callable[[Path], Counts], folder: Path) -> Measured:
    """Do the work in this process; returns seconds, CPU seconds, MiB and numbers of rows."""
    start, cpu = time.perf_counter(), time.process_time()
    counts = work(folder)
    return {
        "seconds": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu,
        "peak_mib": peak_mib(),
        **counts._asdict(),
    }


def peak_mib() -> float:
    """The most memory that this process was resident with; getrusage would count its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def compare(folder: Path, num_prompts: int, num_samples: int, with_peers: bool) -> None:
    """Run everyone in turn and print the table."""
    (tenth, small), (whole_name, _) = rounds(num_prompts).items()
    print(f"load {os.getloadavg()[0]:.1f}, {len(os.sched_getaffinity(0))} cores\n")
    print(f"{'':20}{'samples':>12}{'seconds':>9}{'CPU s':>8}{'us/sample':>11}{'peak MiB':>10}")
    found = {}
    contestants = list(CONTESTANTS) if with_peers else ["selfloom"]
    if importlib.util.find_spec("polars") is None and with_peers:
        print("polars is not installed (pip install 'polars>=2,<3'): left out")
        contestants.remove("polars")
    for name in contestants:
        found[name] = run(name, folder / tenth, small * num_samples)
    rows = {(m["votes"], m["examples"], m["pairs"]) for m in found.values()}
    assert len(rows) == 1, f"the contestants did not make the same rows: {found}"
    whole = run("selfloom", folder / whole_name, num_prompts * num_samples)
    ratio = math.log(num_prompts / small)
    ratios = (whole[k] / found["selfloom"][k] for k in ("seconds", "cpu_s"))
    seconds, cpu = (math.log(one) / ratio for one in ratios)
    print(f"\nseconds grow with samples ^ {seconds:.2f}, CPU seconds with samples ^ {cpu:.2f}")
    print(", ".join(f"{whole[k]:,.0f} {k}" for k in ("votes", "examples", "pairs")))


def run(name: str, folder: Path, num_samples: int) -> Measured:
    """Run a contestant in a process of its own and print its row."""
    command = [sys.executable, __file__, "--contestant", name, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    found: Measured = json.loads(done.stdout.splitlines()[-1])
    per_sample = found["seconds"] / num_samples * 1e6
    print(
        f"{name:20}{num_samples:>12,}{found['seconds']:>9.1f}{found['cpu_s']:>8.1f}"
        f"{per_sample:>11.1f}{found['peak_mib']:>10.0f}",
        flush=True,
    )
    for table in OUTPUTS:  # the next contestant starts from the same round
        shutil.rmtree(folder / "tables" / table / f"run={RUN}", ignore_errors=True)
    shutil.rmtree(folder / "peer", ignore_errors=True)
    return found


if __name__ == "__main__":
    main()
