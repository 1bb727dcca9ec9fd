"""One engine per model and round, none while a model is trained, none where all is known."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prefect import flow
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from flows.recipes import find_recipe
from flows.recipes.config import LoopSpec
from flows.stages import ONE_AFTER_ANOTHER, Stages
from storage import Warehouse, diff_tables
from tasks.ask import Sample
from tasks.engines import ENGINES
from tasks.engines.transformers_engine import TransformersEngine, TransformersOptions
from tasks.environments import load_environment
from tasks.judging import RubricJudge
from tasks.models import ModelRef, resolve_model
from tasks.seed_models import seed_model_path
from tasks.training import train_model
from tests.flows.conftest import RunTiny, TinyLoop, run_loop, tiny_config

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

ECHO = {"messages": [{"role": "user", "content": "{{ answer[:1] or 0 }}="}]}
CRITIQUE = Sample.model_validate(
    {"role": "critique", "template": ECHO, "over": "answers", "n": 1, "max_new_tokens": 4}
)
JUDGE = RubricJudge(num_judgements=2, max_new_tokens=4, marker="", high=9, template=ECHO)


@pytest.fixture(scope="module")
def log() -> Iterator[list[str]]:
    """What was opened, closed and trained, in order: engines by the name of their folder."""
    found: list[str] = []

    class Logged(TransformersEngine):
        def __init__(self, path: str | Path, options: object) -> None:
            super().__init__(path, TransformersOptions.model_validate(options or {}))
            found.append(f"open {Path(path).name}")

        def close(self) -> None:
            if self._is_open:
                found.append(f"close {Path(self.model_path).name}")
            super().close()

    def train(*given: Any) -> Any:
        found.append("train")
        return train_model(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENGINES, "transformers", Logged)
        patch.setattr("flows.training_round.train_model", train)
        yield found


def stages_of(run: str, house: Warehouse, base: Path) -> Stages:
    settings = {
        "environment": {"name": "copy"},
        "prompts": {"num": 6, "difficulties": [4]},
        "sampling": {"n": 4, "temperature": 1.0, "max_new_tokens": 12},
        "shard_size": 4,
    }
    config = tiny_config("length_generalization", **settings)
    model = resolve_model(house, str(base))
    model = ModelRef(f"{run}-base", model.path, model.weight_hash)
    recipe = find_recipe("length_generalization")
    return Stages(house, recipe, config, load_environment("copy"), run, 1, model, model, 0)


def test_sampling_asking_and_judging_share_an_engine_that_another_run_does_not_need(
    prefect_server: None, tmp_path: Path, log: list[str]
) -> None:
    base = Path(shutil.copytree(seed_model_path("copy"), tmp_path / "base"))
    house, counts = Warehouse.open(tmp_path / "w"), {}

    def work() -> None:
        for run in ("first", "second"):
            stages = stages_of(run, house, base)
            with stages.engines:
                stages.sample(stages.config.prompts, stages.config.sampling)
                stages.ask(CRITIQUE, "critique")
                stages.judge(JUDGE)
            counts[run] = stages.tokens

    log.clear()
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        flow(name="round", task_runner=ONE_AFTER_ANOTHER)(work)()
    assert log == ["open base", "close base"]
    first, second = counts["first"], counts["second"]
    assert first.keys() == {"train", "asked"} and min(first.values()) > 0
    assert second == {
        "train": 0, "train_reused": first["train"], "asked": 0, "asked_reused": first["asked"],
    }  # fmt: skip
    with house.connect() as con:
        ((rows, same, copies),) = con.sql(
            "SELECT count(*), count(*) FILTER (a.text = b.text), count(b.reused_from) "
            "FROM samples AS a JOIN samples AS b ON b.reused_from = a.id AND b.role = a.role"
        ).fetchall()
    assert rows == same == copies == 24 + 24 + 48


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # The round goes on after its failure: what was sampled is there, and nobody is asked again.
        ("watch", ["open base", "failed", "close base", "failed"]),
        pytest.param(
            "train_model",
            ["open base", "close base", "failed", "failed", "failed", "failed"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_an_engine_ends_before_a_training_and_when_its_round_fails(
    prefect_server: None,
    tmp_path: Path,
    log: list[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    expected: list[str],
) -> None:
    def fail(*given: object) -> None:
        log.append("failed")
        raise RuntimeError("on purpose")

    monkeypatch.setattr(f"flows.training_round.{name}", fail)
    base = shutil.copytree(seed_model_path("copy"), tmp_path / "base")
    config = tiny_config(
        "length_generalization",
        prompts={"num": 6, "difficulties": [4]},
        evaluation={"num": 4, "difficulties": [4], "num_samples": 0},
        num_seed_examples=1,
    )
    loop = LoopSpec(run="r", rounds=1, base_model=str(base), warehouse=str(tmp_path / "w"))
    log.clear()
    with pytest.raises(RuntimeError, match="on purpose"):
        run_loop("length_generalization", config, loop)
    assert log == ["open base", "close base", *expected]


class TwoRuns(NamedTuple):
    """Two runs of one warehouse with the same settings and other names."""

    tiny: TinyLoop
    first: list[str]
    second: list[str]


@pytest.fixture(scope="module")
def runs(run_tiny: RunTiny, log: list[str]) -> TwoRuns:
    log.clear()
    tiny = run_tiny("rest_em")
    first = list(log)
    log.clear()
    run_loop(tiny.recipe, tiny.config, tiny.loop.model_copy(update={"run": "again"}))
    return TwoRuns(tiny, first, list(log))


def tokens_of(house: Warehouse, run: str) -> list[dict[str, int]]:
    rows = house.read("rounds", run=run).to_pylist()
    return [json.loads(row["tokens"]) for row in sorted(rows, key=lambda row: row["round"])]


@pytest.mark.slow
@pytest.mark.sandbox
def test_a_run_of_another_name_asks_only_the_model_that_it_trained(runs: TwoRuns) -> None:
    assert runs.first == [
        *("open base", "close base"),  # round 0
        *("open base", "close base", "train", "open tiny-r1", "close tiny-r1"),
    ]
    assert runs.second == ["train", "open again-r1", "close again-r1"]
    before, after = (tokens_of(runs.tiny.house, run) for run in ("tiny", "again"))
    assert before[0].keys() == {"evaluate"} and before[1].keys() == {"train", "evaluate"}
    assert after[0] == {"evaluate": 0, "evaluate_reused": before[0]["evaluate"]}
    assert (after[1]["train"], after[1]["train_reused"]) == (0, before[1]["train"])
    assert after[1]["evaluate"] > 0 and "evaluate_reused" not in after[1]


@pytest.mark.slow
@pytest.mark.sandbox
def test_a_reused_run_is_balanced_and_its_rows_lead_to_what_they_copy(runs: TwoRuns) -> None:
    with runs.tiny.house.connect() as con:
        counts = con.sql("SELECT run, balanced, samples FROM row_counts ORDER BY run").fetchall()
        ((example,),) = con.sql("SELECT min(id) FROM examples WHERE run = 'again'").fetchall()
        found = con.execute(
            "SELECT DISTINCT run, policy_id FROM lineage($id) WHERE relation = 'reused sample'",
            {"id": example},
        ).fetchall()
    assert counts == [("again", True, 160), ("tiny", True, 160)]
    assert found == [("tiny", "tiny-base")]


@pytest.mark.slow
@pytest.mark.sandbox
def test_a_reused_run_has_the_tables_that_it_has_alone(runs: TwoRuns, tmp_path: Path) -> None:
    changes = {"run": "again", "warehouse": str(tmp_path / "alone")}
    run_loop(runs.tiny.recipe, runs.tiny.config, runs.tiny.loop.model_copy(update=changes))
    alone = Warehouse.open(tmp_path / "alone")
    assert diff_tables(runs.tiny.house, alone, run="again") == []
