"""Recipes that make prompts, for two rounds on the seed model that was taught to pose problems."""

import pytest

from storage import Warehouse
from tests.flows.recipes.conftest import HOT, RunTwoRounds, query

pytestmark = [
    pytest.mark.recipes,
    pytest.mark.slow,
    pytest.mark.prefect,
    pytest.mark.sandbox,
]

SKILLS = "seed:skills"
QUESTIONS = {"n": 1, "temperature": 1.0, "max_new_tokens": 120}
# The problems of this environment are of a few phrases: by ROUGE-L many are alike.
RULES = {"max_similarity": 0.95}


def check_made(house: Warehouse, roles: tuple[str, ...], seeds: bool = True) -> None:
    """Every question is a prompt or a rejection, and training rows lead back to seeds."""
    for number in (1, 2):
        (counts,) = query(
            house,
            """
            SELECT
                (SELECT count(*) FROM samples WHERE round = $n AND list_contains($roles, role))
                    AS asked,
                (SELECT count(*) FROM prompts WHERE round = $n AND source <> 'seed') AS made,
                (SELECT count(*) FROM rejections
                 WHERE round = $n AND starts_with("filter", 'make_prompts')) AS dropped
            """,
            n=number,
            roles=list(roles),
        )
        assert counts["asked"] == counts["made"] + counts["dropped"] and counts["made"], counts
        rows = query(
            house,
            "SELECT t.id FROM (FROM examples SELECT id, prompt_id, round "
            "UNION ALL FROM pairs SELECT id, prompt_id, round) AS t "
            "JOIN prompts AS p ON p.id = t.prompt_id AND p.round = t.round "
            "WHERE t.round = $n AND p.source <> 'seed' ORDER BY t.id LIMIT 3",
            n=number,
        )
        assert rows, "no training row is about a made prompt"
        for row in rows:
            steps = query(house, "SELECT * FROM lineage($id)", id=row["id"])
            asked = {one["name"] for one in steps if one["relation"] == "parent sample"}
            assert asked & set(roles), steps
            assert any(
                one["relation"] == "parent prompt" and '"source":"seed"' in one["detail"]
                for one in steps
            )


def test_self_guide(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds(
        "self_guide",
        base_model=SKILLS,
        num_generated=24,
        questions=QUESTIONS,
        rules=RULES,
        shows_outputs=False,
        sampling={"n": 1},
        tables={"scores", "executions"},
    )
    check_made(house, ("question",))


def test_self_specialization(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds(
        "self_specialization",
        base_model=SKILLS,
        num_generated=24,
        num_seed_shots=2,
        num_made_shots=1,
        questions=QUESTIONS,
        rules=RULES,
        num_answer_shots=0,
        sampling={"n": 1},
        tables={"scores", "executions"},
    )
    check_made(house, ("question",))
    (shown,) = query(
        house,
        "SELECT count(*) AS n FROM samples AS s JOIN prompts AS p "
        "ON list_contains(s.parent_ids, p.id) AND p.source <> 'seed' "
        "WHERE s.round = 2 AND s.role = 'question'",
    )
    assert shown["n"], "round 2 shows nothing that round 1 made"


def test_self_lengthen(run_two_rounds: RunTwoRounds) -> None:
    # The seed model writes programs and knows no prose: any extension that ends will do.
    house = run_two_rounds(
        "self_lengthen",
        base_model=SKILLS,
        prompts={"num": 12},
        num_generated=24,
        questions=QUESTIONS,
        rules=RULES,
        min_ratio=0.1,
        sampling={"n": 1},
        tables={"scores", "rejections"},
    )
    check_made(house, ("question",))


def test_ladder_offline(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds(
        "ladder_offline",
        base_model=SKILLS,
        prompts={"num": 6, "difficulties": [2]},
        depth=2,
        num_easier=2,
        num_equivalent=1,
        temperatures=[0.8, 1.0],
        max_new_tokens=120,
        min_share=0.25,
        tables={"scores", "votes", "executions"},
    )
    check_made(house, ("easier", "equivalent"))
    depths = query(
        house, "SELECT DISTINCT metadata ->> '$.depth' AS d FROM prompts WHERE source <> 'seed'"
    )
    assert {one["d"] for one in depths} == {"1", "2"}


def test_self_align_unknown(run_two_rounds: RunTwoRounds) -> None:
    # What it says of unknown questions is nothing, and its score of that is any number.
    house = run_two_rounds(
        "self_align_unknown",
        base_model=SKILLS,
        prompts={"num": 8},
        kinds=["incomplete: a number is missing", "incorrect: it takes for granted what is false"],
        questions=QUESTIONS,
        rules={"max_similarity": 1, "min_words": 1, "source": "evolve"},
        sampling={"n": 1},
        judgements={"n": 2, "temperature": 1.0, "max_new_tokens": 120},
        min_disparity=0,
        tables={"scores", "rejections"},
    )
    check_made(house, ("unknown_question",))


def test_scpo_with_generated_problems(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds(
        "scpo",
        base_model=SKILLS,
        num_generated=24,
        num_shots=3,
        questions=QUESTIONS,
        rules=RULES,
        sampling=HOT,
        min_share=0.25,
        min_generated_share=0.25,
        tables={"scores", "votes", "executions", "rejections"},
    )
    check_made(house, ("question",))
