"""Every query against a few lines of Python, on random rounds; what is not used has a reason."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import Warehouse
from tasks.ask import Template
from tasks.demonstrations import QUERIES, Demonstration, demonstrate
from tasks.errors import (
    OptionError,
    TemplateError,
    UnknownNameError,
)
from tasks.selection import Selection
from tests.tasks.demonstrations.trees import (
    RUN,
    Node,
    answer,
    output_of,
    prompt_id,
    text_of,
    write_nodes,
)

NUM_PROMPTS = 6
RETRY, CRITIQUE, REFINE = (Template.load(name) for name in ("retry", "critique", "refine"))
SEEDS = given(st.integers(0, 10**9))
FEW = settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """One for all tests: every one of them replaces its round."""
    return Warehouse.open(tmp_path_factory.mktemp("demonstrations") / "w")


def told(house: Warehouse, *demonstrations: Demonstration, **options: Any) -> list[dict[str, Any]]:
    options = {"allow_references": True, **options}
    demonstrate(house, demonstrations, run=RUN, round=1, **options)
    with house.connect() as con:
        ((balanced,),) = con.execute("SELECT balanced FROM row_counts").fetchall()
    assert balanced
    rows: list[dict[str, Any]] = house.read("examples", run=RUN, round=1).to_pylist()
    return rows


def kept(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Prompt and completion of each row, sorted; which of equal ones was picked does not count."""
    return sorted((row["prompt_id"], row["completion"][0]["content"]) for row in rows)


def drawn(rng: random.Random, follow: Callable[[Node], Collection[Node]]) -> list[Node]:
    nodes = []
    for prompt in range(NUM_PROMPTS):
        for _ in range(rng.randint(1, 4)):
            first = answer(rng, prompt)
            nodes += [first, *follow(first)]
    return nodes


def maybe_right(rng: random.Random) -> bool:
    return rng.random() < 0.5


@FEW
@given(st.integers(0, 10**9), st.booleans(), st.integers(1, 3))
def test_corrections(house: Warehouse, seed: int, only_improving: bool, most: int) -> None:
    rng = random.Random(seed)
    nodes = drawn(
        rng,
        lambda first: [
            first.then("correction", text_of(rng), is_right=maybe_right(rng))
            for _ in range(rng.randint(0, 3))
        ],
    )
    write_nodes(house, nodes, NUM_PROMPTS)
    settings = {"only_improving": only_improving, "max_per_prompt": most}
    rows = told(house, Demonstration("corrections", RETRY, settings))
    good = {
        (prompt_id(node.prompt), node.above.text, node.text)
        for node in nodes
        if node.above is not None and node.is_right and node.above.is_right is not None
        if not (only_improving and node.above.is_right)
    }
    by_id = {node.id: node for node in nodes}
    found = set()
    for row in rows:
        first, second = (by_id[id] for id in row["sample_ids"])
        assert row["prompt"] == RETRY.render(
            {"messages": [{"role": "user", "content": f"{first.prompt}?"}], "answer": first.text}
        )
        assert second.above is first and row["completion"][0]["content"] == second.text
        found.add((row["prompt_id"], first.text, second.text))
    assert found <= good and len(found) == len(rows)
    for number in range(NUM_PROMPTS):
        of_prompt = [one for one in good if one[0] == prompt_id(number)]
        assert sum(one[0] == prompt_id(number) for one in found) == min(most, len(of_prompt))


@FEW
@given(st.integers(0, 10**9), st.sampled_from(["critique", "refinement"]), st.booleans())
def test_repairs(house: Warehouse, seed: int, learn: str, by_reference: bool) -> None:
    rng = random.Random(seed)

    def follow(first: Node) -> list[Node]:
        critique = first.then("critique", rng.choice(("it is 7", "line 2 is wrong", "hm")))
        says = {"recheck": rng.choice(("yes", "no"))}
        repaired = critique.then("refinement", text_of(rng), is_right=maybe_right(rng), says=says)
        return [critique] if rng.random() < 0.2 else [critique, repaired]

    nodes = drawn(rng, follow)
    write_nodes(house, nodes, NUM_PROMPTS)
    parameters = {"learn": learn, "accepted_by": "reference" if by_reference else "recheck"}
    template = CRITIQUE if learn == "critique" else REFINE
    rows = told(house, Demonstration("repairs", template, parameters))
    good = {
        (
            prompt_id(first.prompt),
            first.text,
            said.text,
            (said if learn == "critique" else end).text,
        )
        for end in nodes
        if end.role == "refinement"
        for first, said in [end.trace[:2]]
        if "7" not in said.text and (end.is_right if by_reference else end.says["recheck"] == "yes")
    }
    by_id = {node.id: node for node in nodes}
    found = [
        (row["prompt_id"], *(by_id[id].text for id in row["sample_ids"][:2]),
         row["completion"][0]["content"])
        for row in rows
    ]  # fmt: skip
    assert sorted(found) == sorted(good)
    for row in rows:
        shown = row["prompt"][-1]["content"]
        assert (by_id[row["sample_ids"][1]].text in shown) == (learn == "refinement")


