"""What a selection or a filter is: its file, header and parameters, checked when it is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from storage import TRAINING_TABLES
from tasks.errors import (
    DataFormatError,
    OptionError,
    ReferencesNotAllowedError,
    UnknownNameError,
)
from tasks.sql_script import (
    SqlScript,
    Value,
    check_names,
    load_script,
    parse_script,
    read_sql,
)

FOLDER = Path(__file__).parent
# Read with the code: an update during a run must not give it the SQL of another version.
SCRIPTS = {path.stem: load_script(path) for path in sorted(FOLDER.glob("*.sql"))}
SELECTIONS = (
    "confident_majority",
    "reference_correct",
    "distinct_ways",
    "vote_pairs",
    "reference_pairs",
    "step_pairs",
    "best_by_score",
    "best_worst",
    "judge_pairs",
    "soft_pairs",
    "difficulty_balance",
    "every_answer",
    "only_judged",
    "win_rate_pairs",
    "policy_pairs",
    "policy_examples",
    "contrast_pairs",
    "vote_labels",
    "reference_labels",
    "solved",
    "lengthened",
    "efficiency_pairs",
)
FILTERS = (
    "length_band",
    "curriculum_slice",
    "length_spread",
    "usual_length",
    "noise_words",
    "near_valid",
)
FILTER_COLUMNS = ("sample", "reason")
_RESERVED = {"run", "round", "filter", "seed", "use_references"}
_HEADER = (
    "its header needs the lines '-- Table: examples|pairs|labels', '-- References: yes|no', "
    "'-- Before: pick_examples.sql|pair_up.sql|matched_pairs.sql|label_up.sql' and '-- Columns: ' "
    "with the columns of judged"
)
_FILTER_HEADER = (
    "its header needs the lines '-- Table: candidates', '-- References: yes|no' and "
    "'-- Columns: sample, reason'"
)


@dataclass(frozen=True)
class Selection:
    """A selection or filter to run.

    Attributes:
        name: Its name, or the path of a .sql file of your own.
        parameters: Its parameters; those left out have their defaults.
        sql: What the file holds; None to read it now.
    """

    name: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    sql: str | None = None


@dataclass(frozen=True)
class Plan:
    """The scripts of one selection and the values of all their parameters.

    Attributes:
        name: The selection's name.
        path: Its file.
        table: `examples`, `pairs` or `labels`; `candidates` for a filter.
        writes: The temporary table that the rule writes: `judged`, or `dropped` for a filter.
        rule: The script that decides.
        steps: The scripts that make training rows of what was decided, in order; none for a filter.
        parameters: What was given, and the rule's own defaults.
    """

    name: str
    path: Path
    table: str
    writes: str
    rule: SqlScript
    steps: tuple[SqlScript, ...]
    parameters: Mapping[str, Value]

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns that the table which the rule writes has to have."""
        return self.steps[0].names("Needs") if self.steps else FILTER_COLUMNS


def plan_selections(selections: Sequence[Selection], allow_references: bool) -> list[Plan]:
    """The plans of selections.

    Raises:
        UnknownNameError: There is no such selection or parameter.
        OptionError: There is no selection or one comes twice, or a parameter is out of range.
        ReferencesNotAllowedError: A selection needs references and `allow_references` is False.
        SourceError: A file can't be read.
        DataFormatError: A file's header lacks a line.
    """
    plans = [_plan_selection(selection, allow_references) for selection in selections]
    names = [plan.name for plan in plans]
    if not plans or len(set(names)) < len(names):
        raise OptionError(f"selections={names}; expected one or more, each name once")
    return plans


def selection_table(selection: Selection) -> str:
    """The table that a selection makes rows of: `examples`, `pairs` or `labels`.

    Raises:
        UnknownNameError: There is no such selection.
        SourceError: Its file can't be read.
    """
    return _load("selection", selection, SELECTIONS)[1].properties.get("Table", "")


def plan_filters(filters: Sequence[Selection], allow_references: bool) -> list[Plan]:
    """The plans of filters; a filter may come twice with different parameters.

    Raises:
        UnknownNameError: There is no such filter or parameter.
        OptionError: A parameter is out of range.
        ReferencesNotAllowedError: A filter needs references and `allow_references` is False.
        SourceError: A file can't be read.
        DataFormatError: A file's header lacks a line.
    """
    return [_plan_filter(one, allow_references) for one in filters]


def _plan_selection(selection: Selection, allow_references: bool) -> Plan:
    path, rule = _load("selection", selection, SELECTIONS)
    table = rule.properties.get("Table")
    steps = _steps(rule)
    if (
        table not in TRAINING_TABLES
        or not steps
        or rule.properties.get("References") not in ("yes", "no")
        or not rule.names("Columns")
    ):
        raise DataFormatError(f"{path}: {_HEADER}")
    parameters = _parameters("selection", selection, rule, allow_references)
    return Plan(rule.name, path, table, "judged", rule, steps, parameters)


def _steps(rule: SqlScript) -> tuple[SqlScript, ...]:
    """The scripts that follow a rule: each names the next one under `Before`."""
    step = SCRIPTS.get(rule.properties.get("Before", "").removesuffix(".sql"))
    return () if step is None else (step, *_steps(step))


def _plan_filter(selection: Selection, allow_references: bool) -> Plan:
    path, rule = _load("filter", selection, FILTERS)
    if (
        rule.properties.get("Table") != "candidates"
        or rule.properties.get("References") not in ("yes", "no")
        or not rule.names("Columns")
    ):
        raise DataFormatError(f"{path}: {_FILTER_HEADER}")
    parameters = _parameters("filter", selection, rule, allow_references)
    return Plan(rule.name, path, "candidates", "dropped", rule, (), parameters)


def _load(kind: str, selection: Selection, known: tuple[str, ...]) -> tuple[Path, SqlScript]:
    name = selection.name
    if name in known and selection.sql is None:
        return FOLDER / f"{name}.sql", SCRIPTS[name]
    if not name.endswith(".sql"):
        raise UnknownNameError(
            f"{kind} {name!r}: there are {', '.join(known)}; "
            "or give the path of a .sql file of your own"
        )
    path = Path(name).expanduser()
    text = read_sql(path) if selection.sql is None else selection.sql
    return path, parse_script(path.stem, text)


def _parameters(
    kind: str, selection: Selection, rule: SqlScript, allow_references: bool
) -> dict[str, Value]:
    if rule.properties["References"] == "yes" and not allow_references:
        raise ReferencesNotAllowedError(
            f"{kind} {rule.name!r} reads reference answers, but this recipe does not declare "
            "labels; declare them in the recipe, or choose a selection by votes "
            "(confident_majority, vote_pairs)"
        )
    reserved = sorted(_RESERVED & set(selection.parameters))
    if reserved:
        raise OptionError(f"{kind} {rule.name!r}: {', '.join(reserved)} can't be parameters")
    check_names(selection.parameters, rule)
    return rule.values(selection.parameters)
