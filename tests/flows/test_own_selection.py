"""A selection of one's own in a recipe's settings: checked before the run, used in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows import self_training, training_round
from flows.errors import RunConflictError, SettingError
from flows.preflight import check_plan, read_selections
from flows.recipes import find_recipe
from flows.recipes.config import RecipeConfig
from flows.selection_stage import drop_copies, select_rows
from flows.self_training import check_same_settings
from flows.stages import Stages
from storage import Warehouse
from tasks.dedup import METHODS
from tasks.environments import load_environment
from tasks.errors import (
    DataFormatError,
    OptionError,
    ReferencesNotAllowedError,
    SourceError,
    UnknownNameError,
)
from tasks.models import ModelRef, resolve_model
from tasks.selection import FILTERS, SELECTIONS, Selection
from tasks.sql_script import SQL_DIGEST
from tests.flows.conftest import tiny_config
from tests.tasks.selection.rounds import RUN, right, write_round, wrong

OWN = """-- SFT examples: the longest texts.
-- Table: examples
-- References: no
-- Before: pick_examples.sql
-- Columns: sample, weight, reason
SET VARIABLE min_characters = 2;  -- INTEGER in [0, inf]: shortest text that is kept
SET VARIABLE max_per_prompt = 9;  -- INTEGER in [1, inf]: most examples of one prompt

CREATE OR REPLACE TEMP TABLE judged AS
SELECT
    c.sample,
    1.0::DOUBLE AS weight,
    CASE WHEN length(s.text) < getvariable('min_characters') THEN 'short' END AS reason
FROM candidates AS c JOIN samples AS s ON s.id = c.sample_id
WHERE s.run = getvariable('run') AND s.round = getvariable('round');
"""

DROP = """-- Filter: drops answers that are wrong by our own taste.
-- Table: candidates
-- References: no
-- Columns: sample, reason
CREATE OR REPLACE TEMP TABLE dropped AS
SELECT sample, 'too_wrong' AS reason FROM candidates WHERE answer = '2';
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "longest.sql"
    path.write_text(OWN)
    return path


def check(recipe: str, **selection: Any) -> None:
    check_plan(find_recipe(recipe), tiny_config(recipe, selection=selection))


BROKEN = [
    (
        ("length(s.text)", "length((SELECT content FROM read_text('/etc/hostname')))"),
        DataFormatError,
        "disabled by configuration",
    ),
    (("s.text", "s.texts"), DataFormatError, 'column named "texts"|"texts" not found'),
    (("1.0::DOUBLE AS weight,", ""), DataFormatError, "judged has no column 'weight'; it needs"),
    (("c.sample,", "c.sample_id AS sample,"), DataFormatError, "'sample' .* VARCHAR; expected UBI"),
    (("1.0::DOUBLE", "'much'"), DataFormatError, "'weight' .* is VARCHAR; expected DOUBLE"),
    (("TABLE judged", "TABLE chosen"), DataFormatError, "writes no table 'judged'"),
    (("AS weight", "AS wieght"), DataFormatError, "has no column 'weight'; .* has sample, wieght"),
    (("Columns: sample", "Columns: sample, side"), DataFormatError, "has no column 'side'"),
    (("-- Before: pick_examples.sql", ""), DataFormatError, "header needs the lines"),
    (("CREATE OR", "CREATE UR"), DataFormatError, "can't run: Parser Error"),
    (("References: no", "References: yes"), ReferencesNotAllowedError, "does not declare labels"),
]


@pytest.mark.parametrize(("change", "error", "message"), BROKEN)
def test_a_broken_file_is_refused_before_the_run(
    own: Path, change: tuple[str, str], error: type[Exception], message: str
) -> None:
    own.write_text(OWN.replace(*change))
    with pytest.raises(error, match=message):
        check("lmsi", rule={"name": str(own)})


