"""Values per round: which round has which, who wins over whom, and what is refused by name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.errors import SettingError
from flows.plans import make_config
from flows.recipes import RECIPES, find_recipe
from flows.recipes.schedule import flatten, values_of_round, with_values


@given(st.lists(st.floats(0.1, 2.0), min_size=1, max_size=5), st.integers(1, 9))
def test_a_round_has_its_value_and_later_ones_the_last(values: list[float], number: int) -> None:
    schedule: dict[str, Any] = {"sampling.temperature": values}
    config = find_recipe("lmsi").config.model_validate({"schedule": schedule})
    found = config.for_round(number)
    assert found.sampling.temperature == (values[number - 1 : number] or values[-1:])[0]
    rest = found.model_dump(exclude={"sampling": {"temperature"}, "schedule": True})
    assert rest == config.model_dump(exclude={"sampling": {"temperature"}, "schedule": True})
    assert config.for_round(0) is config


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_can_be_scheduled_from_the_command_line(name: str) -> None:
    config = make_config(name, None, ["schedule.training.learning_rate=[1e-3, 1e-4]"])
    rates = [config.for_round(number).training.learning_rate for number in (1, 2, 3)]
    assert rates == [1e-3, 1e-4, 1e-4]
    assert config.for_round(2).training.method == config.training.method


def test_published_schedules() -> None:
    temperatures = [
        find_recipe("iterative_rpo").config().for_round(number).sampling.temperature
        for number in (1, 2, 3, 4)
    ]
    assert temperatures == [0.8, 0.8, 1.3, 1.3]
    shares = [
        find_recipe("scpo").config().for_round(number).model_dump()["min_share"]
        for number in (1, 2)
    ]
    assert shares == [0.5, 0.7]


def test_a_setting_that_is_set_holds_for_every_round() -> None:
    config = make_config("spin", None, ["training.beta=0.2"])
    assert [config.for_round(number).training.beta for number in (1, 4)] == [0.2, 0.2]
    assert config.for_round(4).training.learning_rate == 1e-7  # that schedule stays
    again = type(config).model_validate(config.model_dump(mode="json"))
    assert again == config


def test_a_schedule_of_ones_own_takes_the_place_of_the_recipes() -> None:
    config = make_config("spin", None, ["schedule.training.beta=[1, 2]"])
    assert [config.for_round(number).training.beta for number in (1, 2, 3)] == [1, 2, 2]
    none = find_recipe("spin").config.model_validate({"schedule": {}})
    assert none.for_round(4).training.beta == 0.1
    lists = make_config("lmsi", None, ["schedule.prompts.difficulties=[[1], [1, 2]]"])
    assert lists.for_round(2).prompts.difficulties == [1, 2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["schedule.training.betta=[1]"], r"schedule\.training\.betta: there is no setting"),
        (
            ["training.beta=0.2", "schedule.training.beta=[1, 2]"],
            r"training\.beta=0\.2, but schedule\.training\.beta begins with 1",
        ),
        (["schedule.training.beta=[0.1, -1]"], r"schedule, round 2: training\.beta: .*greater"),
        (["schedule.training.beta=[0.1, true]", "schedule.sampling.n=[]"], r"sampling\.n: give"),
        (["schedule.evaluation.num=[3]"], r"evaluation\.num: this setting is the same in all"),
        (['schedule.training.method=["sft"]'], r"training\.method: this setting is the same"),
        (["schedule.seed=[1, 2]"], r"schedule\.seed: this setting is the same"),
        (["schedule.sampling.n=3"], r"schedule\.sampling\.n: Input should be a valid list"),
    ],
)
def test_what_no_round_could_follow_is_refused_by_its_name(
    settings: list[str], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        make_config("spin", None, settings)


def test_paths_and_groups() -> None:
    assert flatten({"a": {"b": {"c": [1]}}, "a.b.d": [2]}) == {"a.b.c": [1], "a.b.d": [2]}
    assert values_of_round({"a.b": [1, 2]}, 0) == {}
    values = {"a": {"b": 1, "c": 2}, "d": 3}
    assert with_values(values, {"a.b": 5, "d": 6}) == {"a": {"b": 5, "c": 2}, "d": 6}
    assert values == {"a": {"b": 1, "c": 2}, "d": 3}