@FEW
@SEEDS
def test_accepted_answers(house: Warehouse, seed: int) -> None:
    rng = random.Random(seed)

    def follow(first: Node) -> list[Node]:
        verdict = rng.choice(("yes", "no", ""))
        first.says = {"critique": verdict} if verdict else {}
        critique = first.then("critique", "text")
        second = critique.then(
            "refinement", text_of(rng), says={"recheck": rng.choice(("yes", "no"))}
        )
        return [critique, second] if verdict == "no" else [critique]

    nodes = drawn(rng, follow)
    write_nodes(house, nodes, NUM_PROMPTS)
    rows = told(house, Demonstration("accepted_answers"), allow_references=False)
    accepted = [n for n in nodes if "yes" in n.says.values() and n.role != "critique"]
    assert kept(rows) == sorted({(prompt_id(n.prompt), n.text) for n in accepted})


@FEW
@SEEDS
def test_rewarded_attempts(house: Warehouse, seed: int) -> None:
    rng, tau = random.Random(seed), 0.5

    def follow(first: Node) -> list[Node]:
        def attempts(state: Node) -> list[Node]:
            if state.is_right is not False:
                return []
            return [
                state.then("attempt", text_of(rng), is_right=maybe_right(rng)) for _ in range(2)
            ]

        second = attempts(first)
        return [*second, *(third for one in second for third in attempts(one))]

    nodes = drawn(rng, follow)
    write_nodes(house, nodes, NUM_PROMPTS)
    known = [node for node in nodes if node.is_right is not None]
    for turns, template in (("first", Template.load("as_is")), ("later", RETRY)):
        rows = told(
            house, Demonstration("rewarded_attempts", template, {"tau": tau, "turns": turns})
        )
        by_id = {node.id: node for node in nodes}
        states = {
            (n.above.id if n.above else prompt_id(n.prompt))
            for n in known
            if (len(n.trace) == 1) == (turns == "first")
        }
        assert len(rows) == len(states)
        for row in rows:
            best = by_id[row["sample_ids"][-1]]
            same_turn = [n.is_right for n in known if len(n.trace) == len(best.trace)]
            rivals = [n for n in known if n.above is best.above and n.prompt == best.prompt]
            assert bool(best.is_right) == any(n.is_right for n in rivals)
            reward = float(bool(best.is_right))
            mean = sum(map(bool, same_turn)) / len(same_turn)
            assert row["weight"] == pytest.approx(math.exp((reward - mean) / tau))
            assert row["sample_ids"] == best.ids


@FEW
@given(st.integers(0, 10**9), st.booleans())
def test_verified_traces(house: Warehouse, seed: int, learn_wrong: bool) -> None:
    rng = random.Random(seed)

    def follow(first: Node) -> list[Node]:
        first.is_right = maybe_right(rng)
        label = rng.choice(("yes", "no"))
        check = first.then("critique", f"check {text_of(rng)}", says={"verification": label})
        if label == "yes":
            return [check]
        second = check.then("refinement", text_of(rng), is_right=maybe_right(rng))
        last = second.then("critique", "last", says={"verification": rng.choice(("yes", "no"))})
        return [check, second, last]

    nodes = drawn(rng, follow)
    write_nodes(house, nodes, NUM_PROMPTS)
    ends = [
        n for n in nodes if n.says.get("verification") == "yes" and n.above and n.above.is_right
    ]
    in_kept = {id(node) for end in ends for node in end.trace}
    for learn, name in (
        ("program", "as_is"), ("critique", "verify_output"), ("refinement", "refine")
    ):  # fmt: skip
        role = "program" if learn == "program" else learn
        template = Template.load(name)
        parameters = {"learn": learn, "learn_wrong": learn_wrong}
        rows = told(house, Demonstration("verified_traces", template, parameters))
        wanted = set()
        for node in nodes:
            if node.role != role or id(node) not in in_kept:
                continue
            if not learn_wrong and node.is_right is False:
                continue
            program = next((n for n in reversed(node.trace[:-1]) if n.role != "critique"), None)
            row: dict[str, Any] = {
                "messages": [{"role": "user", "content": f"{node.prompt}?"}],
                "answer": program.text if program else None,
                "output": output_of(program) if program else None,
                "critique": node.above.text if node.above else None,
            }
            wanted.add((str(template.render(row)), node.text))
        found = [(str(row["prompt"]), row["completion"][0]["content"]) for row in rows]
        assert sorted(found) == sorted(wanted)


