"""Measure the samples of a round: one `scores` row each, part by part, resumable after a crash."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from storage import Warehouse, content_id
from tasks.engines import Engine, OnProgress
from tasks.errors import WeightsChangedError
from tasks.measures.measure import Measure, Reading, Subject, measure_batch, version_of

# Samples whose scores are safe together; an engine fills its batches from so many.
SAMPLES_PER_GROUP = 512

Row = Mapping[str, object]


def measure_samples(
    warehouse: Warehouse,
    engine: Engine,
    measure: Measure,
    *,
    run: str,
    round: int,
    parts: Sequence[str] | None = None,
    on_progress: OnProgress | None = None,
) -> list[str]:
    """Measure every sample of some parts and write the `scores` parts, but those that are there.

    Called again after a crash, it measures only what is missing. Samples that can't be measured
    get a row with status `error` and the reason; none gets a value in its place.

    Args:
        warehouse: Holds samples and prompts.
        engine: Serves the model that is asked.
        measure: What to measure. Two measures of a round need two names.
        run: The run.
        round: Its round.
        parts: Names of `samples` parts or shards; None for all parts of the round.
        on_progress: Called with (measured samples, samples of the part).

    Returns:
        The names of the `scores` parts, `<measure>-<part>`, one per part of samples.

    Raises:
        WeightsChangedError: If a part was measured with other weights or parameters.
        EngineError: If the engine fails; what is measured stays safe.
        JournalBusyError: If another process is measuring the same part.
        WarehouseFullError: If the disk is full; what is measured stays safe.
    """
    if parts is None:
        parts = [part.name for part in warehouse.parts("samples", run=run, round=round)]
    names = []
    for part in parts:
        _measure_part(warehouse, engine, measure, run, round, part, on_progress)
        names.append(part_name(measure.name, part))
    return names


def part_name(check: str, part: str) -> str:
    """The `scores` part that holds one check's opinion of one part of `samples`.

    Example:
        >>> part_name("p_true", "sample-0000..0012")
        'p_true-sample-0000_0012'
    """
    # Two dots are the mark of sealed shards, which these rows are not.
    return f"{check}-{part.replace('..', '_')}"


def _measure_part(
    warehouse: Warehouse,
    engine: Engine,
    measure: Measure,
    run: str,
    round: int,
    part: str,
    on_progress: OnProgress | None,
) -> None:
    name, version = part_name(measure.name, part), version_of(measure)
    identity = content_id("measuring", measure.name, version, engine.name, engine.weight_hash)
    with warehouse.journal("scores", run=run, round=round, part=name, identity=identity) as own:
        # Looked up under the journal's lock: another process may have finished it meanwhile.
        if warehouse.has("scores", run=run, round=round, part=name):
            _check_same(warehouse, engine, version, run, round, name)
        else:
            samples = warehouse.read("samples", run=run, round=round, part=part).to_pylist()
            prompts = _messages(warehouse, run, samples)
            done = 0
            for number, start in enumerate(range(0, len(samples), SAMPLES_PER_GROUP)):
                group = samples[start : start + SAMPLES_PER_GROUP]
                if str(number) not in own.groups:
                    readings = _readings(engine, measure, group, prompts)
                    own.append(
                        str(number),
                        [
                            _row(run, round, measure, version, engine, sample, reading)
                            for sample, reading in zip(group, readings, strict=True)
                        ],
                    )
                done += len(group)
                if on_progress is not None:
                    on_progress(done, len(samples))
            rows = [row for number in range(len(own.groups)) for row in own.groups[str(number)]]
            warehouse.write("scores", rows, run=run, round=round, part=name)
        own.remove()


def _readings(
    engine: Engine,
    measure: Measure,
    samples: Sequence[Row],
    prompts: Mapping[str, list[dict[str, str]]],
) -> Iterator[Reading]:
    """One reading per sample, in order; the engine is asked about all of them at once."""
    subjects = [_subject(sample, prompts) for sample in samples]
    asked = [subject for subject in subjects if isinstance(subject, Subject)]
    found = iter(measure_batch(engine, measure, asked))
    for subject in subjects:
        yield next(found) if isinstance(subject, Subject) else subject


def _subject(sample: Row, prompts: Mapping[str, list[dict[str, str]]]) -> Subject | Reading:
    """What is to be measured of a sample, or why it can't be."""
    if sample["status"] != "ok":
        return Reading(None, error=f"no_sample: {sample['error']}")
    if sample["turn"] or sample["parent_ids"]:
        return Reading(
            None,
            error="unsupported: it answers other samples, not the messages of its prompt alone",
        )
    prompt_id = str(sample["prompt_id"])
    if prompt_id not in prompts:
        return Reading(None, error=f"no_prompt: prompts of this run lack {prompt_id}")
    return Subject(
        prompts[prompt_id], str(sample["text"]), is_ended=sample["finish_reason"] == "stop"
    )


def _messages(
    warehouse: Warehouse, run: str, samples: Sequence[Row]
) -> dict[str, list[dict[str, str]]]:
    """The messages of the samples' prompts; held-out prompts are in another round than these."""
    wanted = pa.array({str(sample["prompt_id"]) for sample in samples}, pa.string())
    table = warehouse.read("prompts", run=run, columns=["id", "messages"])
    found = table.filter(pc.is_in(table["id"], value_set=wanted))
    return dict(zip(found["id"].to_pylist(), found["messages"].to_pylist(), strict=True))


def _row(
    run: str,
    round: int,
    measure: Measure,
    version: str,
    engine: Engine,
    sample: Row,
    reading: Reading,
) -> dict[str, object]:
    return score_row(
        run,
        round,
        str(sample["id"]),
        measure.name,
        version,
        reading,
        {"engine": engine.name, "weight_hash": engine.weight_hash},
    )


def score_row(
    run: str,
    round: int,
    sample_id: str,
    check: str,
    version: str,
    reading: Reading,
    source: Mapping[str, str],
) -> dict[str, object]:
    """The `scores` row of a reading.

    Args:
        run: The run.
        round: Its round.
        sample_id: The sample.
        check: Name of the check.
        version: Its version.
        reading: What it says.
        source: Which weights it comes from; part of the row's id, and kept in its detail.
    """
    return {
        "id": content_id("score", run, round, sample_id, check, version, source),
        "sample_id": sample_id,
        "check": check,
        "version": version,
        "value": reading.value,
        "label": None,
        "detail": {**reading.detail, **source},
        "status": "ok" if reading.error is None else "error",
        "error": reading.error,
    }


def _check_same(
    warehouse: Warehouse, engine: Engine, version: str, run: str, round: int, part: str
) -> None:
    """Refuse to take what other weights or parameters measured for this measurement."""
    rows = warehouse.read("scores", run=run, round=round, part=part).slice(0, 1).to_pylist()
    for row in rows:
        made_by = json.loads(row["detail"])["weight_hash"]
        if (made_by, row["version"]) != (engine.weight_hash, version):
            raise WeightsChangedError(
                f"scores part {part!r} of run {run!r} round {round} is version {row['version']} by "
                f"weights {made_by}, not version {version} by {engine.weight_hash}; give this "
                "measure another name"
            )
