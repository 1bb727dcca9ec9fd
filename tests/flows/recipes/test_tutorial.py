"""The recipes of docs/add-a-recipe.md and README.md, as a reader would save them."""

import re
from pathlib import Path
from typing import Any

import pytest

from flows.recipes import Recipe, find_recipe
from flows.recipes.config import RecipeConfig
from flows.recorded_stages import recorded
from tasks.sampling import SamplingSpec
from tests.flows.recipes.conftest import RunTwoRounds, query

PROJECT = Path(__file__).parents[3]
PAGE = (PROJECT / "docs" / "add-a-recipe.md").read_text(encoding="utf-8")
README = (PROJECT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    (code,) = BLOCKS.findall(PAGE)
    path = tmp_path / "rephrase_votes.py"
    path.write_text(code, encoding="utf-8")
    return path


def test_it_is_short_and_made_of_the_stages_that_the_page_explains(saved: Path) -> None:
    assert len(saved.read_text(encoding="utf-8").splitlines()) < 40
    stages = [call.stage for call in recorded(find_recipe(str(saved)))]
    assert stages == ["draw", "make_prompts", "sample", "vote", "select"]
    assert set(stages) <= set(re.findall(r"`(\w+)\(", PAGE))


@pytest.mark.parametrize(
    ("word", "stages"),
    [
        ("confident_majority", ["sample", "vote", "select"]),
        ("VerdictParser", ["sample", "ask", "judge", "select"]),
    ],
)
def test_the_recipes_of_the_readme_are_made_of_stages_that_are_there(
    word: str, stages: list[str], saved: Path
) -> None:
    (code,) = [block for block in BLOCKS.findall(README) if word in block]
    imports = [line for line in saved.read_text().splitlines() if re.match("from|import", line)]
    place: dict[str, Any] = {"MyMethod": RecipeConfig, "SamplingSpec": SamplingSpec}
    exec("\n".join([*imports, code]), place)
    recipe = Recipe(
        "readme", "From the README", paper="2309.12284", reported="nothing yet", labels="none",
        labels_from="votes", config=place["MyMethod"], compose=place["compose"],
    )  # fmt: skip
    assert [call.stage for call in recorded(recipe)] == stages


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
