"""What a debate shows its critics and teaches its agents, against a few lines of Python."""

import json
import random
from collections import Counter
from typing import Any

import pytest

from storage import Warehouse, content_id
from tasks.ask import Template
from tasks.checks.votes import vote
from tasks.demonstrations import Demonstration, demonstrate
from tests.tasks.ask.scripted import all_rows, sums, write_problems

NUM_PROBLEMS, NUM_AGENTS = 30, 3
PLACE: dict[str, Any] = {"run": "r", "round": 1, "part": "all"}
Said = dict[tuple[int, str], str | None]  # by problem and agent; None: a text without an answer


def text_of(p: int, agent: str, answer: str | None) -> str:
    return f"{agent} on {p}: {answer}"


def sample_of(p: int, agent: str) -> str:
    return content_id("sample", p, agent)


def write(house: Warehouse, said: Said) -> None:
    """First answers and one debate, each critic with a look at the others' first answers."""
    write_problems(house, sums(NUM_PROBLEMS))
    samples, scores = [], []
    for (p, agent), answer in said.items():
        kind, _, number = agent.partition("-")
        critic = kind == "critic"
        constants: dict[str, object] = {"agent": agent} | ({"debate": 1} if critic else {})
        others = [f"generation-{i}" for i in range(NUM_AGENTS) if i != int(number)]
        samples.append(
            {"id": sample_of(p, agent), "prompt_id": f"p{p}", "turn": 2 * critic, "index": 0,
             "parent_ids": [sample_of(p, one) for one in others] if critic else [],
             "role": "answer" if critic else "draft", "purpose": "train", "policy_id": agent,
             "weight_hash": "h", "engine": "e", "sampling": json.dumps({"constants": constants}),
             "seed": 0, "text": text_of(p, agent, answer), "num_tokens": 1,
             "finish_reason": "stop", "status": "ok"}
        )  # fmt: skip
        scores.append(
            {"id": content_id("score", p, agent), "sample_id": sample_of(p, agent),
             "check": "answer", "version": "1", "detail": "{}", "status": "ok", "label": answer,
             "value": None}
        )  # fmt: skip
    house.write("samples", samples, **PLACE)
    house.write("scores", scores, **PLACE)
    vote(house, run="r", round=1)


def results(said: Said) -> dict[int, str]:
    """The answer that most critics gave, where one was given more often than any other."""
    found = {}
    for p in range(1, NUM_PROBLEMS + 1):
        ends = Counter(said[p, f"critic-{i}"] for i in range(NUM_AGENTS))
        del ends[None]
        best = ends.most_common(2)
        if best and (len(best) == 1 or best[0][1] > best[1][1]):
            found[p] = str(best[0][0])
    return found


@pytest.fixture(scope="module")
def said() -> Said:
    draw = random.Random(3)
    agents = [f"{kind}-{i}" for kind in ("generation", "critic") for i in range(NUM_AGENTS)]
    places = [(p, agent) for p in range(1, NUM_PROBLEMS + 1) for agent in agents]
    return {place: draw.choice(["1", "1", "2", None]) for place in places}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, said: Said) -> Warehouse:
    made = Warehouse.open(tmp_path_factory.mktemp("debates") / "w")
    write(made, said)
    return made


def learned(house: Warehouse, one: Demonstration) -> dict[str, dict[str, Any]]:
    demonstrate(house, [one], run="r", round=1)
    with house.connect() as con:
        assert con.execute("SELECT balanced FROM row_counts").fetchall() == [(True,)]
    parts = [part for part in house.parts("examples", run="r", round=1) if one.name in part.name]
    rows = house.read("examples", run="r", round=1, part=parts[0].name).to_pylist()
    return {row["completion"][0]["content"]: row for row in rows}


def test_a_critic_is_shown_the_others_answers(house: Warehouse, said: Said) -> None:
    rows = all_rows(house, "other_answers", agent="critic-1", debate=0)
    assert len(rows) == NUM_PROBLEMS
    for row in rows:
        p = int(row.prompt_id[1:])
        others = ["generation-0", "generation-2"]
        assert row.parent_ids == tuple(sample_of(p, one) for one in others)
        shown = "\n\n".join(text_of(p, one, said[p, one]) for one in others)
        assert (row.values["summary"], row.values["problem"]) == (shown, f"{p}+{p}?")
    later = all_rows(house, "other_answers", agent="critic-1", debate=1)
    assert later[0].parent_ids == tuple(
        sample_of(int(later[0].prompt_id[1:]), f"critic-{i}") for i in (0, 2)
    )
    one, two = (all_rows(house, "agent_prompts", agent=f"generation-{i}") for i in (0, 1))
    assert {row.origin for row in one}.isdisjoint(row.origin for row in two)  # and so its seeds


def test_an_agent_learns_its_first_answers_that_the_debate_confirmed(
    house: Warehouse, said: Said
) -> None:
    ends = results(said)
    found = learned(house, Demonstration("agreeing_drafts", parameters={"agent": "generation-1"}))
    right = [p for p, end in ends.items() if said[p, "generation-1"] == end]
    assert 0 < len(right) < NUM_PROBLEMS
    assert found.keys() == {text_of(p, "generation-1", ends[p]) for p in right}
    assert {row["weight"] for row in found.values()} == {1.0}


@pytest.mark.parametrize("mix", [0.5, 0.8])
def test_a_critic_learns_what_it_corrected_and_what_it_confirmed(
    house: Warehouse, said: Said, mix: float
) -> None:
    ends = results(said)
    given = {"agent": "critic-2", "mix": mix}
    found = learned(house, Demonstration("debated_answers", Template.load("debate"), given))
    right = [p for p, end in ends.items() if said[p, "critic-2"] == end]
    assert found.keys() == {text_of(p, "critic-2", ends[p]) for p in right}
    corrected = [p for p in right if said[p, "generation-2"] != ends[p]]
    assert 0 < len(corrected) < len(right)
    weights = {p: found[text_of(p, "critic-2", ends[p])]["weight"] for p in right}
    assert sum(weights.values()) == pytest.approx(len(right))
    assert sum(weights[p] for p in corrected) == pytest.approx(mix * len(right))
    for p in right:
        row = found[text_of(p, "critic-2", ends[p])]
        for other in ("generation-0", "generation-1"):
            assert text_of(p, other, said[p, other]) in row["prompt"][-1]["content"]
        assert row["sample_ids"][-1] == sample_of(p, "critic-2") and len(row["sample_ids"]) == 3
