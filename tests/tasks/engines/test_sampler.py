import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.engines.sampler import Row, Sampler, uniforms

CPU = torch.device("cpu")
SEEDS = st.lists(st.integers(-(2**63), 2**64), min_size=1, max_size=5)


def make_row(seed: int = 0, temperature: float = 1.0, top_p: float = 1.0, top_k: int = 0) -> Row:
    return Row(0, seed, temperature, top_p, top_k, max_new_tokens=4)


def draw(logits: torch.Tensor, rows: list[Row], step: int = 0) -> torch.Tensor:
    logprobs = logits.log_softmax(dim=-1)
    return Sampler(rows, CPU).draw(logprobs.expand(len(rows), -1), step)


@given(seeds=SEEDS, num_steps=st.integers(1, 20))
def test_a_number_depends_on_its_own_seed_and_step_alone(seeds, num_steps):
    numbers = uniforms(seeds, num_steps)
    assert numbers.shape == (len(seeds), num_steps)
    assert (numbers >= 0).all() and (numbers < 1).all()
    for row, seed in zip(numbers, seeds, strict=True):
        assert np.array_equal(row, uniforms([seed], num_steps + 3)[0, :num_steps])


def test_numbers_of_neighboring_seeds_and_steps_are_spread_evenly():
    numbers = uniforms(range(2000), 50)
    counts, _ = np.histogram(numbers, bins=20, range=(0, 1))
    expected = numbers.size / 20
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()
    neighbors = [(numbers[:-1, 0], numbers[1:, 0]), (numbers[:, 0], numbers[:, 1])]
    for first, second in neighbors:
        covariance = np.mean((first - 0.5) * (second - 0.5))
        assert abs(covariance) < 5 / 12 / np.sqrt(len(first))


def test_tokens_come_with_the_probabilities_of_the_tempered_distribution():
    logits, num = torch.tensor([1.0, 0.0, -1.0, 3.0, -torch.inf]), 20_000
    for temperature in (0.5, 1.0, 1.7):
        tokens = draw(logits, [make_row(seed, temperature) for seed in range(num)])
        shares = torch.bincount(tokens, minlength=5) / num
        expected = torch.softmax(logits / temperature, dim=0)
        deviation = (expected * (1 - expected) / num).sqrt()
        assert ((shares - expected).abs() <= 5 * deviation).all()
        assert shares[4] == 0


def test_temperature_zero_is_greedy_beside_sampled_rows():
    logits = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    rows = [make_row(seed, temperature=float(seed % 2)) for seed in range(6)]
    tokens = Sampler(rows, CPU).draw(logits.log_softmax(dim=1), 0)
    assert tokens[::2].tolist() == logits.argmax(dim=1)[::2].tolist()


@given(
    seed=st.integers(0, 10_000),
    top_k=st.integers(0, 8),
    top_p=st.floats(0.05, 1.0),
    logits=st.lists(st.floats(-5, 5), min_size=8, max_size=8, unique=True),
)
def test_truncation_keeps_what_the_published_rules_keep(seed, top_k, top_p, logits):
    values = torch.tensor(logits).softmax(dim=0)
    order = values.argsort(descending=True).tolist()
    kept = order[:top_k] if top_k else order
    total, nucleus = sum(values[i].item() for i in kept), list[int]()
    for token in kept:
        # A margin where rounding may decide either way.
        if sum(values[i].item() for i in nucleus) / total > top_p + 1e-5:
            break
        nucleus.append(token)
    tokens = draw(torch.tensor(logits), [make_row(seed + i, 1.0, top_p, top_k) for i in range(20)])
    assert set(tokens.tolist()) <= set(nucleus)


def test_dropped_rows_leave_the_others_numbers_alone():
    logprobs = torch.zeros(6, 50).log_softmax(dim=1)
    rows = [make_row(seed) for seed in range(6)]
    whole, part = Sampler(rows, CPU), Sampler(rows, CPU)
    index = torch.tensor([1, 4, 5])
    part.keep(index)
    assert whole.draw(logprobs, 2)[index].tolist() == part.draw(logprobs[index], 2).tolist()
