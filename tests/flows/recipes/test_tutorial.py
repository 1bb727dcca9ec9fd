"""The recipe of docs/add-a-recipe.md, as a reader would save it."""

import re
from pathlib import Path

import pytest

from flows.recipes import find_recipe
from flows.recorded_stages import recorded
from tests.flows.recipes.conftest import RunTwoRounds, query

PAGE = (Path(__file__).parents[3] / "docs" / "add-a-recipe.md").read_text(encoding="utf-8")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    path = tmp_path / "rephrase_votes.py"
    path.write_text(code, encoding="utf-8")
    return path


def test_it_is_short_and_made_of_the_stages_that_the_page_explains(saved: Path) -> None:
    assert len(saved.read_text(encoding="utf-8").splitlines()) < 40
    stages = [call.stage for call in recorded(find_recipe(str(saved)))]
    assert stages == ["draw", "make_prompts", "sample", "vote", "select"]
    assert set(stages) <= set(re.findall(r"`(\w+)\(", PAGE))


@pytest.mark.recipes
@pytest.mark.slow
@pytest.mark.prefect
@pytest.mark.sandbox
def test_it_runs_two_rounds(saved: Path, run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds(
        str(saved), base_model="seed:skills", prompts={"num": 8}, tables={"scores", "votes"}
    )
    (made,) = query(
        house,
        "SELECT count(*) AS n FROM examples AS e JOIN prompts AS p "
        "ON p.id = e.prompt_id AND p.round = e.round WHERE p.source = 'rephrase'",
    )
    assert made["n"]
