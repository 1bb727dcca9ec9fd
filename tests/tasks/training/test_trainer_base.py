import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.training.trainer_base import lr_share


@given(
    num_steps=st.integers(1, 200),
    warmup=st.integers(0, 50),
    schedule=st.sampled_from(["constant", "linear", "cosine"]),
    final=st.floats(0, 1),
)
def test_the_learning_rate_rises_then_never_rises_again(num_steps, warmup, schedule, final):
    shares = [lr_share(step, num_steps, warmup, schedule, final) for step in range(num_steps)]
    assert all(0 <= share <= 1 for share in shares)
    assert shares[:warmup] == sorted(shares[:warmup])
    assert shares[warmup:] == sorted(shares[warmup:], reverse=True)
    if num_steps > warmup:
        assert shares[warmup] == 1


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_falling_schedule_ends_at_its_final_share(schedule):
    assert lr_share(100, 100, 10, schedule, 0.25) == pytest.approx(0.25)
    assert lr_share(55, 100, 10, schedule, 0.0) == pytest.approx(0.5)
