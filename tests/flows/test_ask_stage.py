"""A round on the shipped copy model: answers, a judge, critiques that lead to refinements."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from flows.errors import SettingError
from flows.preflight import check_plan
from flows.problem_stage import draw_problems
from flows.recipes import find_recipe
from flows.select_asked import select_asked
from flows.stages import ONE_AFTER_ANOTHER, Stages
from flows.training_round import write_round
from storage import Warehouse
from tasks.ask import Chain, DrawRule, Sample, ask_shard, opinion_rows
from tasks.ask.parsers import VerdictParser
from tasks.environments import load_environment
from tasks.judging import PairJudge, RubricJudge
from tasks.models import ModelRef, resolve_model
from tasks.selection import Selection
from tests.flows.conftest import tiny_config

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

# The model was trained to copy, and does so well: what it is to say stands in the question.
FIRST_DIGIT = {"messages": [{"role": "user", "content": "{{ answer[:1] or 0 }}="}]}
JUDGE = RubricJudge(
    num_judgements=2,
    temperature=0.0,
    max_new_tokens=4,
    marker="",
    high=9,
    template={"name": "first digit", **FIRST_DIGIT},
)
PAIRS = PairJudge(name="pairs", num_opponents=1, max_new_tokens=4)
CRITIQUE = Sample(
    role="critique",
    template=FIRST_DIGIT,
    over="answers",
    n=1,
    temperature=0.0,
    max_new_tokens=4,
    parser=VerdictParser(yes=("2", "4", "6", "8"), no=("1", "3", "5", "7", "9")),
)
REFINE = Sample(
    role="refinement", template="as_is", n=1, temperature=0.0, max_new_tokens=16, when=("no",)
)


def stages_in(folder: Path, base: Path, **changes: object) -> Stages:
    house = Warehouse.open(folder)
    settings = {
        "environment": {"name": "copy"},
        "prompts": {"num": 12, "difficulties": [4, 6]},
        "sampling": {"n": 4, "temperature": 4.0, "max_new_tokens": 12},
        "shard_size": 5,
    }
    config = tiny_config("length_generalization", **(settings | changes))
    model = resolve_model(house, str(base))
    model = ModelRef("base", model.path, model.weight_hash)
    recipe = find_recipe("length_generalization")
    return Stages(house, recipe, config, load_environment("copy"), "r", 1, model, model, 0)


def run_in_flow(work: Callable[[], None]) -> None:
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        flow(name="round", task_runner=ONE_AFTER_ANOTHER)(work)()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tasks.seed_models import seed_model_path

    return Path(shutil.copytree(seed_model_path("copy"), tmp_path_factory.mktemp("m") / "base"))


@pytest.fixture(scope="module")
def judged(base: Path, prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Stages:
    """The round, done twice: the second time nothing is left to do."""
    folder = tmp_path_factory.mktemp("judged") / "w"

    def work() -> None:
        for turn in range(2):
            stages = stages_in(folder, base)
            found.append(stages)
            stages.sample(stages.config.prompts, stages.config.sampling)
            if turn:  # an engine that is opened now fails
                stages.incumbent = ModelRef("base", folder / "none", "none")
            stages.judge(JUDGE)
            stages.judge(PAIRS)
            stages.ask(Chain(links=(CRITIQUE, REFINE)), "correct", graded=("refinement",))
            stages.vote()
            assert stages.select(Selection("judge_pairs")) == "pairs"
            rule = Selection("best_by_score", {"check_name": "critique", "min_score": 1.0})
            assert stages.select_asked("correct", rule, role="critique") == "examples"
            stages.engines.close()
        write_round(found[-1], None, "none", [], [], {})

    found: list[Stages] = []
    run_in_flow(work)
    assert found[0].metrics == found[1].metrics and found[0].tokens == found[1].tokens
    return found[-1]


def query(stages: Stages, sql: str, **parameters: object) -> list[tuple[Any, ...]]:
    with stages.warehouse.connect() as con:
        return list(con.execute(sql, parameters).fetchall())


def test_a_shard_is_read_while_the_next_one_is_written(
    base: Path, prefect_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_next_written = threading.Event()

    def writing(*given: Any, part: str, **more: Any) -> None:
        if part == "plan-0001":
            is_next_written.set()
        ask_shard(*given, part=part, **more)

    def reading(*given: Any, **more: Any) -> Any:
        assert is_next_written.wait(60), "the engine waits until the first shard is read"
        return opinion_rows(*given, **more)

    monkeypatch.setattr("flows.ask_stage.ask_shard", writing)
    monkeypatch.setattr("flows.ask_stage.opinion_rows", reading)
    plan = Sample(role="plan", template="as_is", n=2, max_new_tokens=4, parser=CRITIQUE.parser)

    def work() -> None:
        stages = stages_in(tmp_path / "w", base)
        found.append(stages)
        draw_problems(stages, stages.config.prompts)
        stages.ask(plan, "plan")
        stages.engines.close()

    found: list[Stages] = []
    run_in_flow(work)
    counts = query(found[0], "SELECT count(*), count(DISTINCT sample_id) FROM scores")
    assert counts == [(24, 24)]


def test_judgements_become_pairs_of_what_the_judge_said(judged: Stages) -> None:
    pairs = query(
        judged,
        "SELECT chosen[-1].content[1], rejected[-1].content[1], margin FROM pairs ORDER BY id",
    )
    assert pairs
    for chosen, rejected, margin in pairs:
        assert int(str(chosen)) - int(str(rejected)) == margin > 0
    assert query(judged, "SELECT samples, balanced FROM row_counts") == [(48, True)]


def test_a_pair_is_traced_to_its_judgements_and_prompt(judged: Stages) -> None:
    ((pair,),) = query(judged, "SELECT min(id) FROM pairs")
    steps = query(
        judged, "SELECT relation, name FROM lineage($id) WHERE relation = 'score'", id=pair
    )
    names = {str(name).split()[0] for _, name in steps}
    assert {"judge", "judge_mean", "pairs", "pairs_win_rate", "answer"} <= names
    ((judgement, answer),) = query(
        judged,
        "SELECT id, parent_ids[1] FROM samples WHERE role = 'judgement' ORDER BY id LIMIT 1",
    )
    steps = query(judged, "SELECT relation, id FROM lineage($id)", id=judgement)
    assert ("parent sample", answer) in steps


def test_what_can_not_be_read_is_a_state_with_its_reason(judged: Stages) -> None:
    rows = query(
        judged,
        "SELECT status, value IS NULL, label IS NULL, detail->>'failure', count(*) FROM scores "
        "WHERE \"check\" = 'pairs_order' GROUP BY ALL",
    )
    # It copies digits; of long questions it makes nothing that is a choice.
    assert rows == [("ok", True, True, rows[0][3], 12 * 4 * 2)] or {r[0] for r in rows} == {"error"}
    failures = query(
        judged,
        "SELECT count(*) FROM scores WHERE \"check\" = 'pairs' AND value IS NULL "
        "AND detail->>'failure' = 'order_missing'",
    )
    assert failures == [(12 * 4 * 2,)]


def test_statistics_are_in_the_round_by_difficulty(judged: Stages) -> None:
    (row,) = judged.warehouse.read("rounds", run="r", round=1).to_pylist()
    judges = json.loads(row["metrics"])["judges"]
    assert set(judges) == {"judge", "pairs"} and set(judges["judge"]) == {"all", "4", "6"}
    assert judges["judge"]["all"]["unparseable_share"] < 0.2
    assert judges["judge"]["all"]["score_entropy"] > 1.0
    assert judges["judge"]["all"]["score_spread"] == 0.0  # greedy twice
    assert "reference_agreement" in judges["judge"]["all"]
    assert json.loads(row["tokens"])["asked"] > 0


def test_refinements_follow_critiques_and_are_graded(judged: Stages) -> None:
    rows = query(
        judged,
        "SELECT c.label, count(*), count(m.id), avg(g.value) FROM scores AS c "
        "LEFT JOIN samples AS m ON m.role = 'refinement' AND m.parent_ids[2] = c.sample_id "
        "LEFT JOIN scores AS g ON g.sample_id = m.id AND g.\"check\" = 'reference' "
        "WHERE c.\"check\" = 'critique' GROUP BY ALL",
    )
    found = {label: counts for label, *counts in rows}
    assert found["no"][0] == found["no"][1] > 0 and found["yes"][1] == 0 < found["yes"][0]
    assert found["no"][2] == 1.0  # the model copies without a fault when it is not heated


def test_a_critique_is_learned_with_what_it_was_asked(judged: Stages) -> None:
    rows = query(
        judged,
        "SELECT e.prompt, c.text = e.completion[1].content, a.text, g.value "
        "FROM examples AS e JOIN samples AS c ON c.id = e.sample_ids[1] "
        "JOIN samples AS a ON a.id = c.parent_ids[1] "
        "JOIN scores AS g ON g.sample_id = c.id AND g.\"check\" = 'critique'",
    )
    assert rows
    for prompt, is_text, answer, verdict in rows:
        assert prompt == [{"role": "user", "content": f"{answer[:1] or 0}="}]
        assert is_text and verdict == 1.0
    others = query(judged, "SELECT reason, count(*) FROM rejections WHERE row_id IN (SELECT id "
                   "FROM samples WHERE role = 'critique') GROUP BY 1")  # fmt: skip
    assert len(rows) + sum(count for _, count in others) == 48
    with pytest.raises(SettingError, match="so far are judge-0-judgement, judge, "):
        select_asked.fn(judged, "rephrase", [Selection("best_worst")])


def test_a_draw_rule_saves_samples_of_the_round(
    base: Path, prefect_server: None, tmp_path: Path
) -> None:
    def work() -> None:
        for name, changes in (("full", {}), ("early", {"draw": {"chunk": 2}})):
            settings = {"sampling": {"n": 8, "temperature": 1.0, "max_new_tokens": 12}} | changes
            stages = found[name] = stages_in(tmp_path / name, base, **settings)
            with stages.engines:
                stages.sample(stages.config.prompts, stages.config.sampling)
            stages.vote()

    found: dict[str, Stages] = {}
    run_in_flow(work)
    winners = "SELECT prompt_id, answer FROM votes WHERE rank = 1 ORDER BY ALL"
    assert query(found["early"], winners) == query(found["full"], winners)
    report = found["early"].metrics["draw"]
    assert report["num_groups"] == 12 and report["num_stopped"] > 6
    assert report["num_drawn"] + report["num_saved"] == 12 * 8
    assert query(found["early"], "SELECT count(*) FROM samples") == [(report["num_drawn"],)]
    assert found["full"].metrics == {}


def test_a_draw_rule_where_answers_are_run_is_refused() -> None:
    config = tiny_config("lmsi", draw=DrawRule().model_dump())
    with pytest.raises(SettingError, match=r"settings draw: .*'word_problems'"):
        check_plan(find_recipe("lmsi"), config)


@pytest.mark.slow
def test_a_stage_that_is_run_again_asks_about_the_rows_that_it_began_with(
    base: Path, prefect_server: None, tmp_path: Path
) -> None:
    """What the second stage writes would be more rows of the first one."""
    over = """
    SELECT id AS prompt_id, []::VARCHAR[] AS parent_ids, messages FROM prompts
    UNION ALL
    SELECT s.prompt_id, [s.id], p.messages
    FROM samples AS s JOIN prompts AS p ON p.id = s.prompt_id WHERE s.role = 'hint'
    """
    settings = {"n": 1, "temperature": 0.0, "max_new_tokens": 4, "template": "as_is"}
    plan = Sample.model_validate({"role": "plan", "over": over, **settings})
    hint = Sample.model_validate({"role": "hint", **settings})

    def work() -> None:
        stages = stages_in(tmp_path / "w", base)
        draw_problems(stages, stages.config.prompts)
        for _ in range(2):
            stages.ask(plan, "plan")
            stages.ask(hint, "hint")
            counts.append(
                query(stages, "SELECT role, count(*) FROM samples GROUP BY ALL ORDER BY 1")
            )
        stages.engines.close()

    counts: list[list[tuple[object, ...]]] = []
    run_in_flow(work)
    assert counts == [[("hint", 12), ("plan", 12)]] * 2