@pytest.mark.parametrize(
    ("selection", "error", "message"),
    [
        ({"rule": {"name": "none.sql"}}, SourceError, "none.sql: can't be read"),
        ({"rule": {"name": "longest"}}, UnknownNameError, "there are confident_majority"),
        ({"rule": {"name": "vote_pairs"}}, SettingError, "makes pairs, but recipe 'lmsi' trains"),
        ({"filters": [{"name": "width"}]}, UnknownNameError, "there are length_band, curr"),
        (
            {"filters": [{"name": "length_band", "parameters": {"max_ratio": 0.5}}]},
            OptionError,
            r"max_ratio=0.5; expected DOUBLE in \[1, inf\]",
        ),
        (
            {"filters": [{"name": "curriculum_slice", "parameters": {"measure": "age"}}]},
            OptionError,
            r"VARCHAR in \{difficulty, vote_share, quantile\}",
        ),
    ],
)
def test_settings_that_can_not_work_are_refused(
    selection: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        check("lmsi", **selection)


def stages_with(tmp_path: Path, config: RecipeConfig) -> Stages:
    warehouse = Warehouse.open(tmp_path / "w")
    model = ModelRef("m", tmp_path, "h")
    environment = load_environment("copy")
    return Stages(warehouse, find_recipe("lmsi"), config, environment, RUN, 1, model, model, 0)


def test_the_settings_own_selection_takes_the_place_of_the_recipes(
    tmp_path: Path, own: Path
) -> None:
    selection = {
        "rule": {"name": str(own), "parameters": {"min_characters": 3}},
        "filters": [{"name": "length_band", "parameters": {"max_tokens": 40}}],
        "dedup": {"methods": ["normalised"]},
        "memory_gib": 0.5,
    }
    stages = stages_with(tmp_path, tiny_config("lmsi", selection=selection))
    long = [one._replace(num_tokens=50) for one in right("much too long")]
    write_round(stages.warehouse, [[*right("abc", "ABC!", "ab"), *wrong("wxyz"), *long]])
    drop_copies.fn(stages)
    report = select_rows.fn(stages, [Selection("confident_majority")], [])
    assert report.num_candidates == 4
    examples = stages.warehouse.read("examples", run=RUN).to_pylist()
    assert sorted(row["completion"][0]["content"] for row in examples) == ["abc", "wxyz"]
    rejected = stages.warehouse.read("rejections", run=RUN).to_pylist()
    assert sorted((row["filter"], row["reason"]) for row in rejected) == [
        ("dedup_normalised", "normalised_duplicate"),
        ("length_band", "too_long"),
        ("longest", "short"),
    ]


def test_a_run_keeps_the_text_that_its_file_had_at_the_start(tmp_path: Path, own: Path) -> None:
    mine = tmp_path / "drop.sql"
    mine.write_text(DROP)
    selection = {"rule": {"name": str(own)}, "filters": [{"name": str(mine)}]}
    config = read_selections(tiny_config("lmsi", selection=selection))
    assert config.selection.rule is not None and config.selection.rule.sql == OWN
    assert [one.sql for one in config.selection.filters] == [DROP]
    assert read_selections(config) == config  # and no other file is read again
    for path in (own, mine):
        path.write_text("CREATE UR")
    check_plan(find_recipe("lmsi"), config)
    stages = stages_with(tmp_path, config)
    write_round(stages.warehouse, [[*right("abc", "b"), *wrong("defg")]])
    select_rows.fn(stages, [], [])
    rejected = stages.warehouse.read("rejections", run=RUN).to_pylist()
    assert sorted((row["filter"], row["reason"]) for row in rejected) == [
        ("drop", "too_wrong"),
        ("longest", "short"),
    ]
    with pytest.raises(SourceError, match="can't be read"):
        read_selections(tiny_config("lmsi", selection={"rule": {"name": "none.sql"}}))


def test_a_run_is_not_continued_with_another_text(tmp_path: Path, own: Path) -> None:
    plain = tiny_config("lmsi", selection={"rule": {"name": str(own)}})
    config = read_selections(plain)
    house, lmsi = Warehouse.open(tmp_path / "w"), find_recipe("lmsi")
    base = resolve_model(house, "seed:copy")
    stages = Stages(house, lmsi, config, load_environment("copy"), RUN, 0, base, base, 0)
    training_round.write_round(stages, base, "none", [], [], {"headroom": {}})
    (row,) = house.read("rounds").to_pylist()
    assert json.loads(row["config"])["selection"]["rule"]["sql"] == OWN
    assert json.loads(row["metrics"]) == {"headroom": {}, "sql_digest": SQL_DIGEST}
    check_same_settings(house, lmsi, read_selections(plain), "seed:copy", RUN)
    own.write_text(OWN.replace("min_characters = 2", "min_characters = 3"))
    message = r"selection.rule.sql: \(\d+ characters, hash \w+\) -> \(\d+ .*; continue it"
    with pytest.raises(RunConflictError, match=message):
        check_same_settings(house, lmsi, read_selections(plain), "seed:copy", RUN)


def test_rounds_made_by_other_sql_files_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(self_training, "say", said.append)
    stages = stages_with(tmp_path, tiny_config("lmsi"))
    training_round.write_round(stages, None, "none", [], [], {})
    self_training.note_other_sql(stages.warehouse, RUN)
    assert said == []
    monkeypatch.setattr(self_training, "SQL_DIGEST", "newer")
    self_training.note_other_sql(stages.warehouse, RUN)
    assert len(said) == 1 and f"({SQL_DIGEST} -> newer)" in said[0]


def test_the_example_of_the_documentation_runs(tmp_path: Path) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "selection.md").read_text(encoding="utf-8")
    path = tmp_path / "documented.sql"
    path.write_text(docs.partition("```sql\n")[2].partition("```")[0])
    check("lmsi", rule={"name": str(path), "parameters": {"min_characters": 3}})
    stages = stages_with(tmp_path, tiny_config("lmsi"))
    write_round(stages.warehouse, [[*right("long enough", "abc", "x"), *wrong("also long")]])
    select_rows.fn(stages, [Selection(str(path), {"min_characters": 3})], [])
    rejected = stages.warehouse.read("rejections", run=RUN).to_pylist()
    assert sorted(row["reason"] for row in rejected) == ["minority_answer", "short"]


def test_the_documentation_lists_every_selection_and_filter() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "selection.md").read_text(encoding="utf-8")
    assert [name for name in (*SELECTIONS, *FILTERS, *METHODS) if f"`{name}`" not in docs] == []
