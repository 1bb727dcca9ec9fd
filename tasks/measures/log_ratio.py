"""The implicit reward: two models score the same samples, one after the other, then a join.

One GPU serves both: measure with `POLICY` while the policy's engine is open, close it, measure with
`REFERENCE` under the reference's engine, and join. Each step is safe by itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from storage import Warehouse
from tasks.errors import DataFormatError
from tasks.measures.formulas import implicit_reward
from tasks.measures.measure import Reading
from tasks.measures.measures import Likelihood
from tasks.measures.run import part_name, score_row

POLICY = Likelihood("logprob_policy")
REFERENCE = Likelihood("logprob_reference")


def join_log_ratio(
    warehouse: Warehouse,
    *,
    run: str,
    round: int,
    parts: Sequence[str] | None = None,
    beta: float = 1.0,
    name: str = "log_ratio",
    policy: str = POLICY.name,
    reference: str = REFERENCE.name,
) -> list[str]:
    """Write beta * (log pi(y | x) - log pi_ref(y | x)) of every sample of some parts.

    A sample that one of the models could not score has status `error` and that model's reason.

    Args:
        warehouse: Holds the samples, and the sums of log-probabilities of both models.
        run: The run.
        round: Its round.
        parts: Names of `samples` parts; None for all parts of the round.
        beta: Factor of the log-ratio; see `formulas.implicit_reward`.
        name: Name of the check that is written.
        policy: Check with the policy's `Likelihood`.
        reference: Check with the reference's.

    Returns:
        The names of the `scores` parts, one per part of samples.

    Raises:
        DataFormatError: If one of the models has not measured a part.
    """
    if parts is None:
        parts = [part.name for part in warehouse.parts("samples", run=run, round=round)]
    names = [part_name(name, part) for part in parts]
    for part, target in zip(parts, names, strict=True):
        sides = [_side(warehouse, run, round, check, part) for check in (policy, reference)]
        rows = [
            _joined(run, round, name, beta, own, sides[1][sample_id])
            for sample_id, own in sides[0].items()
        ]
        warehouse.write("scores", rows, run=run, round=round, part=target)
    return names


def _side(
    warehouse: Warehouse, run: str, round: int, check: str, part: str
) -> dict[str, dict[str, Any]]:
    """One model's scores of a part, by sample."""
    name = part_name(check, part)
    if not warehouse.has("scores", run=run, round=round, part=name):
        raise DataFormatError(
            f"run {run!r} round {round} has no scores part {name!r}; measure its samples with "
            f"Likelihood({check!r}) first"
        )
    rows = warehouse.read("scores", run=run, round=round, part=name).to_pylist()
    return {row["sample_id"]: row for row in rows}


def _joined(
    run: str,
    round: int,
    name: str,
    beta: float,
    policy: Mapping[str, Any],
    reference: Mapping[str, Any],
) -> dict[str, object]:
    details = [json.loads(row["detail"]) for row in (policy, reference)]
    errors = [
        f"{who}: {row['error']}"
        for who, row in (("policy", policy), ("reference", reference))
        if row["status"] != "ok"
    ]
    if errors:
        # The kind of the first reason comes first, as in every typed error.
        kind = (policy if policy["status"] != "ok" else reference)["error"].partition(":")[0]
        reading = Reading(None, error=f"{kind}: {'; '.join(errors)}")
    else:
        sums = [float(detail["sum"]) for detail in details]
        reading = Reading(
            implicit_reward(sums[0], sums[1], beta),
            {"policy": sums[0], "reference": sums[1], "beta": beta},
        )
    source = {
        "weight_hash": details[0]["weight_hash"],
        "reference_weight_hash": details[1]["weight_hash"],
    }
    version = f"1-beta{beta:g}"
    return score_row(run, round, policy["sample_id"], name, version, reading, source)
