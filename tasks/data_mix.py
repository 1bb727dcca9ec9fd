"""What a round trains on: new rows alone, or mixed with those of earlier rounds; frozen by hash.

Papers disagree on the mix (only new: IRPO; new and previous: SPIN; all, the newest half: length
generalization), so it is a switch of every recipe.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from storage import Warehouse
from storage.commit import publish_parquet
from tasks.errors import DataFormatError

TrainingTable = Literal["examples", "pairs", "labels"]
MIX_QUERY = (Path(__file__).parent / "data_mix.sql").read_text(encoding="utf-8")
_TEXT_COLUMNS = ("prompt", "completion", "chosen", "rejected", "label", "weight", "soft_label")
# Only where they are known: the hash of rows without them is what it was before they existed.
_WIN_RATES = ("chosen_win_rate", "rejected_win_rate")


class MixSpec(BaseModel):
    """Which rounds' rows train the next model, and in which proportion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounds: Literal["new", "new_and_previous", "all"] = Field(
        default="new", description="Rounds whose rows are used; round 0 holds seed examples."
    )
    newest_share: float | None = Field(
        default=None,
        gt=0.0,
        le=1.0,
        description="Share of rows from the newest round; older rounds share the rest in "
        "proportion to the number of difficulties they cover. Empty: every row once.",
    )
    round_weights: list[float] | None = Field(
        default=None,
        min_length=1,
        description="Weights of the newest round, the one before, ...: rows are drawn in these "
        "proportions, and rounds beyond the list are left out. In place of rounds and "
        "newest_share. Empty: not used.",
    )
    num_rows: int | None = Field(
        default=None,
        ge=1,
        description="Rows in total when newest_share or round_weights is set. Empty: as many as "
        "use each new row once.",
    )

    @model_validator(mode="after")
    def _check_weights(self) -> MixSpec:
        weights = self.round_weights
        if weights is None:
            return self
        if weights[0] <= 0 or not all(0 <= weight < math.inf for weight in weights):
            raise ValueError(
                f"round_weights={weights}; expected numbers from 0 on, the first, of the newest "
                "round, above 0"
            )
        if self.newest_share is not None or self.rounds != "new":
            raise ValueError(
                "round_weights says which rounds are used and how much; leave out rounds and "
                "newest_share, or where the recipe sets them: rounds=new, newest_share=null"
            )
        return self


@dataclass(frozen=True)
class FrozenTable:
    """A training table that cannot change any more.

    Attributes:
        table: The table that its rows come from.
        path: Its Parquet file.
        snapshot_hash: Hash of its training columns, row by row; `models.snapshot_hash`.
        num_rows: Its rows, repetitions included.
        rows_by_round: Its rows by the round they were made in.
    """

    table: TrainingTable
    path: Path
    snapshot_hash: str
    num_rows: int
    rows_by_round: dict[int, int]


def freeze_mix(
    warehouse: Warehouse,
    table: TrainingTable,
    spec: MixSpec,
    *,
    run: str,
    round: int,
    seed: int = 0,
) -> FrozenTable:
    """Mix the training rows of a run and freeze them as `snapshots/<hash>.parquet`.

    Args:
        warehouse: Holds the training table.
        table: Which one.
        spec: The mix.
        run: The run.
        round: The newest round.
        seed: Decides the order and which rows are repeated.

    Raises:
        DataFormatError: The newest round has no rows.
    """
    first = {"new": round, "new_and_previous": round - 1, "all": 0}[spec.rounds]
    if spec.round_weights is not None:
        first = round - len(spec.round_weights) + 1
    with warehouse.connect() as con:
        con.execute(f"CREATE TEMP VIEW training_table AS FROM {table}")
        found = con.execute(
            "SELECT t.round, count(*), count(DISTINCT p.difficulty) FROM training_table AS t "
            "LEFT JOIN (SELECT DISTINCT id, run, difficulty FROM prompts) AS p "
            "ON p.id = t.prompt_id AND p.run = t.run "
            "WHERE t.run = $run AND (t.round BETWEEN $first AND $round) GROUP BY 1 ORDER BY 1",
            {"run": run, "first": first, "round": round},
        ).fetchall()
        sizes = {r: (rows, levels) for r, rows, levels in found}
        quotas = _quotas(sizes, spec, round)
        con.execute("CREATE TEMP TABLE quotas (round INTEGER, quota BIGINT)")
        con.executemany("INSERT INTO quotas VALUES (?, ?)", [list(q) for q in quotas.items()])
        relation = con.sql(MIX_QUERY, params={"run": run, "seed": str(seed)})
        rows: pa.Table = relation.to_arrow_table()
    snapshot = snapshot_hash(rows)
    path = warehouse.root / "snapshots" / f"{snapshot}.parquet"
    if not path.is_file():
        publish_parquet(warehouse.root, path, rows)
    warehouse.keep(path)  # also one that was written just before a crash
    return FrozenTable(table, path, snapshot, rows.num_rows, dict(sorted(quotas.items())))


