"""The card of an exported dataset: what is in it, how it was made, and by which models."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from storage.places import AnyPath
from storage.schemas import SCHEMA_VERSION, TABLES, TRAINING_TABLES, doc_of

CARD = "README.md"
"""The file that says what a dataset is: it makes the folder one."""

_SHOWN_CHARACTERS = 160
_SHOWN_ROWS = 50
_SIZES = [(10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"),
          (10**7, "1M<n<10M"), (10**8, "10M<n<100M"), (10**9, "100M<n<1B")]  # fmt: skip
_MARKS = re.compile(r"[\\`*_|<>\[\]#]")

Rows = list[dict[str, Any]]


class Config(NamedTuple):
    """One subset of the dataset: the rows of one table."""

    table: str
    rows: dict[str, int]
    """Rows of each split."""
    content_hash: str


@dataclass(frozen=True)
class CardFields:
    """What only the user knows about a dataset.

    Attributes:
        title: Its name.
        license: Licence of the dataset, as the hub spells it, e.g. 'apache-2.0'.
        languages: Languages of the texts, e.g. 'en'.
    """

    title: str
    license: str = "unknown"
    languages: Sequence[str] = ()


@dataclass(frozen=True)
class Origin:
    """Where rows come from, as tables of the warehouse tell it.

    Attributes:
        rounds: One row per round: recipe, settings, models, gate.
        generation: One row per way in which samples were drawn.
        models: One row per model that wrote samples, with its licence if its folder has a card.
    """

    rounds: Rows
    generation: Rows
    models: Rows


def collect_origin(
    connection: duckdb.DuckDBPyConnection,
    place: AnyPath,
    run: str | None,
    rounds: Sequence[int] | None,
) -> Origin:
    """Returns where the rows of a run come from.

    Args:
        connection: Connection with the views of the warehouse.
        place: Folder of the warehouse, local or in an object store.
        run: Run to describe; None for all runs.
        rounds: Rounds to describe; None for all rounds.
    """
    chosen = "($run IS NULL OR run = $run) AND ($rounds IS NULL OR list_contains($rounds, round))"
    values = {"run": run, "rounds": None if rounds is None else list(rounds)}

    def ask(query: str) -> Rows:
        cursor = connection.execute(query.replace("{chosen}", chosen), values)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    told = ask(
        "SELECT run, round, recipe, recipe_hash, parent_model_id, child_model_id, gate_verdict, "
        "parent_accuracy, child_accuracy, config FROM rounds_overview AS seen "
        "JOIN (SELECT run, round, config, recipe_hash FROM rounds) USING (run, round) "
        "WHERE {chosen} ORDER BY run, round"
    )
    for row in told:
        row["config"] = _without_folders(json.loads(row["config"]))
    # Imported samples name their row of the file; the file is what counts here.
    generation = ask(
        "SELECT policy_id, weight_hash, engine, role, "
        """json_merge_patch(sampling, '{"row": null, "column": null}')::VARCHAR AS sampling, """
        "count(*) AS samples, sum(num_tokens)::BIGINT AS tokens FROM samples "
        "WHERE purpose <> 'evaluate' AND {chosen} GROUP BY ALL "
        "ORDER BY samples DESC, policy_id, weight_hash, engine, role, sampling"
    )
    models = ask(
        "SELECT policy_id AS id, samples.weight_hash, any_value(models.recipe) AS recipe, "
        "any_value(models.parent_id) AS parent_id, any_value(models.path) AS path, "
        "any_value(models.snapshot_hash) AS snapshot_hash "
        "FROM (SELECT DISTINCT policy_id, weight_hash FROM samples "
        "WHERE purpose <> 'evaluate' AND {chosen}) AS samples "
        "LEFT JOIN models ON models.id = policy_id GROUP BY ALL ORDER BY ALL"
    )
    for row in models:
        # A path of this machine says nothing to who reads the card.
        path = row.pop("path")
        row["license"] = _license_of(place, path) if path is not None else None
    return Origin(told, generation, models)


def write_card(folder: Path, card: CardFields, configs: Sequence[Config], origin: Origin) -> None:
    """Writes README.md with the metadata that the hub reads, and selfloom.json with all details.

    Args:
        folder: Folder of the dataset.
        card: What the user says of it.
        configs: What is in it; the first one is the default.
        origin: Where it comes from.
    """
    from huggingface_hub import DatasetCardData

    total = sum(sum(config.rows.values()) for config in configs)
    recipes = sorted({row["recipe"] for row in origin.rounds if row["recipe"]})
    data = DatasetCardData(
        pretty_name=card.title,
        license=card.license,
        language=list(card.languages) or None,
        task_categories=["text-generation"],
        size_categories=[next((word for size, word in _SIZES if total < size), "n>1T")],
        tags=["synthetic", "selfloom", *(["trl"] if _trains(configs) else []), *recipes],
        configs=[_config_yaml(config, number == 0) for number, config in enumerate(configs)],
    )
    body = "\n\n".join(_sections(card, configs, origin))
    (folder / CARD).write_text(f"---\n{data.to_yaml()}\n---\n\n{body}\n", encoding="utf-8")
    details = {
        "format": "selfloom-export",
        "schema_version": SCHEMA_VERSION,
        "license": card.license,
        "configs": [config._asdict() for config in configs],
        "generation": origin.generation,
        "models": origin.models,
        "rounds": origin.rounds,
    }
    text = json.dumps(details, indent=2, ensure_ascii=False, default=str)
    (folder / "selfloom.json").write_text(text + "\n", encoding="utf-8")


def _trains(configs: Sequence[Config]) -> bool:
    return any(config.table in TRAINING_TABLES for config in configs)


def _config_yaml(config: Config, is_default: bool) -> dict[str, Any]:
    files = [{"split": split, "path": f"{config.table}/{split}-*.parquet"} for split in config.rows]
    named = {"config_name": config.table, "data_files": files}
    return named | ({"default": True} if is_default else {})


def _sections(card: CardFields, configs: Sequence[Config], origin: Origin) -> list[str]:
    counts = [
        {"config": own.table, "split": split, "rows": rows, "content": own.content_hash}
        for own in configs
        for split, rows in own.rows.items()
    ]
    rounds = [
        {
            "run": row["run"],
            "round": row["round"],
            "recipe": row["recipe"],
            "from": row["parent_model_id"],
            "to": row["child_model_id"],
            "gate": row["gate_verdict"],
            "accuracy before": _percent(row["parent_accuracy"]),
            "after": _percent(row["child_accuracy"]),
        }
        for row in origin.rounds
    ]
    models = [
        {
            "model": row["id"],
            "recipe": row["recipe"],
            "parent": row["parent_id"],
            "weights": row["weight_hash"],
            "licence": row["license"] or "not known here",
        }
        for row in origin.models
    ]
    sections = [
        f"# {_text(card.title)}",
        "Made by selfloom: models wrote the completions, and checks, votes or judges chose among "
        "them. Nobody has read the rows one by one."
        + ("" if card.license != "unknown" else " The licence was not stated."),
        "## Subsets",
        _table(counts),
        _loading(configs),
    ]
    if models:
        sections += ["## Models that wrote the completions", _table(models)]
    if origin.generation:
        sections += ["## Generation settings", _table(origin.generation)]
    if rounds:
        sections += ["## Rounds", _table(rounds), "## Recipe", *_recipes(origin.rounds)]
    sections.append("## Columns")
    for config in configs:
        schema = TABLES[config.table]
        rows = [{"column": f.name, "type": str(f.type), "holds": doc_of(f)} for f in schema]
        sections += [f"### {config.table}", _table(rows)]
    return sections


def _loading(configs: Sequence[Config]) -> str:
    uses = {"examples": "SFTTrainer", "pairs": "DPOTrainer", "labels": "KTOTrainer"}
    lines = [
        f'{own.table} = load_dataset("PATH", "{own.table}", split="{next(iter(own.rows))}")'
        + (f"  # as it is for TRL's {uses[own.table]}" if own.table in uses else "")
        for own in configs
    ]
    return "\n".join(["```python", "from datasets import load_dataset", "", *lines, "```"])


def _recipes(rounds: Rows) -> list[str]:
    """Returns the settings of the rounds, the same ones once."""
    by_hash: dict[str, dict[str, Any]] = {}
    for row in rounds:
        by_hash.setdefault(row["recipe_hash"], row)
    return [
        f"{_text(row['recipe'])}, settings {row['recipe_hash']}:\n\n```json\n"
        f"{_fenced(json.dumps(row['config'], indent=2, ensure_ascii=False))}\n```"
        for row in by_hash.values()
    ]


def _table(rows: Rows) -> str:
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", f"| {' | '.join('---' for _ in names)} |"]
    lines += [f"| {' | '.join(_text(row[name]) for name in names)} |" for row in rows[:_SHOWN_ROWS]]
    if len(rows) > _SHOWN_ROWS:
        lines.append(f"\nand {len(rows) - _SHOWN_ROWS} more, all of them in selfloom.json")
    return "\n".join(lines)


def _text(value: object) -> str:
    """Returns a value as Markdown that shows it and does nothing else."""
    text = "-" if value is None else " ".join(str(value).split())
    if len(text) > _SHOWN_CHARACTERS:
        text = text[: _SHOWN_CHARACTERS - 1] + "…"
    return _MARKS.sub(lambda mark: f"\\{mark[0]}", text)


def _fenced(text: str) -> str:
    return text.replace("```", "'''")


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.1f}%"


def _without_folders(value: object) -> object:
    """Returns settings in which a path of this machine is the name of its file."""
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    return Path(value).name if isinstance(value, str) and value.startswith(("/", "~")) else value


def _license_of(place: AnyPath, path: str) -> str | None:
    """Returns the licence that the card in a model's folder states, if there is one."""
    from huggingface_hub import ModelCard

    folder = Path(path) if Path(path).is_absolute() else place / path
    try:
        card = ModelCard((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    stated = card.data.get("license")
    return None if stated is None else str(stated)
