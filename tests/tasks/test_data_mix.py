"""What a round trains on: which rounds, how often each row, in which order, under which name."""

from collections import Counter
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from storage import Warehouse, content_id
from tasks.data_mix import (
    MIX_QUERY,
    FrozenTable,
    MixSpec,
    _quotas,
    freeze_mix,
    snapshot_hash,
)
from tasks.errors import DataFormatError


def write_examples(w: Warehouse, round: int, num: int, difficulties: list[int]) -> None:
    prompts, examples = [], []
    for i in range(num):
        prompt_id = content_id("prompt", round, i)
        messages = [{"role": "user", "content": f"{round}/{i}"}]
        prompts.append(
            {
                "id": prompt_id,
                "environment": "copy",
                "messages": messages,
                "source": "seed",
                "parent_ids": [],
                "split": "train",
                "difficulty": difficulties[i % len(difficulties)],
                "metadata": {},
            }
        )
        examples.append(
            {
                "id": content_id("example", round, i),
                "prompt_id": prompt_id,
                "prompt": messages,
                "completion": [{"role": "assistant", "content": f"{i}"}],
                "weight": 1.0,
                "sample_ids": [],
                "score_ids": [],
                "vote_ids": [],
            }
        )
    w.write("prompts", prompts, run="r", round=round, part="p")
    w.write("examples", examples, run="r", round=round, part="p")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Round 0: 12 rows of 3 difficulties; round 1: 4 of one; round 2: 6 of one."""
    w = Warehouse.open(tmp_path_factory.mktemp("mix") / "w")
    write_examples(w, 0, 12, [1, 2, 3])
    write_examples(w, 1, 4, [4])
    write_examples(w, 2, 6, [5])
    return w


def mix(w: Warehouse, round: int = 2, seed: int = 0, **spec: object) -> FrozenTable:
    chosen = MixSpec.model_validate(spec)
    return freeze_mix(w, "examples", chosen, run="r", round=round, seed=seed)


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [("new", {2: 6}), ("new_and_previous", {1: 4, 2: 6}), ("all", {0: 12, 1: 4, 2: 6})],
)
def test_each_choice_of_rounds_takes_every_row_once(
    house: Warehouse, rounds: str, expected: dict[int, int]
) -> None:
    frozen = mix(house, rounds=rounds)
    assert frozen.rows_by_round == expected
    rows = pq.read_table(frozen.path)
    assert Counter(rows.column("round").to_pylist()) == expected
    assert len(set(rows.column("id").to_pylist())) == rows.num_rows == frozen.num_rows


def test_the_newest_share_leaves_the_rest_to_difficulties(house: Warehouse) -> None:
    # Length generalization: half is new, the older half is shared 3:1 by difficulties covered.
    frozen = mix(house, rounds="all", newest_share=0.5, num_rows=40)
    assert frozen.rows_by_round == {0: 15, 1: 5, 2: 20}
    rows = pq.read_table(frozen.path).select(["round", "id"]).to_pylist()
    copies = Counter(row["id"] for row in rows if row["round"] == 2)
    assert sorted(copies.values()) == [3, 3, 3, 3, 4, 4]
    assert mix(house, rounds="all", newest_share=0.5).rows_by_round == {0: 4, 1: 1, 2: 6}


def test_a_share_without_older_rounds_is_all_new(house: Warehouse) -> None:
    assert mix(house, round=0, rounds="all", newest_share=0.5).rows_by_round == {0: 12}
    assert mix(house, round=0, newest_share=0.5, num_rows=30).rows_by_round == {0: 30}


def test_the_same_mix_is_the_same_file(house: Warehouse) -> None:
    first = mix(house, rounds="all")
    stamp = first.path.stat().st_mtime_ns
    again = mix(house, rounds="all")
    assert again == first and again.path.stat().st_mtime_ns == stamp
    assert first.path.parent == house.root / "snapshots"
    assert first.path.stem == first.snapshot_hash == snapshot_hash(pq.read_table(first.path))


def test_the_seed_decides_the_order_and_the_hash(house: Warehouse) -> None:
    first, other = mix(house, rounds="all", seed=0), mix(house, rounds="all", seed=1)
    assert first.snapshot_hash != other.snapshot_hash
    ids = [pq.read_table(frozen.path).column("id").to_pylist() for frozen in (first, other)]
    assert ids[0] != ids[1] and sorted(ids[0]) == sorted(ids[1])


def test_the_hash_is_of_what_is_learned_not_of_where_it_comes_from(house: Warehouse) -> None:
    rows = pq.read_table(mix(house).path)
    renamed = rows.set_column(rows.column_names.index("id"), "id", rows.column("prompt_id"))
    assert snapshot_hash(renamed) == snapshot_hash(rows)
    heavier = rows.set_column(rows.column_names.index("weight"), "weight", [[0.5] * rows.num_rows])
    assert snapshot_hash(heavier) != snapshot_hash(rows)
    assert snapshot_hash(rows.slice(1)) != snapshot_hash(rows)


def test_a_round_without_rows_says_where_to_look(house: Warehouse) -> None:
    with pytest.raises(DataFormatError, match=r"round 3 selected no training rows.*rejections"):
        mix(house, round=3, rounds="all")


def test_pairs_and_examples_are_not_mixed(tmp_path: Path) -> None:
    w = Warehouse.open(tmp_path / "w")
    write_examples(w, 1, 3, [1])
    with pytest.raises(DataFormatError, match="round 1 selected no training rows"):
        freeze_mix(w, "pairs", MixSpec(), run="r", round=1)


@pytest.mark.parametrize("bad", [{"newest_share": 0.0}, {"newest_share": 1.5}, {"num_rows": 0}])
def test_numbers_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(bad))):
        MixSpec.model_validate(bad)


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 30)), min_size=1, max_size=4),
    st.integers(0, 3),
)
def test_every_quota_is_met_and_rows_repeat_evenly(
    rounds: list[tuple[int, int]], seed: int
) -> None:
    with duckdb.connect() as con:
        con.execute("CREATE TABLE training_table (id VARCHAR, run VARCHAR, round INTEGER)")
        con.execute("CREATE TABLE quotas (round INTEGER, quota BIGINT)")
        con.execute("INSERT INTO training_table VALUES ('other', 'other', 0)")
        for number, (size, quota) in enumerate(rounds):
            rows = [(f"{number}-{i}", "r", number) for i in range(size)]
            con.executemany("INSERT INTO training_table VALUES (?, ?, ?)", rows)
            con.execute("INSERT INTO quotas VALUES (?, ?)", [number, quota])
        parameters = {"run": "r", "seed": str(seed)}
        found = con.execute(MIX_QUERY, parameters).fetchall()
        assert found == con.execute(MIX_QUERY, parameters).fetchall()
    for number, (size, quota) in enumerate(rounds):
        copies = Counter(row[0] for row in found if row[2] == number)
        assert sum(copies.values()) == quota
        if quota:
            assert max(copies.values()) - (min(copies.values()) if len(copies) == size else 0) <= 1
    assert "other" not in {row[0] for row in found}


def test_weights_by_age_decide_how_many_rows_of_each_round(house: Warehouse) -> None:
    assert mix(house, round_weights=[2, 1], num_rows=30).rows_by_round == {1: 10, 2: 20}
    # Each of the six new rows once is half of it all; round 0 has nothing to do with age 1.
    assert mix(house, round_weights=[0.5, 0, 0.5]).rows_by_round == {0: 6, 2: 6}
    # Rounds before the first give their part to the others.
    assert mix(house, round_weights=[1, 1, 2, 9], num_rows=8).rows_by_round == {0: 4, 1: 2, 2: 2}
    assert mix(house, round_weights=[1]).rows_by_round == mix(house).rows_by_round


@given(
    st.dictionaries(st.integers(0, 5), st.integers(1, 20), min_size=1),
    st.lists(st.sampled_from([0.0, 0.1, 0.3, 1.0, 2.5]), max_size=6),
    st.sampled_from([0.1, 1.0, 3.0]),
    st.none() | st.integers(1, 200),
)
def test_weighted_quotas_are_as_near_to_the_weights_as_whole_rows_can_be(
    sizes: dict[int, int], older: list[float], first: float, num_rows: int | None
) -> None:
    newest = max(sizes)
    spec = MixSpec(round_weights=[first, *older], num_rows=num_rows)
    quotas = _quotas({r: (rows, 1) for r, rows in sizes.items()}, spec, newest)
    # The oracle, in floating point.
    weights = {newest - age: w for age, w in enumerate([first, *older]) if newest - age in sizes}
    whole = sum(weights.values())
    total = num_rows or round(sizes[newest] * whole / first + 0.4999)
    assert sum(quotas.values()) == total
    assert min(quotas.values()) > 0
    for r, weight in weights.items():
        assert abs(quotas.get(r, 0) - total * weight / whole) < 1 + 1e-6
        assert quotas.get(r, 0) == 0 or weight > 0
    if num_rows is None:
        assert quotas[newest] >= sizes[newest]


@pytest.mark.parametrize(
    "bad",
    [
        {"round_weights": []},
        {"round_weights": [0, 1]},
        {"round_weights": [1, -1]},
        {"round_weights": [1, float("inf")]},
        {"round_weights": [1], "newest_share": 0.5},
        {"round_weights": [1], "rounds": "all"},
    ],
)
def test_weights_that_mean_nothing_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="round_weights"):
        MixSpec.model_validate(bad)
