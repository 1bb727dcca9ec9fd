"""Measures that came with a sample: what the model said while it drew it, as `scores` rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from storage import Warehouse
from tasks.errors import UnknownNameError
from tasks.measures.measure import Reading
from tasks.measures.run import part_name, score_row

# Check -> column of `samples`.
DRAWN = {
    "drawn_logprob": "sum_logprob",
    "drawn_mean_logprob": "mean_logprob",
    "drawn_min_logprob": "min_logprob",
    "drawn_entropy": "mean_entropy",
    "drawn_self_certainty": "mean_self_certainty",
}


def drawn_scores(
    warehouse: Warehouse,
    check: str,
    *,
    run: str,
    round: int,
    parts: Sequence[str] | None = None,
) -> list[str]:
    """Write one `scores` row per sample from the numbers that its engine gave when it drew it.

    No model is asked. The tokens are those that were drawn, where `measure_samples` encodes the
    text anew.

    Args:
        warehouse: Holds the samples.
        check: A key of `DRAWN`; also the check's name.
        run: The run.
        round: Its round.
        parts: Names of `samples` parts; None for all parts of the round.

    Returns:
        The names of the `scores` parts, `<check>-<part>`, one per part of samples.

    Raises:
        UnknownNameError: If there is no such check.
    """
    if check not in DRAWN:
        raise UnknownNameError(f"drawn check {check!r}: there are {', '.join(DRAWN)}")
    if parts is None:
        parts = [part.name for part in warehouse.parts("samples", run=run, round=round)]
    names = [part_name(check, part) for part in parts]
    for part, target in zip(parts, names, strict=True):
        rows = [
            score_row(
                run,
                round,
                sample["id"],
                check,
                "1-drawn",
                _reading(sample, DRAWN[check]),
                {"engine": sample["engine"], "weight_hash": sample["weight_hash"]},
            )
            for sample in warehouse.read("samples", run=run, round=round, part=part).to_pylist()
        ]
        warehouse.write("scores", rows, run=run, round=round, part=target)
    return names


def _reading(sample: Mapping[str, Any], column: str) -> Reading:
    if sample["status"] != "ok":
        return Reading(None, error=f"no_sample: {sample['error']}")
    if sample[column] is None:
        return Reading(None, error=f"unsupported: engine {sample['engine']} gave no {column}")
    return Reading(sample[column], {"num_tokens": sample["num_tokens"]})
