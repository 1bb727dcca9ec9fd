"""Ways and the selection of one answer each, against RFT's rule written down a second time."""

import random
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from storage import Warehouse, content_id, table_hash
from tasks.dedup import equations_hold, write_ways
from tasks.selection import Selection, select
from tests.tasks.selection.rounds import RUN, Drawn, write_round

STEPS = ["<<3+4=7>>", "<<7*2=14>>", "<<14-4=10>>", "<<3*4=13>>", "and so", "then", ""]


def way_of(text: str) -> str:
    return "|".join(re.findall("<<(.*?)>>", text))


def is_true(equation: str) -> bool:
    left, right = equation.split("=")
    return bool(abs(eval(left) - float(right)) < 1e-3)


def distance(one: str, two: str) -> int:
    row = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(two, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def write(house: Warehouse, problems: Sequence[Sequence[tuple[str, bool]]]) -> None:
    """Problems with these samples as texts (the role decides what a skeleton is)."""
    write_round(
        house,
        [[Drawn("1" if right else "2", text, right) for text, right in own] for own in problems],
    )
    rows = house.read("samples", run=RUN, round=1).to_pylist()
    house.write("samples", [row | {"role": "answer"} for row in rows], run=RUN, round=1, part="all")


def test_one_right_answer_of_each_way_is_kept(tmp_path: Path) -> None:
    draw = random.Random(7)
    problems = [
        [
            (" ".join(draw.choices(STEPS, k=draw.randrange(5))), draw.random() < 0.7)
            for _ in range(draw.randrange(12))
        ]
        for _ in range(80)
    ]
    house = Warehouse.open(tmp_path / "w")
    write(house, problems)
    assert write_ways(house, run=RUN, round=1) == sum(map(len, problems))
    select(house, [Selection("distinct_ways")], run=RUN, round=1, allow_references=True)
    kept = house.read("examples", run=RUN, round=1).to_pylist()
    compared = 0
    for p, samples in enumerate(problems):
        own = [row for row in kept if row["prompt_id"] == content_id("prompt", p)]
        found = {way_of(row["completion"][0]["content"]): row for row in own}
        ways: dict[str, set[str]] = {}
        for text, right in samples:
            if right and all(map(is_true, way_of(text).split("|") if way_of(text) else [])):
                ways.setdefault(way_of(text), set()).add(text.strip())
        assert found.keys() == ways.keys() and len(found) == len(own)
        for way, texts in ways.items():
            text = found[way]["completion"][0]["content"].strip()
            assert text in texts
            rest = [one for other, all_ in ways.items() if other != way for one in all_]
            if len(rest) == len(ways) - 1:  # then there is one text of each other way
                far = {one: sum(distance(one, other) for other in rest) for one in texts}
                assert far[text] == max(far.values())
                compared += len(texts) > 1
    assert compared > 10


def test_an_answer_that_was_not_looked_at_is_not_used(tmp_path: Path) -> None:
    house = Warehouse.open(tmp_path / "w")
    write(house, [[("<<1+1=2>>", True), ("<<1+1=3>>", True), ("one", True), ("two!", True)]])
    chosen = [Selection("distinct_ways")]
    report = select(house, chosen, run=RUN, round=1, allow_references=True)
    assert report.selections[0].reasons == {"no_score": 4}
    hashes = set()
    for _ in range(2):
        write_ways(house, run=RUN, round=1)
        report = select(house, chosen, run=RUN, round=1, allow_references=True)
        hashes.add((table_hash(house, "scores", run=RUN), table_hash(house, "examples", run=RUN)))
    assert report.selections[0].reasons == {"false_equation": 1, "same_way": 1}
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("no sums at all", True),
        ("<<0.5*4=2>><<10/3=3.333>>", True),
        ("<<1,000+1=1001>> and <<$5*2=$10>>", True),
        ("<<2*3=6=6>>", True),
        ("<<10/3=3.3>>", False),
        ("<<5/0=0>>", False),
        ("<<9**9**9=1>>", False),
        ("<<(1+2=3>>", False),
        ("<<=3>>", False),
        ("<<__import__('os')=1>>", False),
        ("<<" + "9" * 5000 + "=1>>", False),
        ("<<" + "(" * 50_000 + "1=1>>", False),
    ],
)
def test_an_equation_holds_or_does_not(text: str, holds: bool) -> None:
    assert equations_hold(text) is holds
