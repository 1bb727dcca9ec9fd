"""Brings samples made elsewhere into the warehouse and runs checks, votes and selection on them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from storage import Warehouse, content_id
from tasks.checks.answers import (
    MARKER_RULES,
    RULES_WITH_FALLBACK,
    canonical_answer,
    extract_answer,
)
from tasks.checks.scoring import Answered, score_answers
from tasks.checks.votes import vote
from tasks.environments.base import problem_id, prompt_key
from tasks.environments.records import BadRows, Record, iter_records
from tasks.errors import DataFormatError, OptionError
from tasks.prompt_ledger import PromptLedger, prompt_ledger
from tasks.sample_mapping import SampleMapping, guess_mapping
from tasks.selection import Selection, SelectionReport, check_selections, select

# What is in memory at a time; few large parts are read faster than many small ones.
ROWS_PER_SHARD = 20_000
CHARACTERS_PER_SHARD = 32 * 2**20
KEPT_DISAGREEMENTS = 100
TABLES = ("prompts", "samples", "scores")


class Disagreement(NamedTuple):
    """A sample whose verdict here differs from the one in the file."""

    row: int
    model: str
    answer: str | None
    reference: str | None
    verdict_here: bool
    verdict_there: bool


@dataclass
class ImportReport:
    """What an import brought in.

    Attributes:
        run: The run that the rows are in.
        round: Its round.
        mapping: The mapping that was used.
        bad: The rows and completions that were kept out, by row number.
        num_rows: Readable rows of the file.
        num_prompts: Distinct prompts.
        num_samples: Completions; answered ones have an answer, right ones that of the reference.
        num_compared: Samples with a verdict in the file; on `num_agreed` of them ours is the same.
        disagreements: The first hundred of the others.
        num_votes: Rows in `votes`.
        selection: What became training rows.
    """

    run: str
    round: int
    mapping: SampleMapping
    bad: BadRows
    num_rows: int = 0
    num_prompts: int = 0
    num_samples: int = 0
    num_answered: int = 0
    num_right: int = 0
    num_compared: int = 0
    num_agreed: int = 0
    disagreements: list[Disagreement] = field(default_factory=list)
    num_votes: int = 0
    selection: SelectionReport | None = None


@dataclass(frozen=True)
class _Imported:
    """One completion on its way into the tables."""

    row: int
    column: str
    model: str
    sample_id: str
    prompt_id: str
    index: int
    text: str
    reference: str | None
    verdict: bool | None


def import_samples(
    warehouse: Warehouse,
    path: str | Path,
    mapping: SampleMapping | None = None,
    *,
    run: str = "import",
    round: int = 1,
    selections: Sequence[Selection] | None = None,
    allow_references: bool = True,
    seed: int = 0,
    memory_gib: float | None = None,
) -> ImportReport:
    """Write prompts, samples, answer and reference scores, votes and training rows of a file.

    The samples get the purpose `imported`, the policy id that the file names and the weight hash
    `unknown`; where the file has verdicts of its own, they become scores of the check `imported`.
    All selections run on the one round, so that a sample is rejected only if none of them uses it.
    The same call again writes the same rows. Rows stream through shard by shard, so memory does
    not grow with the file; a .json list alone is read as a whole.

    Args:
        warehouse: Where to write.
        path: A jsonl, json, csv or parquet file, or what `datasets.load_dataset` reads.
        mapping: Which column is what; None: what their names suggest.
        run: The run to write into.
        round: Its round; must not hold samples of anything but an import.
        selections: What to select; None: examples by `confident_majority`, and pairs by
            `reference_pairs` where there are references that may be used, else by `vote_pairs`.
        allow_references: Whether references may decide what becomes a training row.
        seed: Decides which of equally good samples are picked.
        memory_gib: Memory that votes and selections may use before they spill to disk; None for
            80% of the machine's.

    Raises:
        UnknownNameError: A mapped column, a selection or a parameter does not exist.
        SourceError: The file can't be opened.
        DataFormatError: No row of it can be used.
        OptionError: A parameter is out of range, or the round holds other samples.
        ReferencesNotAllowedError: A selection needs references and they are not allowed.
    """
    if mapping is None:
        mapping = guess_mapping(path)
    if selections is None:
        use_references = mapping.reference is not None and allow_references
        pairs = "reference_pairs" if use_references else "vote_pairs"
        selections = (Selection("confident_majority"), Selection(pairs))
    check_selections(selections, allow_references=allow_references)
    _check_round(warehouse, run, round)
    report = ImportReport(run, round, mapping, BadRows(str(path)))
    num_shards = 0
    with prompt_ledger(warehouse.scratch_dir(run, round)) as known:
        for shard in _shards(path, report.bad):
            if report.num_rows == 0:
                mapping.check(str(path), [row for _, row in shard])
            num_shards += _write_shard(warehouse, report, known, shard, f"import-{num_shards:04d}")
            known.flush()
        report.num_prompts = len(known)
    if report.num_samples == 0:
        raise DataFormatError(
            f"nothing to import: {report.bad.describe() if report.bad.count else path}"
        )
    _empty_stale_parts(warehouse, run, round, num_shards)
    report.bad.log()
    report.num_votes = vote(warehouse, run=run, round=round, memory_gib=memory_gib)
    report.selection = select(
        warehouse,
        selections,
        run=run,
        round=round,
        seed=seed,
        allow_references=allow_references,
        memory_gib=memory_gib,
    )
    return report


def _shards(path: str | Path, bad: BadRows) -> Iterator[list[tuple[int, Record]]]:
    shard: list[tuple[int, Record]] = []
    size = 0
    for number, row in iter_records(path, bad):
        shard.append((number, row))
        size += _num_characters(row)
        if len(shard) >= ROWS_PER_SHARD or size >= CHARACTERS_PER_SHARD:
            yield shard
            shard, size = [], 0
    if shard:
        yield shard


def _num_characters(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_num_characters, value.values()))
    return sum(map(_num_characters, value)) if isinstance(value, list) else 1


def _check_round(warehouse: Warehouse, run: str, round: int) -> None:
    others = [
        part.name
        for part in warehouse.parts("samples", run=run, round=round)
        if not part.name.startswith("import-")
    ]
    if others:
        raise OptionError(
            f"run {run!r} round {round} already has samples ({others[0]}, ...); "
            "import into another run"
        )


def _write_shard(
    warehouse: Warehouse,
    report: ImportReport,
    known: PromptLedger,
    shard: Sequence[tuple[int, Record]],
    part: str,
) -> bool:
    """Write the shard as one part of every table; False if nothing in it can be used."""
    prompts: list[dict[str, object]] = []
    imported: list[_Imported] = []
    for number, row in shard:
        report.num_rows += 1
        try:
            prompt, samples = _read_row(report, known, number, row)
        except DataFormatError as error:
            report.bad.add(number, str(error))
            continue
        prompts += prompt
        imported += samples
    if not imported:
        return False
    tables: dict[str, Sequence[Mapping[str, object]]] = {
        "prompts": prompts,
        "samples": [_sample(one, Path(report.bad.source).name) for one in imported],
        "scores": list(_scores(report, imported)),
    }
    for table, rows in tables.items():
        warehouse.write(table, rows, run=report.run, round=report.round, part=part)
    return True


def _read_row(
    report: ImportReport, known: PromptLedger, number: int, row: Record
) -> tuple[list[dict[str, object]], list[_Imported]]:
    """The row's prompt, if it is a new one, and its samples; bad completions are left out."""
    mapping = report.mapping
    messages = mapping.prompt_of(row)
    reference = mapping.reference_of(row)
    _check_text(reference, *(message["content"] for message in messages))
    prompt_id = problem_id(mapping.environment, prompt_key(messages))
    found = known.find(prompt_id)
    if found is not None and found.reference != reference:
        raise DataFormatError(
            f"the reference is {reference!r}, but a row before has the same prompt with "
            f"{found.reference!r}"
        )
    samples: list[_Imported] = []
    first = found.num_samples if found is not None else 0
    for column in mapping.completions:
        model, verdict = mapping.model_of(row, column), mapping.verdict_of(row, column)
        try:
            texts = mapping.completions_of(row, column)
            _check_text(model, *texts)
        except DataFormatError as error:
            report.bad.add(number, str(error))
            continue
        for text in texts:
            index = first + len(samples)
            sample_id = content_id(
                "sample", report.run, report.round, prompt_id, "answer", index, model
            )
            samples.append(
                _Imported(
                    number, column, model, sample_id, prompt_id, index, text, reference, verdict
                )
            )
    if not samples:
        return [], []
    own = found or known.add(prompt_id, reference)
    own.num_samples += len(samples)
    if found is not None:
        return [], samples
    prompt: dict[str, object] = {
        "id": prompt_id,
        "environment": mapping.environment,
        "messages": messages,
        "reference": reference,
        "source": "imported",
        "parent_ids": [],
        "split": "train",
        "metadata": {"row": number},
    }
    return [prompt], samples


