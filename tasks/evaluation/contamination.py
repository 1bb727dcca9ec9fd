"""Held-out problems among the rows that a model was trained on: whole, or a run of words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from storage import Warehouse
from storage.catalog import VIEWS
from tasks.dedup.dedup import HELDOUT
from tasks.evaluation.gate_spec import GateSpec
from tasks.sql_script import connect

_ANSWERS = ("completion", "chosen", "rejected")
# What heldout.sql looks at: training rows as if they were prompts, beside the run's held-out ones.
_TRAINED = """
CREATE TEMP TABLE trained AS
SELECT 'row-' || row_number() OVER () AS id, prompt AS question, prompt || answers AS messages
FROM (SELECT DISTINCT prompt, {answers} AS answers FROM read_parquet($path))
"""
_AS_PROMPTS = f"""
CREATE TEMP TABLE pool AS SELECT id AS sample_id, id AS prompt_id FROM trained;
CREATE TEMP VIEW prompts AS
SELECT id, run, round, messages, split FROM {VIEWS}.prompts
WHERE run = getvariable('run') AND split = 'heldout'
UNION ALL
SELECT id, getvariable('run'), 0, messages, 'train' FROM trained;
"""
_EXACT = """
SELECT DISTINCT h.id FROM prompts AS h
JOIN (SELECT DISTINCT words_of(question) AS words FROM trained) AS t
    ON t.words = words_of(h.messages)
WHERE h.split = 'heldout' ORDER BY h.id
"""
_SHARED = "SELECT DISTINCT detail->>'heldout_prompt' AS id FROM dropped ORDER BY id"
_SHOWN = 3


@dataclass(frozen=True)
class Contamination:
    """Held-out problems that a model has seen.

    Attributes:
        exact: Ids of those whose words are all of a training row's prompt.
        shared: Ids of those with words in a row in common with a prompt or completion.
    """

    exact: tuple[str, ...]
    shared: tuple[str, ...]


def find_contamination(warehouse: Warehouse, run: str, path: Path, num_words: int) -> Contamination:
    """Returns the held-out problems of a run that are among frozen training rows.

    Words are letters and digits, without case. Runs of words that many held-out problems have are
    their template, and don't count; see `tasks/dedup/heldout.sql`.

    Args:
        warehouse: Holds the run's held-out problems.
        run: The run.
        path: File of the training rows.
        num_words: Words in a row that make a problem suspect.

    Source:
        13-gram overlap: Brown et al., GPT-3, arXiv 2005.14165, appendix C.
    """
    there = [name for name in _ANSWERS if name in pq.read_schema(path).names]
    with connect(warehouse, folder=path.parent) as con:
        con.execute("SET VARIABLE run = $run", {"run": run})
        con.execute("SET VARIABLE round = 0")
        answers = " || ".join(there)
        con.execute(_TRAINED.format(answers=answers), {"path": str(path)})
        con.execute(_AS_PROMPTS)
        con.execute(HELDOUT.bind(con, {"num_words": num_words}))
        exact = con.execute(_EXACT).fetchall()
        shared = con.execute(_SHARED).fetchall()
    return Contamination(tuple(own for (own,) in exact), tuple(own for (own,) in shared))


def contamination_checks(found: Contamination, spec: GateSpec) -> list[tuple[bool, str]]:
    """Returns the gate's sentences about it, each with whether it passes.

    Args:
        found: What was found.
        spec: What is refused.
    """
    checks = []
    if found.exact:
        names = _names(found.exact)
        passed = spec.contamination == "name"
        text = f"{len(found.exact)} held-out problems are prompts of training rows ({names})"
        checks.append((passed, text))
    others = tuple(sorted(set(found.shared) - set(found.exact)))
    if others:
        passed = spec.contamination != "refuse"
        text = (
            f"{len(others)} held-out problems share {spec.contamination_words} words in a row with "
            f"training rows ({_names(others)})"
        )
        checks.append((passed, text))
    advice = "drop such rows with selection.dedup.methods=[heldout]"
    return [(passed, f"{text}{'.' if passed else f'; {advice}.'}") for passed, text in checks]


def _names(ids: tuple[str, ...]) -> str:
    return ", ".join(ids[:_SHOWN]) + (", …" if len(ids) > _SHOWN else "")
