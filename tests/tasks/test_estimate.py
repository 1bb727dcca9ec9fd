"""What a probe says of a round: speeds without the start-up, and the slower of two stages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.estimate import MIN_PROBE_SAMPLES, Costs, Pace, Probe, compare, probe_size


@given(st.integers(1, 10**6), st.integers(1, 4096))
def test_a_probe_fills_a_batch_and_is_a_small_part_of_the_round(num: int, n: int) -> None:
    size = probe_size(num, n)
    assert size == 0 or (size * n >= MIN_PROBE_SAMPLES and 4 * size <= num)
    if num * n >= 110 * MIN_PROBE_SAMPLES and num >= 1000:
        assert num / 100 <= size < num / 100 + 1


def pace_of(*reports: tuple[float, int]) -> Pace:
    times = iter([100.0, *(100.0 + seconds for seconds, _ in reports)])
    pace = Pace(lambda: next(times))
    for _, done in reports:
        pace(done, 100)
    return pace


def test_the_start_up_is_not_in_the_pace() -> None:
    # 30 s of compiling, then 10 samples a second.
    pace = pace_of((31.0, 10), (31.5, 15), (33.0, 30))
    assert pace.per_sample_s == pytest.approx(0.1)
    assert pace.startup_s == pytest.approx(30.0)
    one = pace_of((4.0, 8))
    assert (one.per_sample_s, one.startup_s) == (0.5, 0.0)
    assert (pace_of().per_sample_s, pace_of().startup_s) == (0.0, 0.0)


def test_the_slower_stage_decides_and_the_other_adds_a_shard() -> None:
    drawing = Probe(10, 200, 2**20, startup_s=5.0, sample_s=0.1, check_s=0.02)
    assert drawing.seconds(1000, 100) == pytest.approx(5 + 100 + 2)
    checking = Probe(10, 200, 2**20, startup_s=5.0, sample_s=0.02, check_s=0.1)
    assert checking.seconds(1000, 100) == pytest.approx(5 + 2 + 100)
    assert drawing.seconds(50, 100) == pytest.approx(5 + 5 + 1)  # one shard: nothing overlaps
    assert (drawing.tokens(1000), drawing.mib(1000)) == (20_000, 100.0)


def test_only_what_both_have_is_compared() -> None:
    expected = Costs(
        {"train": 1000, "evaluate": 10}, {"train": 60.0, "select": 0.0}, {"tables": 8.0}
    )
    actual = Costs({"train": 1250}, {"train": 45.0, "select": 1.0, "vote": 2.0}, {"tables": 8.4})
    assert [tuple(row.values()) for row in compare(expected, actual)] == [
        ("train tokens", "1,000", "1,250", "+25%"),
        ("train s", "60.0", "45.0", "-25%"),
        ("select s", "0.0", "1.0", "-"),
        ("tables MiB", "8.0", "8.4", "+5%"),
    ]