def _check_text(*texts: str | None) -> None:
    """Check that texts can be stored: JSON can say half of a surrogate pair, UTF-8 can't."""
    for text in texts:
        try:
            (text or "").encode()
        except UnicodeEncodeError as error:
            raise DataFormatError(
                f"a text has the lone surrogate {error.object[error.start]!a} at character "
                f"{error.start}; no UTF-8 text can hold it"
            ) from None


def _sample(one: _Imported, source: str) -> dict[str, object]:
    return {
        "id": one.sample_id,
        "prompt_id": one.prompt_id,
        "parent_ids": [],
        "role": "answer",
        "purpose": "imported",
        "turn": 0,
        "index": one.index,
        "policy_id": one.model,
        "weight_hash": "unknown",
        "engine": "imported",
        "sampling": {"source": source, "row": one.row, "column": one.column},
        "seed": 0,
        "text": one.text,
        "num_tokens": 0,  # unknown: nobody here has the tokenizer of that model
        "finish_reason": "stop",
        "status": "ok",
    }


def _scores(report: ImportReport, imported: Sequence[_Imported]) -> Iterator[dict[str, object]]:
    """The scores of a shard, counting what they say on the way."""
    mapping = report.mapping
    rules = RULES_WITH_FALLBACK if mapping.guess_last_number else MARKER_RULES

    def parse(text: str) -> str | None:
        found = extract_answer(text, kind=mapping.answer_kind, rules=rules)
        return None if found is None else found.answer

    by_id = {one.sample_id: one for one in imported}
    samples = [Answered(one.sample_id, one.text, one.reference) for one in imported]
    answers: dict[str, str | None] = {}
    for row in score_answers(samples, parse, canonical_answer, run=report.run, round=report.round):
        one = by_id[str(row["sample_id"])]
        if row["check"] == "answer":
            label = row["label"]
            answers[one.sample_id] = None if label is None else str(label)
            report.num_samples += 1
            report.num_answered += label is not None
        else:
            is_right = row["value"] == 1.0
            report.num_right += is_right
            _compare(report, one, answers[one.sample_id], is_right)
        yield row
    yield from (_verdict(report, one) for one in imported if one.verdict is not None)


