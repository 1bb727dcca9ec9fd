"""A society of agents: a run each, one debate, data of their own."""

from pathlib import Path
from typing import Any

import pytest

from flows.recipes import find_recipe
from flows.recipes.config import LoopSpec
from flows.recorded_stages import RecordedStages
from flows.self_training import find_loop
from storage import Warehouse
from tasks.ask import Template
from tasks.errors import OptionError
from tasks.models import ModelRef, agent_of
from tests.flows.recipes.conftest import SMALL, query

# The seed model was never shown a debate, but can write an answer again after feedback.
REFINE = str(Template.load("refine").messages[-1].content)
AGAIN = {
    "name": "again",
    "messages": [
        {"role": "user", "content": "{{ problem }}"},
        {"role": "assistant", "content": "{{ summary }}"},
        {"role": "user", "content": REFINE.replace("{{ critique }}", "Verdict: correct")},
    ],
}
AGENTS = ["generation-0", "generation-1", "critic-0", "critic-1"]


def test_a_debate_asks_every_agent_and_learns_from_one() -> None:
    recipe = find_recipe("multiagent_finetuning")
    asked: list[tuple[str, str]] = []

    class Asked(RecordedStages):
        def ask(self, what: Any, name: str, *, model: Any, variables: Any, **_: Any) -> None:
            asked.append((name, model))

        def agent(self, run: str) -> Any:
            return run

        def demonstrate(self, one: Any) -> str:
            asked.append((one.name, one.parameters["agent"]))
            return "examples"

    for agent, learned in (("critic-1", "debated_answers"), ("generation-1", "agreeing_drafts")):
        asked.clear()
        config = recipe.config.model_validate({"agent": agent, "num_agents": 2, "num_debates": 2})
        stages: Any = Asked(recipe)
        assert recipe.compose(stages, config) == "examples"
        kinds = ["generation", "critic", "critic"]
        names = [f"turn-{turn}-{kind}-{i}" for turn, kind in enumerate(kinds) for i in (0, 1)]
        assert [name for name, _ in asked] == [*names, learned]
        own = [name for name, model in asked if model is stages.incumbent]
        assert own == [name for name in names if name.endswith(agent)]
        assert asked[0][1] == "society-generation-0" and asked[-1][1] == agent


def test_an_agent_outside_of_the_society_is_refused() -> None:
    config = find_recipe("multiagent_finetuning").config
    for wrong in ("critic-3", "judge-0"):
        with pytest.raises(ValueError, match="agent"):
            config.model_validate({"agent": wrong})


def test_an_agent_that_is_behind_is_named(tmp_path: Path) -> None:
    house = Warehouse.open(tmp_path / "w")
    base = ModelRef("base", tmp_path, "hash")
    assert agent_of(house, "society-critic-0", before_round=1, base=base) is base
    with pytest.raises(OptionError, match="'society-critic-0' has not finished round 1"):
        agent_of(house, "society-critic-0", before_round=2, base=base)


@pytest.mark.recipes
@pytest.mark.slow
@pytest.mark.prefect
@pytest.mark.sandbox
def test_a_society_of_four_runs(prefect_server: None, tmp_path: Path) -> None:
    path = str(tmp_path / "warehouse")

    def run(agent: str, rounds: int) -> None:
        own = {"agent": agent, "num_agents": 2, "summarise": False, "debate": AGAIN}
        values = {**SMALL, "prompts": {"num": 8, "difficulties": [1]}, **own}
        values["sampling"] = {"n": 1, "temperature": 1.0, "max_new_tokens": 48}
        config = find_recipe("multiagent_finetuning").config.model_validate(values)
        name = f"society-{agent}"
        loop = LoopSpec(run=name, rounds=rounds, base_model="seed:skills", warehouse=path)
        find_loop("multiagent_finetuning")(config, loop)

    for agent in AGENTS:
        run(agent, 1)
    run("critic-0", 2)
    house = Warehouse.open(path)
    balanced = query(house, "SELECT * FROM row_counts WHERE round > 0")
    assert len(balanced) == 5 and all(row["balanced"] for row in balanced)
    # One debate: the first run draws it, the others have the same answers again.
    texts = query(
        house,
        "SELECT sampling->>'$.constants.agent' AS agent, prompt_id, count(*) AS n, "
        "count(DISTINCT text) AS texts, count(reused_from) AS reused FROM samples "
        "WHERE round = 1 AND purpose = 'train' GROUP BY ALL",
    )
    assert {row["agent"] for row in texts} == set(AGENTS)
    assert all((row["n"], row["texts"], row["reused"]) == (4, 1, 3) for row in texts)
    learned = query(
        house,
        "SELECT e.run, s.sampling->>'$.constants.agent' AS agent, e.weight, "
        "e.prompt[-1].content LIKE 'Feedback on%' AS is_debate, g.label = v.answer AS agrees "
        "FROM examples AS e JOIN samples AS s ON s.id = e.sample_ids[-1] AND s.run = e.run "
        "JOIN scores AS g ON g.sample_id = s.id AND g.\"check\" = 'answer' "
        "JOIN votes AS v ON v.run = e.run AND v.round = e.round AND v.prompt_id = e.prompt_id "
        "AND v.rank = 1 WHERE e.round > 0",
    )
    assert {row["run"] for row in learned} == {f"society-{agent}" for agent in AGENTS}
    for row in learned:
        assert row["run"] == f"society-{row['agent']}" and row["agrees"] and row["weight"] > 0
        assert row["is_debate"] == row["agent"].startswith("critic")
