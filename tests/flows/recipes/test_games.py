"""Self-play and games: what the recipes compose, and two rounds of each on the seed model."""

from typing import Any, cast

import pytest

from flows.recipes import find_recipe
from flows.stages import Stages
from tasks.selection import Selection, check_selections
from tests.flows.recipes.conftest import RunTwoRounds, query

# (setting, published value): the sections are named beside the defaults.
PUBLISHED: dict[str, dict[str, object]] = {
    "spin": {
        "sampling.n": 1,
        "sampling.temperature": 1.0,
        "mix.rounds": "new_and_previous",
        "reference": "previous",
        "training.optimizer": "rmsprop",
        "training.dpo_loss": "sigmoid",
        "training.batch_size": 64,
    },
    "sppo": {
        "sampling.n": 5,
        "sampling.temperature": 0.7,
        "sampling.top_p": 0.9,
        "win_rates.with_itself": True,
        "reference": "previous",
        "training.dpo_loss": "sppo",
        "training.beta": 1e-3,
        "training.learning_rate": 5e-7,
        "training.optimizer": "rmsprop",
        "training.epochs": 1,
        "training.batch_size": 64,
    },
    "dno": {"reference": "previous", "training.dpo_loss": "sigmoid", "training.beta": 0.1},
    "spo": {"win_rates.with_itself": False, "reference": "previous"},
    "self_contrast": {
        "sampling.n": 32,
        "sampling.temperature": 1.0,
        "share": 0.75,
        "max_pairs": 16,
        "training.beta": 0.1,
        "training.learning_rate": 5e-7,
        "training.lr_schedule": "cosine",
        "training.batch_size": 2048,
    },
    "puzzleben_self_reinforcement": {"training.method": "dpo", "solved_training.method": "sft"},
}
SOLUTIONS = ("spin", "self_contrast", "puzzleben_self_reinforcement")


class Recorder:
    """Stands where the stages are: keeps the names of what a recipe asks for, and selections."""

    def __init__(self, num_promoted: int) -> None:
        self.calls: list[str] = []
        self.selections: list[Selection] = []
        self.num_promoted, self.number = num_promoted, num_promoted + 1
        self.incumbent, self.base = type("M", (), {"id": "new"}), type("M", (), {"id": "old"})

    def select(self, *selections: Selection) -> str:
        self.selections += selections
        return "pairs"

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: self.calls.append(name)


def composed(name: str, num_promoted: int = 1, **settings: Any) -> Recorder:
    recipe, recorder = find_recipe(name), Recorder(num_promoted)
    recipe.compose(cast(Stages, recorder), recipe.config.model_validate(settings))
    return recorder


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [(name, path, value) for name, all_ in PUBLISHED.items() for path, value in all_.items()],
)
def test_defaults_are_the_papers(name: str, path: str, value: object) -> None:
    found: object = find_recipe(name).config()
    for part in path.split("."):
        found = getattr(found, part)
    assert found == value


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_they_select_is_known_and_reads_no_references(name: str) -> None:
    recorder = composed(name)
    assert check_selections(recorder.selections, allow_references=False) == ["pairs"]
    assert ("labelled" in recorder.calls) == (name in SOLUTIONS[:2])
    assert ("win_rates" in recorder.calls) == (name in ("sppo", "dno", "spo"))
    assert find_recipe(name).labels == ("solutions" if name in SOLUTIONS else "none")


def test_settings_reach_the_selection() -> None:
    (one,) = composed("dno", min_margin=0.1, soft_labels=True, max_pairs=2).selections
    assert one.parameters == {"min_margin": 0.1, "soft_labels": True, "max_pairs": 2}
    (one,) = composed("spo", sampling={"n": 6}).selections
    assert one.parameters == {"use_all": True, "max_pairs": 3}
    (one,) = composed("self_contrast", share=0.5, max_pairs=4).selections
    assert one.parameters == {"share": 0.5, "max_pairs": 4}


def test_self_reinforcement_learns_solutions_until_a_model_is_better_than_the_base() -> None:
    first = composed("puzzleben_self_reinforcement", num_promoted=0)
    assert first.calls == ["labelled", "train_by"]
    assert first.selections == [Selection("policy_examples")]
    later = composed("puzzleben_self_reinforcement", num_promoted=1)
    assert later.calls == ["sample", "sample"]
    (one,) = later.selections
    assert (one.parameters["chosen_policy"], one.parameters["rejected_policy"]) == ("new", "old")


def test_spins_schedule_is_the_papers() -> None:
    config = find_recipe("spin").config()
    rounds = [config.for_round(number).training for number in (1, 2, 3, 4, 5)]
    assert [spec.learning_rate for spec in rounds] == [5e-7, 5e-7, 1e-7, 1e-7, 1e-7]
    assert [spec.beta for spec in rounds] == [0.1, 0.1, 0.1, 5.0, 5.0]