def _compare(report: ImportReport, one: _Imported, answer: str | None, is_right: bool) -> None:
    if one.verdict is None:
        return
    report.num_compared += 1
    report.num_agreed += one.verdict == is_right
    if one.verdict != is_right and len(report.disagreements) < KEPT_DISAGREEMENTS:
        report.disagreements.append(
            Disagreement(one.row, one.model, answer, one.reference, is_right, one.verdict)
        )


def _verdict(report: ImportReport, one: _Imported) -> dict[str, object]:
    """The file's own verdict, as a score that nothing here selects by."""
    return {
        "id": content_id("score", report.run, report.round, one.sample_id, "imported", "1"),
        "sample_id": one.sample_id,
        "check": "imported",
        "version": "1",
        "value": float(bool(one.verdict)),
        "detail": {"column": str(report.mapping.verdict)},
        "status": "ok",
    }


def _empty_stale_parts(warehouse: Warehouse, run: str, round: int, num_shards: int) -> None:
    """Empty what an earlier import of a longer file left behind."""
    for table in TABLES:
        for part in warehouse.parts(table, run=run, round=round):
            match = re.fullmatch(r"import-(\d+)", part.name)
            if match and int(match[1]) >= num_shards:
                warehouse.write(table, [], run=run, round=round, part=part.name)