def snapshot_hash(rows: pa.Table) -> str:
    """The content hash of training rows in their order: text, weight and labels, not provenance.

    It names what a model was trained on, so order and repetitions count; that is what
    `models.snapshot_hash` holds. `storage.table_hash` is another thing: the hash of a table's rows
    as they lie in the warehouse, ids included and in no order.
    """
    digest = hashlib.sha256()
    columns = [name for name in (*_TEXT_COLUMNS, *_WIN_RATES) if name in rows.column_names]
    for batch in rows.select(columns).to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            for name in _WIN_RATES:
                if row.get(name) is None:
                    row.pop(name, None)
            digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode())
            digest.update(b"\n")
    return digest.hexdigest()[:32]


def _quotas(sizes: dict[int, tuple[int, int]], spec: MixSpec, newest: int) -> dict[int, int]:
    if newest not in sizes:
        raise DataFormatError(
            f"round {newest} selected no training rows; look at its rejections "
            "(SELECT filter, reason, count(*) FROM rejections GROUP BY ALL), then loosen the "
            "selection or draw more samples"
        )
    num_newest, older = sizes[newest][0], {r: s for r, s in sizes.items() if r != newest}
    if spec.round_weights is not None:
        return _weighted_quotas({r: n for r, (n, _) in sizes.items()}, spec, newest)
    if spec.newest_share is None:
        return {r: rows for r, (rows, _) in sizes.items()}
    if not older:
        return {newest: spec.num_rows or num_newest}
    total = spec.num_rows or math.ceil(num_newest / spec.newest_share)
    quota_newest = max(1, round(total * spec.newest_share))
    levels = sum(max(1, levels) for _, levels in older.values())
    rest = total - quota_newest
    quotas = {r: rest * max(1, n) // levels for r, (_, n) in older.items()}
    return {**{r: quota for r, quota in quotas.items() if quota}, newest: quota_newest}


def _weighted_quotas(sizes: dict[int, int], spec: MixSpec, newest: int) -> dict[int, int]:
    """Rows per round in proportion to the weights, rounded so that they add up to the total.

    What a round without rows would have had goes to the others.
    """
    assert spec.round_weights is not None
    # Exact: which round gets the row that is left over must not hang on rounding errors.
    ages = enumerate(spec.round_weights)
    weights = {newest - age: Fraction(w) for age, w in ages if w and newest - age in sizes}
    whole = sum(weights.values())
    total = spec.num_rows or math.ceil(sizes[newest] * whole / weights[newest])
    exact = {r: total * weight / whole for r, weight in weights.items()}
    quotas = {r: math.floor(rows) for r, rows in exact.items()}
    by_remainder = sorted(exact, key=lambda r: (quotas[r] - exact[r], -r))
    for r in by_remainder[: total - sum(quotas.values())]:
        quotas[r] += 1
    return {r: quota for r, quota in quotas.items() if quota}
