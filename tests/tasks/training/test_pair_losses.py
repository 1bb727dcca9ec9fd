"""The losses of pairs against the papers' formulas, written again in NumPy's float64."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.training.pair_losses import PairNumbers, pair_losses

Numbers = npt.NDArray[np.float64]
SHARES = st.floats(0, 1)
# Token log-probabilities of chosen and rejected, under the policy and under the reference model.
TOKENS = st.lists(st.floats(-8, -1e-3), min_size=1, max_size=12)


class Pair:
    """A pair by its token log-probabilities, as a paper's formula reads it."""

    def __init__(self, chosen: list[float], rejected: list[float], shift: list[float]) -> None:
        self.chosen, self.rejected = np.array(chosen), np.array(rejected)
        # The reference model gives every token of a completion this much more.
        self.ref_chosen, self.ref_rejected = self.chosen + shift[0], self.rejected + shift[1]

    @property
    def logratios(self) -> tuple[float, float]:
        return (
            float(self.chosen.sum() - self.ref_chosen.sum()),
            float(self.rejected.sum() - self.ref_rejected.sum()),
        )


PAIRS = st.builds(Pair, TOKENS, TOKENS, st.lists(st.floats(-1, 1), min_size=2, max_size=2))


def ours(pairs: list[Pair], loss: str, beta: float, alpha: float = 0.0, **columns: Any) -> Numbers:
    def tensor(values: Any) -> torch.Tensor:
        return torch.tensor(np.array(values), dtype=torch.float64)

    names = {
        "weight": 1.0,
        "soft_label": 1.0,
        "chosen_win_rate": np.nan,
        "rejected_win_rate": np.nan,
    }
    numbers = PairNumbers(
        tensor([p.chosen.sum() for p in pairs]),
        tensor([p.rejected.sum() for p in pairs]),
        tensor([p.ref_chosen.sum() for p in pairs]),
        tensor([p.ref_rejected.sum() for p in pairs]),
        tensor([len(p.chosen) for p in pairs]),
        tensor([len(p.rejected) for p in pairs]),
        **{name: tensor(columns.get(name, [value] * len(pairs))) for name, value in names.items()},
    )
    losses = pair_losses(numbers, loss, beta, alpha)  # type: ignore[arg-type]
    return np.array(losses.numpy())


def dpo(pair: Pair, beta: float) -> float:
    """-log sigmoid(beta * ((log-ratio of chosen) - (log-ratio of rejected)))."""
    won, lost = pair.logratios
    return float(np.logaddexp(0, -beta * (won - lost)))


def flipped(pair: Pair) -> Pair:
    other = Pair([0.0], [0.0], [0.0, 0.0])
    other.chosen, other.rejected = pair.rejected, pair.chosen
    other.ref_chosen, other.ref_rejected = pair.ref_rejected, pair.ref_chosen
    return other


@given(pair=PAIRS, beta=st.sampled_from([0.1, 5.0]))
def test_spin_is_the_logistic_loss(pair: Pair, beta: float) -> None:
    # SPIN, eq. 4.7 with l(t) = log(1 + exp(-t)); the human answer is the chosen one.
    real, generated = pair.logratios
    expected = np.log1p(np.exp(-(beta * real - beta * generated)))
    assert ours([pair], "sigmoid", beta)[0] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(pair=PAIRS, alpha=st.floats(0, 2))
def test_iterative_rpo_adds_each_sequences_own_mean(pair: Pair, alpha: float) -> None:
    expected = dpo(pair, 0.1) - alpha * pair.chosen.mean()
    assert ours([pair], "sigmoid", 0.1, alpha)[0] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(pairs=st.lists(PAIRS, min_size=1, max_size=4), weights=st.lists(SHARES, min_size=4))
def test_scpo_weighs_both_terms_of_each_pair(pairs: list[Pair], weights: list[float]) -> None:
    weights = weights[: len(pairs)]
    found = ours(pairs, "sigmoid", 0.5, 1.0, weight=weights)
    expected = [w * dpo(p, 0.5) + w * -p.chosen.mean() for w, p in zip(weights, pairs, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@given(pair=PAIRS, consistency=SHARES)
def test_cream_mixes_the_pair_with_the_flipped_one(pair: Pair, consistency: float) -> None:
    expected = consistency * dpo(pair, 0.1) + (1 - consistency) * dpo(flipped(pair), 0.1)
    found = ours([pair], "sigmoid", 0.1, soft_label=[consistency])
    assert found[0] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(pair=PAIRS, label=SHARES, beta=st.floats(0.05, 2))
def test_hinge_and_ipo(pair: Pair, label: float, beta: float) -> None:
    won, lost = pair.logratios
    hinge = label * max(0.0, 1 - beta * (won - lost))
    hinge += (1 - label) * max(0.0, 1 - beta * (lost - won))
    assert ours([pair], "hinge", beta, soft_label=[label])[0] == pytest.approx(hinge, abs=1e-9)
    per_token = won / len(pair.chosen) - lost / len(pair.rejected)
    ipo = label * (per_token - 0.5 / beta) ** 2 + (1 - label) * (per_token + 0.5 / beta) ** 2
    assert ours([pair], "ipo", beta, soft_label=[label])[0] == pytest.approx(ipo, rel=1e-9)


@given(pair=PAIRS, scores=st.lists(st.floats(-4, 4), min_size=2, max_size=6))
def test_sppo_regresses_on_win_rates(pair: Pair, scores: list[float]) -> None:
    # As SPPO's code has it: P[i, j] = sigmoid(s_i - s_j), means over all samples of the prompt.
    wins = 1 / (1 + np.exp(np.array(scores)[None, :] - np.array(scores)[:, None]))
    rates = wins.mean(axis=1)
    best, worst = rates[np.argmax(scores)], rates[np.argmin(scores)]
    won, lost = pair.logratios
    expected = ((won - (best - 0.5) / 1e-3) ** 2 + (lost - (worst - 0.5) / 1e-3) ** 2) / 2
    found = ours([pair], "sppo", 1e-3, chosen_win_rate=[best], rejected_win_rate=[worst])
    assert found[0] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_sppo_is_content_where_both_log_ratios_are_what_the_win_rates_ask_for() -> None:
    pair = Pair([-1.0, -2.0], [-3.0], [-0.15, 0.2])  # log-ratios 0.3 and -0.2
    found = ours([pair], "sppo", 1.0, chosen_win_rate=[0.8], rejected_win_rate=[0.3])
    assert found[0] == pytest.approx(0, abs=1e-15)


@given(pair=PAIRS, loss=st.sampled_from(["sigmoid", "hinge", "ipo"]))
def test_a_soft_label_of_zero_is_the_flipped_pair(pair: Pair, loss: str) -> None:
    soft = ours([pair], loss, 0.3, soft_label=[0.0])
    np.testing.assert_allclose(soft, ours([flipped(pair)], loss, 0.3), rtol=1e-12)