@FEW
@SEEDS
def test_marked_steps(house: Warehouse, seed: int) -> None:
    rng = random.Random(seed)
    nodes = drawn(
        rng,
        lambda first: [
            first.then("step", rng.choice(("b", "c", "w", "v\nmore", ""))) for _ in range(3)
        ],
    )
    write_nodes(house, nodes, NUM_PROMPTS)
    marked = Demonstration("marked_steps", parameters={"marker": "no", "line_start": "# "})
    by_id = {node.id: node for node in nodes}
    for row in told(house, marked, Demonstration("right_answers")):
        first = by_id[row["sample_ids"][0]]
        lines = first.text.split("\n")
        completion = row["completion"][0]["content"].split("\n")
        assert first.is_right
        if len(row["sample_ids"]) == 1:
            assert completion == lines
            continue
        step = by_id[row["sample_ids"][1]].text.split("\n")[0]
        place = completion.index("# no")
        assert completion[place - 1] == f"# {step}" and step
        assert completion[: place - 1] + completion[place + 1 :] == lines
        goes_on = {
            other.text.split("\n")[place - 1]
            for other in nodes
            if other.prompt == first.prompt and other.role == "program" and other.is_right
            and other.text.split("\n")[: place - 1] == lines[: place - 1]
            and len(other.text.split("\n")) >= place
        }  # fmt: skip
        assert step not in goes_on


def two_answers(house: Warehouse) -> list[Node]:
    nodes = [Node("program", "a", True), Node("program", "bb", False), Node("program", "ccc", True)]
    write_nodes(house, nodes, 1)
    return nodes


def reasons(house: Warehouse) -> dict[str, tuple[str, str]]:
    rows = house.read("rejections", run=RUN, round=1).to_pylist()
    return {row["row_id"]: (row["filter"], row["reason"]) for row in rows}


def test_what_is_left_out_has_its_reason_and_doing_it_again_changes_nothing(
    house: Warehouse,
) -> None:
    nodes = two_answers(house)
    first = told(house, Demonstration("right_answers"))
    assert kept(first) == [(prompt_id(0), "a"), (prompt_id(0), "ccc")]
    assert reasons(house) == {nodes[1].id: ("right_answers", "wrong_answer")}
    assert told(house, Demonstration("right_answers")) == first
    assert all(len(row["score_ids"]) == 2 for row in first)


def test_a_filter_drops_whatever_shows_the_sample(house: Warehouse) -> None:
    nodes = two_answers(house)
    short = Selection("length_band", {"min_tokens": 2})
    assert told(house, Demonstration("right_answers"), filters=[short]) == []
    assert {filter for filter, _ in reasons(house).values()} == {"right_answers"}
    assert reasons(house)[nodes[0].id][1].startswith("length_band: ")


def test_answers_that_no_query_speaks_of_are_accounted_for(house: Warehouse) -> None:
    nodes = two_answers(house)
    assert told(house, Demonstration("corrections", RETRY)) == []
    assert reasons(house) == {node.id: ("corrections", "in_no_demonstration") for node in nodes}


def test_references_are_hidden_where_the_recipe_does_not_declare_labels(house: Warehouse) -> None:
    two_answers(house)
    assert told(house, Demonstration("right_answers"), allow_references=False) == []
    assert {reason for _, reason in reasons(house).values()} == {"no_reference"}


@pytest.mark.parametrize(
    ("demonstrations", "error", "message"),
    [
        ([], OptionError, "expected one or more"),
        ([Demonstration("corrections", RETRY)] * 2, OptionError, "each name once"),
        ([Demonstration("nothing")], UnknownNameError, "there are accepted_answers"),
        ([Demonstration("right_answers", CRITIQUE)], TemplateError, "uses 'answer'"),
        ([Demonstration("corrections", RETRY, {"rol": "x"})], UnknownNameError, "no parameter"),
        ([Demonstration("corrections", RETRY, {"max_per_prompt": 0})], OptionError, "max_per"),
    ],
)
def test_what_can_not_be_demonstrated_is_refused(
    house: Warehouse,
    demonstrations: list[Demonstration],
    error: type[Exception],
    message: str,
) -> None:
    two_answers(house)
    with pytest.raises(error, match=message):
        told(house, *demonstrations)


def test_every_query_says_what_it_gives() -> None:
    for script in QUERIES.values():
        assert {"prompt_id", "sample_ids", "completion", "weight", "reason"} <= set(
            script.names("Columns")
        )
        assert script.properties["References"].split()[0] in ("yes", "no")
