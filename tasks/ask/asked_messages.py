"""The messages that samples answer: what a stage asked, put together again from row and template.

`samples` keep what was said, not what was asked: a question is a template over a row, and thousands
of samples share it. A training row that teaches a critique or a judgement needs it as its prompt.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from storage import Warehouse
from tasks.ask.sample import Chain, Sample, variables
from tasks.ask.sources import RowSource
from tasks.engines import Messages
from tasks.errors import DataFormatError

ROWS_AT_ONCE = 4096


def find_link(chain: Chain, role: str) -> int:
    """The number of the last link of a role; of the last one of all where none is named.

    Raises:
        DataFormatError: If the chain has no such role.
    """
    roles = [link.role for link in chain.links]
    if not role:
        return len(roles) - 1
    if role not in roles:
        raise DataFormatError(f"role {role!r}: this stage asks for {', '.join(roles)}")
    return len(roles) - 1 - roles[::-1].index(role)


def sampling_text(sample: Sample) -> str:
    """`samples.sampling` of what a sample draws, as the table holds it."""
    return json.dumps(sample.sampling(), ensure_ascii=False, sort_keys=True)


def asked_messages(
    warehouse: Warehouse,
    chain: Chain,
    link: int,
    source: RowSource,
    ids: Collection[str],
    *,
    run: str,
    round: int,
) -> dict[str, Messages]:
    """The messages that some samples answer, by sample id.

    Args:
        warehouse: Holds the samples.
        chain: What was asked.
        link: The link of the chain that drew the samples, from 0.
        source: The rows that the chain was asked about.
        ids: The samples.
        run: The run.
        round: Its round.

    Raises:
        DataFormatError: If a sample was not asked about one of the rows, or about one of two.
        TemplateError: If a row no longer has what the template uses.
    """
    asked = chain.links[link]
    wanted, texts = _samples(warehouse, ids, run, round)
    by_row: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for sample_id, (prompt_id, parents) in wanted.items():
        by_row.setdefault((prompt_id, parents[: len(parents) - link]), []).append(sample_id)
    found: dict[str, Messages] = {}
    for start in range(0, source.num_rows, ROWS_AT_ONCE):
        for row in source.rows(start, ROWS_AT_ONCE):
            for sample_id in by_row.get((row.prompt_id, row.parent_ids), ()):
                path = wanted[sample_id][1][len(row.parent_ids) :]
                said = [texts[one] for one in path]
                messages = asked.template.render(variables(row.values, asked, said))
                if found.setdefault(sample_id, messages) != messages:
                    raise DataFormatError(
                        f"run {run!r} round {round}: sample {sample_id} answers one of two rows "
                        "with the same prompt and parents; only rows without variants can be "
                        "learned from"
                    )
    missing = sorted(set(ids) - found.keys())
    if missing:
        raise DataFormatError(
            f"run {run!r} round {round}: {len(missing)} samples, e.g. {missing[0]}, answer no row "
            f"that role {asked.role!r} was asked about; name the stage that drew them"
        )
    return found


def _samples(
    warehouse: Warehouse, ids: Collection[str], run: str, round: int
) -> tuple[dict[str, tuple[str, tuple[str, ...]]], dict[str, tuple[str, str]]]:
    """Prompt and parents of samples, and the role and text of every parent."""
    with warehouse.connect() as connection:
        place: dict[str, object] = {"run": run, "round": round, "ids": list(ids)}
        rows: Sequence[tuple[str, str, list[str]]] = connection.execute(
            "SELECT id, prompt_id, parent_ids FROM samples "
            "WHERE run = $run AND round = $round AND id IN (SELECT unnest($ids))",
            place,
        ).fetchall()
        place["ids"] = sorted({parent for row in rows for parent in row[2]})
        parents = connection.execute(
            "SELECT id, role, text FROM samples "
            "WHERE run = $run AND round = $round AND id IN (SELECT unnest($ids::VARCHAR[]))",
            place,
        ).fetchall()
    texts = {str(own): (str(role), str(text)) for own, role, text in parents}
    return {own: (prompt, tuple(parents)) for own, prompt, parents in rows}, texts
