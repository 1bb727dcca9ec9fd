"""The estimate of a round: made after its probe, shown, and compared with what the round took."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from flows.progress import say
from tasks.estimate import Costs, Pace, Probe, compare

if TYPE_CHECKING:
    from flows.sample_stage import Shard
    from flows.stages import Stages

TABLES_OF_SAMPLES = ("samples", "executions", "scores")
_FILE = "estimate.json"


@task(name="estimate", cache_policy=NO_CACHE)
def show_estimate(
    stages: Stages, shard: Shard, pace: Pace, engine_start_s: float, check_s: float
) -> None:
    """Say what the round will take, and keep it for the comparison.

    A task, so that the engine goes on while the probe is checked. Of a probe that was reused, in
    part or whole, nothing can be said about the rest.

    Args:
        stages: The round.
        shard: Its probe, drawn and checked.
        pace: How the engine drew it.
        engine_start_s: Seconds until the engine was open.
        check_s: Seconds of its check.
    """
    probe = _probe(stages, shard, pace, engine_start_s, check_s)
    if probe is None:
        say(f"{stages.run} round {stages.number}: no estimate, its first samples are reused")
        return
    expected = _expected(stages, shard, probe)
    kept = {"probe": probe.__dict__, "expected": expected.to_dict()}
    # Working files are never the truth: without it there is no comparison, and nothing else.
    path = _path(stages)
    path.with_suffix(".tmp").write_text(json.dumps(kept), encoding="utf-8")
    os.replace(path.with_suffix(".tmp"), path)
    stages.is_estimated = True
    known = sum(expected.seconds.values())
    unknown = "" if "train" in expected.seconds else " and the training"
    say(
        f"{stages.run} round {stages.number}: by its first {probe.num_samples} samples it takes "
        f"about {sum(expected.tokens.values()):,} tokens, {known:,.0f} s{unknown}, "
        f"{sum(expected.mib.values()):,.0f} MiB"
    )
    _say_room(stages, expected)


def show_comparison(stages: Stages) -> dict[str, Any] | None:
    """Show how the round's estimate compares with what it took; called at its end.

    Returns:
        Probe, estimate and what it took, for `rounds.estimate`; None without an estimate. Seconds
        are left out where the round was continued by another process, which knows its own only.
    """
    path = _path(stages)
    if not path.is_file():
        return None
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    model = stages.warehouse.model_path(f"{stages.run}-r{stages.number}")
    mib = {"tables": _tables_mib(stages)}
    if model.is_dir():
        mib["model"] = _folder_mib(model)
    actual = Costs(stages.tokens, stages.seconds if stages.is_estimated else {}, mib)
    rows = compare(Costs(**kept["expected"]), actual)
    create_table_artifact(
        rows, key="estimate", description=f"{stages.run} round {stages.number}: estimate and fact"
    )
    words = ", ".join(f"{row['what']} {row['took']} ({row['difference']})" for row in rows)
    say(f"{stages.run} round {stages.number}: against the estimate: {words}")
    return kept | {"actual": actual.to_dict()}


def _probe(
    stages: Stages, shard: Shard, pace: Pace, engine_start_s: float, check_s: float
) -> Probe | None:
    place: dict[str, Any] = {"run": stages.run, "round": stages.number, "part": shard.part}
    rows = stages.warehouse.read("samples", columns=["num_tokens", "reused_from"], **place)
    if rows.column("reused_from").null_count < rows.num_rows:
        return None
    return Probe(
        num_samples=rows.num_rows,
        num_tokens=sum(rows.column("num_tokens").to_pylist()),
        num_bytes=sum(stages.warehouse.part_bytes(name, **place) for name in TABLES_OF_SAMPLES),
        startup_s=engine_start_s + pace.startup_s,
        sample_s=pace.per_sample_s,
        check_s=check_s / rows.num_rows,
    )


def _expected(stages: Stages, shard: Shard, probe: Probe) -> Costs:
    config = stages.config
    train = len(shard.ask.problems) * shard.ask.sampling.n
    spec, drawn = config.evaluation, config.evaluation.num_samples
    of_suites = 1 + (drawn if config.gate.answers == "samples" else 0)
    evaluate = spec.num * (1 + drawn) + sum(suite.num for suite in spec.suites) * of_suites
    shard_samples = config.shard_size * shard.ask.sampling.n
    seconds = {
        "sample and check": probe.seconds(train, shard_samples),
        "evaluate": probe.seconds(evaluate, shard_samples),
    }
    return Costs(
        {"train": probe.tokens(train), "evaluate": probe.tokens(evaluate)},
        _last_seconds(stages) | seconds,
        {"tables": probe.mib(train + evaluate), "model": _folder_mib(stages.incumbent.path)},
    )


def _last_seconds(stages: Stages) -> dict[str, float]:
    """Seconds of the stages of the run's last round: what a probe can't tell."""
    rows = stages.warehouse.read("rounds", run=stages.run, columns=["round", "seconds"])
    earlier = [row for row in rows.to_pylist() if 0 < row["round"] < stages.number]
    if not earlier:
        return {}
    found: dict[str, float] = json.loads(max(earlier, key=lambda row: row["round"])["seconds"])
    return found


def _say_room(stages: Stages, expected: Costs) -> None:
    """Warn early: a disk that fills up ends the round, though nothing that is finished is lost."""
    free = shutil.disk_usage(stages.warehouse.root).free / 2**20
    # The model is written beside its staging copy.
    needed = sum(expected.mib.values()) + expected.mib["model"]
    if needed > free:
        say(
            f"warning: the disk of {stages.warehouse.root} has {free:,.0f} MiB left, this round "
            f"needs about {needed:,.0f} MiB; make room while it runs"
        )


def _tables_mib(stages: Stages) -> float:
    parts = [
        part
        for table in TABLES_OF_SAMPLES
        for part in stages.warehouse.parts(table, run=stages.run, round=stages.number)
    ]
    return sum(part.path.stat().st_size for part in parts) / 2**20


def _folder_mib(path: Path) -> float:
    return sum(file.stat().st_size for file in path.iterdir() if file.is_file()) / 2**20


def _path(stages: Stages) -> Path:
    return stages.warehouse.scratch_dir(stages.run, stages.number) / _FILE