slow = [pytest.mark.recipes, pytest.mark.slow, pytest.mark.prefect, pytest.mark.sandbox]
CHECKED = {"executions", "scores", "rejections"}


def marked(function: Any) -> Any:
    for mark in slow:
        function = mark(function)
    return function


@marked
@pytest.mark.parametrize("name", ["sppo", "dno", "spo"])
def test_two_rounds_of_win_rates(run_two_rounds: RunTwoRounds, name: str) -> None:
    settings: dict[str, Any] = {"min_margin": 0.05} if name == "dno" else {}
    # RMSprop's first steps are ten times its learning rate.
    training = {"learning_rate": 1e-6}
    house = run_two_rounds(name, tables=CHECKED | {"votes"}, training=training, **settings)
    rows = query(
        house,
        "SELECT p.margin, p.chosen_win_rate AS won, p.rejected_win_rate AS lost, "
        "c.value AS chosen, r.value AS rejected FROM pairs AS p "
        "JOIN scores AS c ON c.sample_id = p.chosen_sample_id AND c.\"check\" = 'win_rate' "
        "JOIN scores AS r ON r.sample_id = p.rejected_sample_id AND r.\"check\" = 'win_rate'",
    )
    assert rows and len(rows) == query(house, "SELECT count(*) AS n FROM pairs")[0]["n"]
    for row in rows:
        assert (row["won"], row["lost"]) == (row["chosen"], row["rejected"])
        assert row["margin"] == pytest.approx(row["won"] - row["lost"])


@marked
@pytest.mark.parametrize("name", ["spin", "self_contrast"])
def test_two_rounds_against_solutions(run_two_rounds: RunTwoRounds, name: str) -> None:
    sampling = {"n": 1} if name == "spin" else {"n": 6}
    training = {"gradient_accumulation": 1, "learning_rate": 1e-6}
    house = run_two_rounds(name, tables=CHECKED, sampling=sampling, training=training)
    pairs = query(
        house,
        "SELECT p.round, c.policy_id AS chosen, r.policy_id AS rejected, "
        "c.text <> r.text AS differ FROM pairs AS p "
        "JOIN samples AS c ON c.id = p.chosen_sample_id "
        "JOIN samples AS r ON r.id = p.rejected_sample_id",
    )
    assert pairs and all(pair["chosen"] == "labelled" and pair["differ"] for pair in pairs)
    assert all(pair["rejected"].startswith("two-") for pair in pairs)
    (wrong,) = query(
        house,
        "SELECT count(*) AS n FROM samples AS s JOIN scores AS c ON c.sample_id = s.id "
        "WHERE s.policy_id = 'labelled' AND c.\"check\" = 'reference' AND c.value <> 1",
    )
    assert wrong["n"] == 0  # every solution runs and is right
    rounds = query(
        house,
        "SELECT json_extract(metrics, '$.rows_by_round')::VARCHAR AS rows FROM models "
        "WHERE round = 2",
    )
    assert ('"1"' in rounds[0]["rows"]) == (name == "spin")  # the previous round's rows as well


@marked
def test_two_rounds_of_self_reinforcement(run_two_rounds: RunTwoRounds) -> None:
    house = run_two_rounds(
        "puzzleben_self_reinforcement",
        tables=CHECKED - {"rejections"},
        solved_prompts={"num": 16, "difficulties": [1, 2]},
        solved_training={
            "method": "sft",
            "learning_rate": 1e-3,
            "steps": 10,
            "batch_size": 8,
            "max_length": 192,
        },
    )
    first, second = query(
        house,
        "SELECT round, gate_verdict, json_extract_string(config, '$.training.method') AS method "
        "FROM rounds WHERE round > 0 ORDER BY round",
    )
    assert first["method"] == "sft"
    if first["gate_verdict"] == "promoted":
        assert second["method"] == "dpo"
        pairs = query(
            house,
            "SELECT c.policy_id AS chosen, r.policy_id AS rejected FROM pairs AS p "
            "JOIN samples AS c ON c.id = p.chosen_sample_id "
            "JOIN samples AS r ON r.id = p.rejected_sample_id",
        )
        assert pairs
        assert {(p["chosen"], p["rejected"]) for p in pairs} == {("two-r1", "two-base")}
    else:
        assert second["method"] == "sft"


@marked
def test_two_rounds_of_kto_in_the_place_of_a_recipes_own_training(
    run_two_rounds: RunTwoRounds,
) -> None:
    house = run_two_rounds(
        "scpo",
        tables={"labels", "votes"},
        selection={"rule": {"name": "vote_labels", "parameters": {"min_share": 0.25}}},
        training={"method": "kto", "nll_weight": 0.0},
    )
    (found,) = query(house, "SELECT count(DISTINCT label) AS kinds FROM labels")
    assert found["kinds"] == 2
