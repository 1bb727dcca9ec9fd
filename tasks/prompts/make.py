"""Turns the samples of one role into prompts of the round, and says why others became none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from storage import Warehouse
from storage.catalog import VIEWS
from tasks.ask import Sample
from tasks.dedup.dedup import HELDOUT
from tasks.environments import Environment, wrapping
from tasks.errors import OptionError
from tasks.prompts.similar import similar_texts
from tasks.prompts.spec import PromptRules
from tasks.sql_script import connect, load_script, write_query

_SCRIPTS = {path.stem: load_script(path) for path in sorted(Path(__file__).parent.glob("*.sql"))}

# What heldout.sql looks at: the new texts as if they were prompts already.
_AS_PROMPTS = f"""
CREATE TEMP TABLE pool AS
SELECT item_id AS sample_id, item_id AS prompt_id FROM items WHERE reason IS NULL;
CREATE TEMP VIEW prompts AS
SELECT id, run, round, messages, split FROM {VIEWS}.prompts
UNION ALL
SELECT
    item_id, getvariable('run'), getvariable('round'),
    [{{'role': 'user', 'content': text}}], 'train'
FROM items WHERE reason IS NULL;
"""
_EARLIER = """
SELECT min(id) AS id, question_of(messages[-1].content) AS text FROM prompts
WHERE run = getvariable('run') AND round <= getvariable('round') AND split <> 'heldout'
GROUP BY text ORDER BY id
"""
_NEW = "SELECT item_id, text FROM items WHERE reason IS NULL ORDER BY place"
_FOUND = "(SELECT sample_id, json_object('of', of, 'similarity', similarity) AS detail FROM found)"
_DROP = """
UPDATE items SET reason = $reason, detail = json_merge_patch(items.detail, f.detail)::VARCHAR
FROM {found} AS f WHERE f.sample_id = items.item_id
"""


@dataclass(frozen=True)
class MadeReport:
    """What became of the texts that a model wrote as questions.

    Attributes:
        num_samples: Samples that were asked for questions.
        num_made: Prompts made of them.
        dropped: How many texts each reason dropped; a sample without a text counts as one.
    """

    num_samples: int
    num_made: int
    dropped: Mapping[str, int]

    def to_dict(self) -> dict[str, int]:
        """Its numbers by name, reasons as `dropped_<reason>`."""
        reasons = {f"dropped_{reason}": num for reason, num in sorted(self.dropped.items())}
        return {"samples": self.num_samples, "made": self.num_made, **reasons}


def make_prompts(
    warehouse: Warehouse,
    sample: Sample,
    rules: PromptRules,
    *,
    environment: Environment,
    run: str,
    round: int,
    part: str,
    memory_gib: float | None = None,
) -> MadeReport:
    """Write what samples say as prompts, unless that is done; the other texts are rejections.

    Every text becomes a row of `prompts` or of `rejections`, and a sample without any text is a
    rejection. Texts are compared with the run's earlier problems and held in memory for it.

    Args:
        warehouse: Holds the samples, and the scores that their parser made.
        sample: What was asked; its role and turn tell its samples from others of the round.
        rules: What a problem has to be.
        environment: The environment that the problems belong to.
        run: The run.
        round: Its round.
        part: Name of the stage.
        memory_gib: Memory that DuckDB may use before it spills to disk; None for its default.

    Returns:
        What was found; of an earlier call if that made the prompts.

    Raises:
        OptionError: The samples have no parser, or one whose scores are about their parents.
    """
    if sample.parser is None or sample.about != "self":
        raise OptionError(
            f"{sample.role}: prompts are made of what a parser finds in samples; set a parser "
            "(PassageParser, ListParser), and about='self'"
        )
    place: dict[str, object] = {"run": run, "round": round}
    with connect(warehouse, memory_gib) as connection:
        if not warehouse.has("prompts", run=run, round=round, part=f"{part}-0000"):
            _find_items(connection, sample, rules, place, wrapping(environment))
            _drop_heldout(connection, rules)
            _drop_similar(connection, rules)
            _write(warehouse, connection, rules, environment.name, place, part)
    return _report(warehouse, sample, place, part)


def _find_items(
    connection: duckdb.DuckDBPyConnection,
    sample: Sample,
    rules: PromptRules,
    place: Mapping[str, object],
    around: Mapping[str, str],
) -> None:
    words = "|".join(re.escape(word.lower()) for word in rules.banned)
    values = {
        **place,
        **around,
        "role": sample.role,
        "turn": sample.turn,
        "check_name": sample.check_name,
        "field": rules.field,
        "min_words": rules.min_words,
        "max_words": rules.max_words,
        "banned": rf"\b(?:{words})\b" if words else "",
    }
    connection.execute(_SCRIPTS["items"].bind(connection, values))


def _drop_heldout(connection: duckdb.DuckDBPyConnection, rules: PromptRules) -> None:
    connection.execute(_AS_PROMPTS)
    connection.execute(HELDOUT.bind(connection, {"num_words": rules.heldout_words}))
    connection.execute("DROP VIEW prompts")
    connection.execute(_DROP.format(found="dropped"), {"reason": "shares_words_with_heldout"})


def _drop_similar(connection: duckdb.DuckDBPyConnection, rules: PromptRules) -> None:
    if rules.max_similarity == 1:
        return
    earlier = connection.execute(_EARLIER).fetchall()
    found = list(similar_texts(earlier, connection.execute(_NEW).fetchall(), rules.max_similarity))
    table = pa.table(
        {
            "sample_id": pa.array([one.id for one in found], "string"),
            "of": pa.array([one.of for one in found], "string"),
            "similarity": pa.array([one.similarity for one in found], "double"),
        }
    )
    connection.register("found", table)
    query = (
        "(SELECT sample_id, json_object('of', of, 'similarity', similarity) AS detail FROM found)"
    )
    connection.execute(_DROP.format(found=query), {"reason": "similar_to_earlier"})
    connection.unregister("found")


def _write(
    warehouse: Warehouse,
    connection: duckdb.DuckDBPyConnection,
    rules: PromptRules,
    environment: str,
    place: Mapping[str, object],
    part: str,
) -> None:
    """Rejections first: prompts that are there say that the stage is done."""
    values = {
        **place,
        "environment": environment,
        "source": rules.source,
        "made_by": part,
        "filter": _filter(part),
    }
    for script, table in (("dropped", "rejections"), ("made", "prompts")):
        query = _SCRIPTS[script].bind(connection, values)
        write_query(
            warehouse,
            connection,
            query,
            table,
            run=str(place["run"]),
            round=int(str(place["round"])),
            part=part,
        )


def _filter(part: str) -> str:
    return f"make_prompts_{part}"


def _report(
    warehouse: Warehouse, sample: Sample, place: Mapping[str, object], part: str
) -> MadeReport:
    # Of the tables, not of this process: a resumed stage counts what was made before it.
    with connect(warehouse) as connection:
        ((num_samples,),) = connection.execute(
            "SELECT count(*) FROM samples WHERE run = $run AND round = $round AND role = $role "
            "AND turn = $turn AND purpose = 'train'",
            {**place, "role": sample.role, "turn": sample.turn},
        ).fetchall()
        ((num_made,),) = connection.execute(
            "SELECT count(*) FROM prompts WHERE run = $run AND round = $round "
            "AND metadata ->> '$.made_by' = $part",
            {**place, "part": part},
        ).fetchall()
        dropped = connection.execute(
            "SELECT reason, count(*) FROM rejections WHERE run = $run AND round = $round "
            "AND filter = $filter GROUP BY ALL ORDER BY 1",
            {**place, "filter": _filter(part)},
        ).fetchall()
    return MadeReport(int(num_samples), int(num_made), dict(dropped))
