"""Pairs with strengths of their own, against a few lines of Python."""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import TABLES, content_id
from storage.rows import to_arrow
from tasks.selection import Selection
from tasks.selection.plans import plan_selections
from tasks.selection.rules import find_candidates, run_rule
from tests.tasks.selection.rounds import RUN, Drawn, Row, load_round
from tests.tasks.selection.test_oracle import pick

# P(row beats column); None: no opinion. The other half follows.
STRENGTHS = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, None])
ANSWERS = st.lists(
    st.tuples(st.sampled_from(["1", None]), st.sampled_from("abcdef")).map(lambda x: Drawn(*x)),
    min_size=1,
    max_size=5,
)


@st.composite
def rounds(draw: st.DrawFn) -> tuple[list[list[Drawn]], list[dict[tuple[int, int], float]]]:
    """Prompts with their samples, and for each what a pair judge says of (i, j)."""
    prompts = draw(st.lists(ANSWERS, min_size=1, max_size=3))
    said = []
    for own in prompts:
        table: dict[tuple[int, int], float] = {}
        for i in range(len(own)):
            for j in range(i):
                strength = draw(STRENGTHS)
                if strength is not None:
                    table |= {(i, j): strength, (j, i): 1 - strength}
        said.append(table)
    return prompts, said


def score(sample: str, check: str, value: float, **detail: str) -> Row:
    key = content_id("score", sample, check, detail)
    return {"id": key, "sample_id": sample, "check": check, "version": "1", "value": value,
            "label": None, "detail": detail, "status": "ok"}  # fmt: skip


def decide(
    prompts: list[list[Drawn]], scores: list[Row], **parameters: object
) -> tuple[dict[str, str | None], list[Row]]:
    with duckdb.connect() as connection:
        place = load_round(connection, prompts)
        more = to_arrow("scores", scores, run=RUN, round=1) if scores else None
        connection.register("more", more or TABLES["scores"].empty_table())
        connection.execute("INSERT INTO scores BY NAME FROM more")
        find_candidates(connection, place, allow_references=False)
        (plan,) = plan_selections([Selection("soft_pairs", parameters)], False)
        run_rule(connection, plan, place)
        decisions = connection.execute(
            "SELECT sample_id, d.reason FROM decisions AS d JOIN candidates USING (sample)"
        ).fetchall()
        return dict(decisions), connection.sql("FROM selected").to_arrow_table().to_pylist()


def ranked(p: int, own: list[Drawn], table: dict[tuple[int, int], float]) -> list[int]:
    """Places of the samples that were compared, best first; one of equal texts."""
    first: dict[str, int] = {}
    for i in sorted(range(len(own)), key=lambda i: pick(p, i)):
        first.setdefault(own[i].text, i)
    kept = set(first.values())
    won: dict[int, list[float]] = defaultdict(list)
    for (i, j), strength in table.items():
        if {i, j} <= kept:
            won[i].append(strength)
    return sorted(won, key=lambda i: (-fmean(won[i]), pick(p, i)))


@settings(max_examples=12, deadline=None)
@given(
    rounds(),
    st.sampled_from(["all", "best", "best_worst", "adjacent"]),
    st.sampled_from([0.5, 0.75, 1.0]),
    st.integers(1, 4),
    st.booleans(),
)
def test_against_python(
    drawn: tuple[list[list[Drawn]], list[dict[tuple[int, int], float]]],
    pairing: str,
    least: float,
    most: int,
    has_to_agree: bool,
) -> None:
    prompts, said = drawn
    scores: list[Row] = []
    expected: dict[tuple[str, str], float] = {}
    for p, (own, table) in enumerate(zip(prompts, said, strict=True)):
        ids = [content_id("sample", p, i) for i in range(len(own))]
        scores += [score(ids[i], "judge", v, other=ids[j]) for (i, j), v in table.items()]
        rewards = [float((7 * i + p) % 3) for i in range(len(own))]
        scores += [score(ids[i], "reward", reward) for i, reward in enumerate(rewards)]
        order = ranked(p, own, table)
        found = []
        for a, i in enumerate(order):
            for b, j in enumerate(order):
                meets = {
                    "all": a < b,
                    "best": a == 0 < b,
                    "best_worst": a == 0 < b == len(order) - 1,
                    "adjacent": b == a + 1,
                }[pairing]
                strength = table.get((i, j), 0.5)
                agrees = not has_to_agree or rewards[i] > rewards[j]
                if meets and agrees and strength > 0.5 and strength >= least:
                    found.append((-strength, a, b, (ids[i], ids[j])))
        expected |= {pair: -rank for rank, _, _, pair in sorted(found)[:most]}
    reasons, rows = decide(
        prompts,
        scores,
        pairing=pairing,
        min_strength=least,
        max_pairs=most,
        agree_check="reward" if has_to_agree else "",
    )
    pairs = {(row["chosen_sample_id"], row["rejected_sample_id"]): row for row in rows}
    assert {pair: row["soft_label"] for pair, row in pairs.items()} == expected
    assert all(row["margin"] == 2 * row["soft_label"] - 1 for row in rows)
    assert {i for i, reason in reasons.items() if reason is None} == set().union(*pairs, set())
    assert len(reasons) == sum(map(len, prompts))


def test_a_filter_takes_the_pairs_of_a_sample_away() -> None:
    prompts = [[Drawn("1", "a"), Drawn("1", "b"), Drawn("1", "c", verdict="sandbox_fault")]]
    ids = [content_id("sample", 0, i) for i in range(3)]
    scores = [score(ids[i], "judge", 1.0, other=ids[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    scores += [score(ids[j], "judge", 0.0, other=ids[i]) for i, j in ((0, 1), (0, 2), (1, 2))]
    reasons, rows = decide(prompts, scores)
    assert reasons == {ids[0]: None, ids[1]: None, ids[2]: "check_error"}
    assert [(row["chosen_sample_id"], row["soft_label"]) for row in rows] == [(ids[0], 1.0)]
    (row,) = rows
    assert content_id("score", ids[0], "judge", {"other": ids[1]}) in row["score_ids"]
