"""Queries about programs and their repairs, against a few lines of Python on random rounds."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import Warehouse
from tasks.ask import RowSource, Template
from tasks.demonstrations import Demonstration
from tests.tasks.demonstrations.test_demonstrate import (
    FEW,
    NUM_PROMPTS,
    drawn,
    maybe_right,
    told,
)
from tests.tasks.demonstrations.trees import RUN, Node, output_of, prompt_id, text_of, write_nodes

REPAIR, RETRY = Template.load("feedback_repair"), Template.load("retry")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return Warehouse.open(tmp_path_factory.mktemp("programs") / "w")


def repaired(rng: random.Random) -> list[Node]:
    def follow(first: Node) -> list[Node]:
        if first.is_right is False and rng.random() < 0.5:
            first.feedback = f"wrong_answer: f([{rng.randint(1, 2)}]) returned 0"
        if first.is_right is not False:
            return []
        one = first.then("repair", text_of(rng), is_right=maybe_right(rng))
        two = one.then("repair", text_of(rng), is_right=maybe_right(rng))
        return [one] if one.is_right or rng.random() < 0.5 else [one, two]

    return drawn(rng, follow)


def heard(node: Node) -> str:
    return node.feedback or f"wrong_answer: it printed {output_of(node)}"


@FEW
@given(st.integers(0, 10**9), st.sampled_from(["repair", "answer"]), st.integers(1, 2))
def test_repaired_programs(house: Warehouse, seed: int, learn: str, most: int) -> None:
    nodes = repaired(random.Random(seed))
    write_nodes(house, nodes, NUM_PROMPTS)
    as_is = Template.load("as_is")
    template = REPAIR if learn == "repair" else as_is
    settings = {"learn": learn, "max_per_prompt": most}
    rows = told(house, Demonstration("repaired_programs", template, settings))
    good = {
        (prompt_id(node.prompt), *((node.above.text, heard(node.above)) * (learn == "repair")),
         node.text)
        for node in nodes
        if node.role == "repair" and node.is_right and node.above is not None
    }  # fmt: skip
    by_id = {node.id: node for node in nodes}
    found = set()
    for row in rows:
        last = by_id[row["sample_ids"][-1]]
        assert last.above is not None and row["sample_ids"] == last.ids
        shown = (last.above.text, heard(last.above)) if learn == "repair" else ()
        values: dict[str, Any] = {"messages": [{"role": "user", "content": f"{last.prompt}?"}]}
        if shown:
            values |= dict(zip(("answer", "feedback"), shown, strict=True))
        assert row["prompt"] == template.render(values)
        found.add((row["prompt_id"], *shown, last.text))
    assert found <= good and len(found) == len(rows)
    for number in range(NUM_PROMPTS):
        of_prompt = [one for one in good if one[0] == prompt_id(number)]
        assert sum(one[0] == prompt_id(number) for one in found) == min(most, len(of_prompt))


@FEW
@given(st.integers(0, 10**9))
def test_failed_programs_are_asked_about_until_one_is_right(house: Warehouse, seed: int) -> None:
    nodes = repaired(random.Random(seed))
    write_nodes(house, nodes, NUM_PROMPTS)
    with RowSource(house, "failed_programs", run=RUN, round=1, allow_references=True) as source:
        rows = source.rows(0, 1000)
    followed = {node.above.id for node in nodes if node.above is not None}
    expected = {
        (prompt_id(node.prompt), tuple(node.ids), node.text, heard(node))
        for node in nodes
        if node.is_right is False and node.id not in followed
    }
    assert {
        (row.prompt_id, row.parent_ids, row.values["answer"], row.values["feedback"])
        for row in rows
    } == expected


@FEW
@given(st.integers(0, 10**9), st.integers(1, 3))
def test_trajectories(house: Warehouse, seed: int, most: int) -> None:
    rng = random.Random(seed)
    nodes = drawn(
        rng, lambda first: [first.then("refinement", text_of(rng), is_right=maybe_right(rng))]
    )
    write_nodes(house, nodes, NUM_PROMPTS)
    rows = told(
        house,
        Demonstration("trajectories", parameters={"most": most}, name="right"),
        Demonstration("trajectories", RETRY, {"learn": "corrected", "most": most}, "corrected"),
    )
    likely = {node.id: -1.0 - number % 5 for number, node in enumerate(nodes)}
    by_id = {node.id: node for node in nodes}
    for number in range(NUM_PROMPTS):
        own = [node for node in nodes if node.prompt == number]
        best: dict[bool, dict[str, float]] = {True: {}, False: {}}
        for node in own:
            if node.is_right is not None:
                known = best[node.is_right].get(node.text, -99.0)
                best[node.is_right][node.text] = max(known, likely[node.id])
        order = {side: sorted(texts.values(), reverse=True) for side, texts in best.items()}
        mine = [row for row in rows if row["prompt_id"] == prompt_id(number)]
        right = [likely[row["sample_ids"][0]] for row in mine if len(row["sample_ids"]) == 1]
        assert sorted(right, reverse=True) == order[True][:most]
        pairs = [
            tuple(likely[id] for id in row["sample_ids"])
            for row in mine
            if len(row["sample_ids"]) == 2
        ]
        expected = list(zip(order[False], order[True], strict=False))[:most]
        assert sorted(pairs) == sorted(expected)
        for row in mine:
            assert by_id[row["sample_ids"][-1]].is_right
