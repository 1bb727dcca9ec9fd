"""Runs the methods of dedup over the samples of a round, one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from storage import Warehouse
from tasks.dedup.near import Text, near_copies
from tasks.dedup.skeletons import skeleton
from tasks.dedup.spec import METHODS, DedupSpec, Method
from tasks.sql_script import connect, load_script, write_query

_SCRIPTS = {path.stem: load_script(path) for path in sorted(Path(__file__).parent.glob("*.sql"))}
HELDOUT = _SCRIPTS["heldout"]
"""Finds what shares words with held-out prompts: of `pool`, into `dropped`."""
REASONS: dict[Method, str] = {
    "exact": "exact_duplicate",
    "normalised": "normalised_duplicate",
    "skeleton": "same_skeleton",
    "near": "near_duplicate",
    "heldout": "shares_words_with_heldout",
}
ROWS_PER_BATCH = 2_048
_TEXTS = """
SELECT p.sample_id, p.scope, s.role, s.text
FROM pool AS p JOIN samples AS s ON s.id = p.sample_id
WHERE s.run = getvariable('run') AND s.round = getvariable('round')
"""


@dataclass(frozen=True)
class DedupReport:
    """What dedup dropped.

    Attributes:
        num_samples: Samples that were looked at.
        dropped: How many each method dropped, in the order the methods ran.
    """

    num_samples: int
    dropped: dict[Method, int]


def dedup(
    warehouse: Warehouse,
    spec: DedupSpec,
    *,
    run: str,
    round: int,
    memory_gib: float | None = None,
) -> DedupReport:
    """Write rejections for the samples of a round that say what is said already.

    A method looks only at what those before it left. Doing it again writes the same rows, and what
    an earlier call dropped with a method that is no longer asked for comes back.

    Args:
        warehouse: Holds prompts and samples of the round, and the held-out prompts.
        spec: Methods and their thresholds.
        run: The run.
        round: Its round.
        memory_gib: Memory that DuckDB may use before it spills to disk; None for its default.
    """
    place: dict[str, object] = {"run": run, "round": round}
    dropped: dict[Method, int] = {}
    with connect(warehouse, memory_gib) as connection:
        script = _SCRIPTS["samples"]
        connection.execute(script.bind(connection, {**place, "scope": spec.scope}))
        ((num_samples,),) = connection.execute("SELECT count(*) FROM pool").fetchall()
        for method in dict.fromkeys(spec.methods):
            _FINDERS[method](connection, method, spec)
            values = {**place, "filter": f"dedup_{method}", "reason": REASONS[method]}
            query = _SCRIPTS["rejections"].bind(connection, values)
            dropped[method] = write_query(
                warehouse, connection, query, "rejections", run=run, round=round, part=_part(method)
            )
            connection.execute(
                "DELETE FROM pool WHERE sample_id IN (SELECT sample_id FROM dropped)"
            )
    _take_back(warehouse, set(METHODS) - set(spec.methods), run, round)
    return DedupReport(num_samples, dropped)


def _part(method: Method) -> str:
    return f"dedup-{method}"


def _take_back(warehouse: Warehouse, methods: set[Method], run: str, round: int) -> None:
    for part in warehouse.parts("rejections", run=run, round=round):
        if part.name.rpartition("-")[0] in {_part(method) for method in methods}:
            warehouse.write("rejections", [], run=run, round=round, part=part.name)


def _by_text(connection: duckdb.DuckDBPyConnection, method: Method, spec: DedupSpec) -> None:
    connection.execute("DELETE FROM keys")
    script = _SCRIPTS["text_keys"]
    connection.execute(script.bind(connection, {"method": method}))
    connection.execute(_SCRIPTS["copies"].sql)


def _by_skeleton(connection: duckdb.DuckDBPyConnection, method: Method, spec: DedupSpec) -> None:
    # Collected, because a connection that streams a result can't write; 100 bytes per sample.
    batches = []
    for batch in connection.sql(_TEXTS).to_arrow_reader(ROWS_PER_BATCH):
        rows = zip(*(batch.column(n).to_pylist() for n in ("role", "text")), strict=True)
        found = pa.array([_skeleton_key(text, role) for role, text in rows], "string")
        batches.append(pa.table({"sample_id": batch.column("sample_id"), "key": found}))
    connection.execute("DELETE FROM keys")
    if batches:
        connection.register("found", pa.concat_tables(batches))
        connection.execute("INSERT INTO keys FROM found WHERE key IS NOT NULL")
        connection.unregister("found")
    connection.execute(_SCRIPTS["copies"].sql)


def _skeleton_key(text: str, role: str) -> str | None:
    found = skeleton(text, "program" if role == "program" else "answer")
    return None if found is None else hashlib.md5(found.encode(errors="surrogatepass")).hexdigest()


def _by_near(connection: duckdb.DuckDBPyConnection, method: Method, spec: DedupSpec) -> None:
    query = f"{_TEXTS} ORDER BY p.scope, p.place, p.sample_id"

    def texts() -> Iterator[Text]:
        for batch in connection.sql(query).to_arrow_reader(ROWS_PER_BATCH):
            columns = (batch.column(name).to_pylist() for name in ("sample_id", "scope", "text"))
            yield from (Text(*row) for row in zip(*columns, strict=True))

    found = list(near_copies(texts(), spec.near_similarity))
    table = pa.table(
        {
            "sample_id": pa.array([one.id for one in found], "string"),
            "of": pa.array([one.of for one in found], "string"),
            "similarity": pa.array([one.similarity for one in found], "double"),
        }
    )
    connection.register("found", table)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE dropped AS SELECT sample_id, "
        "json_object('of', of, 'similarity', similarity)::VARCHAR AS detail FROM found"
    )
    connection.unregister("found")


def _by_heldout(connection: duckdb.DuckDBPyConnection, method: Method, spec: DedupSpec) -> None:
    connection.execute(HELDOUT.bind(connection, {"num_words": spec.heldout_words}))


_FINDERS: dict[Method, Callable[[duckdb.DuckDBPyConnection, Method, DedupSpec], None]] = {
    "exact": _by_text,
    "normalised": _by_text,
    "skeleton": _by_skeleton,
    "near": _by_near,
    "heldout": _by_heldout,
}
