"""Samples as rows: seeds and ids that depend on the problem, not on shard, batch or run name."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from storage import Warehouse
from tasks.checks.shard import check_shard
from tasks.checks.votes import vote
from tasks.engines import Engine, OnProgress, open_engine
from tasks.environments import Problem, load_environment
from tasks.sampling import SampleKey, SamplingSpec, sample_groups, sample_seed, sample_shard

KEY = SampleKey("r", 1, "train", "answer", "model")
SPEC = SamplingSpec(n=3, temperature=1.0, max_new_tokens=6)
PROBLEMS = load_environment("copy").problems("train", 6, 0, [4])


@pytest.fixture(scope="module")
def engine(tiny_llama: Path) -> Iterator[Engine]:
    with open_engine("transformers", tiny_llama) as opened:
        yield opened


Rows = list[dict[str, object]]
MEASURES = ["sum_logprob", "mean_logprob", "min_logprob", "mean_entropy", "mean_self_certainty"]


@pytest.fixture(scope="module")
def ask(engine: Engine) -> Callable[..., Rows]:
    def rows(
        problems: Sequence[Problem] = PROBLEMS, key: SampleKey = KEY, spec: SamplingSpec = SPEC
    ) -> Rows:
        groups = dict(sample_groups(engine, problems, spec, key, seed=7))
        return [row for problem in problems for row in groups[problem.id]]

    return rows


def test_every_sample_is_a_row_that_the_warehouse_takes(
    ask: Callable[..., Rows], engine: Engine, tmp_path: Path
) -> None:
    rows = ask()
    w = Warehouse.open(tmp_path / "w")
    w.write("samples", rows, run="r", round=1, part="p")
    places = [(row["prompt_id"], row["index"]) for row in rows]
    assert places == [(problem.id, index) for problem in PROBLEMS for index in range(3)]
    assert {row["weight_hash"] for row in rows} == {engine.weight_hash}
    assert {row["policy_id"] for row in rows} == {"model"}
    assert len({row["id"] for row in rows}) == len({row["seed"] for row in rows}) == len(rows)


def test_a_problem_the_engine_cannot_serve_costs_its_own_rows_only(
    engine: Engine, tmp_path: Path
) -> None:
    long = Problem("long", [{"role": "user", "content": "x" * 300}], "x", 1, "train", {})
    w = Warehouse.open(tmp_path / "w")
    sample_shard(w, engine, [PROBLEMS[0], long], SPEC, KEY, seed=7, part="p")
    references = {PROBLEMS[0].id: PROBLEMS[0].reference, "long": "x"}
    check_shard(w, load_environment("copy"), None, references, run="r", round=1, part="p")
    for table in ("samples", "executions", "scores"):
        w.seal(table, ["p"], run="r", round=1)
    vote(w, run="r", round=1)
    with w.connect() as connection:
        found = connection.sql(
            """
            SELECT m.prompt_id = 'long', m.status, split_part(m.error, ':', 1), m.finish_reason,
                   s.status, s.value IS NULL, count(DISTINCT m.id)
            FROM samples AS m JOIN scores AS s ON s.sample_id = m.id AND s."check" = 'reference'
            GROUP BY ALL ORDER BY ALL
            """
        ).fetchall()
        voted = connection.sql("SELECT DISTINCT prompt_id FROM votes").fetchall()
    assert found[-1] == (True, "error", "context_overflow", "error", "error", True, SPEC.n)
    assert {row[:3] + row[4:6] for row in found[:-1]} == {(False, "ok", None, "ok", False)}
    assert ("long",) not in voted


def test_a_shard_gives_the_rows_it_gives_in_the_whole(ask: Callable[..., Rows]) -> None:
    whole = {row["id"]: (row["text"], row["seed"]) for row in ask()}
    parts = [row for start in (0, 2) for row in ask(PROBLEMS[start : start + 2])]
    assert all(whole[row["id"]] == (row["text"], row["seed"]) for row in parts)


def test_a_run_of_another_name_draws_the_same_texts_under_other_ids(
    ask: Callable[..., Rows],
) -> None:
    mine, other = ask(), ask(key=replace(KEY, run="s"))
    assert [row["text"] for row in mine] == [row["text"] for row in other]
    assert not {row["id"] for row in mine} & {row["id"] for row in other}


def test_greedy_and_drawn_samples_of_a_problem_do_not_share_an_id(
    ask: Callable[..., Rows],
) -> None:
    key = replace(KEY, purpose="evaluate")
    greedy = ask(key=key, spec=SPEC.model_copy(update={"n": 1, "temperature": 0.0}))
    assert not {row["id"] for row in greedy} & {row["id"] for row in ask(key=key)}


class Stop(Exception):
    pass


def test_a_shard_that_was_interrupted_asks_only_for_what_is_missing(
    tiny_llama: Path, tmp_path: Path
) -> None:
    whole, broken = Warehouse.open(tmp_path / "whole"), Warehouse.open(tmp_path / "broken")
    journal = broken.root / "pending/samples/run=r/round=1/sample-0000.journal"
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if len(seen) in (2, 5):
            raise Stop

    # Batches of 7 rows cut through the groups of 3.
    with open_engine("transformers", tiny_llama, {"rows_per_batch": 7}) as engine:

        def shard(house: Warehouse, on_progress: OnProgress | None = None) -> None:
            part = "sample-0000"
            sample_shard(
                house, engine, PROBLEMS, SPEC, KEY, seed=7, part=part, on_progress=on_progress
            )

        shard(whole)
        sizes = []
        for _ in range(2):
            with pytest.raises(Stop):
                shard(broken, stop)
            sizes.append(journal.stat().st_size)
        shard(broken, stop)
        assert seen == [7, 14, *(7, 14, 18), *(14, 18)]
        assert 0 < sizes[0] < sizes[1]
        assert not journal.exists()
        shard(broken, stop)
    rows = [w.read("samples", part="sample-0000") for w in (whole, broken)]
    assert rows[0].num_rows == 18
    assert rows[0].drop_columns(MEASURES) == rows[1].drop_columns(MEASURES)


keys = st.builds(
    SampleKey,
    run=st.just("r"),
    round=st.integers(0, 1000),
    purpose=st.sampled_from(["train", "evaluate"]),
    role=st.just("answer"),
    policy_id=st.text(max_size=3),
)


@given(st.integers(0, 2**31 - 1), keys, st.floats(0, 5), st.text(max_size=9))
def test_seeds_are_exact_and_have_room_for_all_samples(
    seed: int, key: SampleKey, temperature: float, prompt_id: str
) -> None:
    spec = SamplingSpec(temperature=temperature)
    found = sample_seed(seed, key, spec, prompt_id)
    assert 0 <= found < 2**52 and found % 4096 == 0
    assert found == sample_seed(seed, replace(key, run="another"), spec, prompt_id)
    assert found != sample_seed(seed, replace(key, round=key.round + 1), spec, prompt_id)
    assert found != sample_seed(seed, key, spec, prompt_id + "x")
    assert found != sample_seed(seed + 1, key, spec, prompt_id)


@pytest.mark.parametrize(
    "bad", [{"n": 0}, {"n": 4097}, {"temperature": -1}, {"top_p": 0}, {"max_new_tokens": 0}]
)
def test_numbers_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(bad))):
        SamplingSpec.model_validate(bad)
