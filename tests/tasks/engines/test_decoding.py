from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tasks.engines.decoding import decode_batch, score_batch
from tasks.engines.sampler import Row

PROMPTS = [[2, 40, 41, 42, 3], [2, 60, 3], [2, 70, 71, 72, 73, 74, 75, 3]]
STOPS = frozenset({1, 5, 9, 77, 100, 150, 200, 201, 202, 203, 204, 205})


@pytest.fixture(params=["tiny_llama", "tiny_smollm3"])
def model(request):
    return AutoModelForCausalLM.from_pretrained(request.getfixturevalue(request.param)).eval()


def make_rows(n: int, temperature: float = 1.0, max_new_tokens: int = 24) -> list[Row]:
    return [
        Row(prompt, 100 * prompt + i, temperature, 1.0, 0, max_new_tokens)
        for prompt in range(len(PROMPTS))
        for i in range(n)
    ]


def full_logprobs(model: Any, prompt: list[int], tokens: list[int]) -> torch.Tensor:
    """Raw log-probabilities (tokens, vocab) by one pass without cache or padding."""
    with torch.no_grad():
        logits = model.double()(torch.tensor([prompt + tokens])).logits[0]
    scores: torch.Tensor = logits
    return scores[len(prompt) - 1 : -1].log_softmax(dim=-1)


def test_statistics_are_those_of_the_raw_model(model):
    rows = make_rows(6, temperature=0.8)
    results = decode_batch(model, PROMPTS, rows, STOPS, pad_token=0)
    assert len({len(result.tokens) for result in results}) > 3
    for row, result in zip(rows, results, strict=True):
        logprobs = full_logprobs(model, PROMPTS[row.prompt], result.tokens)
        chosen = logprobs.gather(1, torch.tensor(result.tokens)[:, None])
        entropy = -(logprobs.exp() * logprobs).sum()
        assert result.sum_logprob == pytest.approx(chosen.sum().item(), abs=1e-3)
        assert result.min_logprob == pytest.approx(chosen.min().item(), abs=1e-3)
        assert result.sum_entropy == pytest.approx(entropy.item(), abs=1e-3)
        assert result.is_stopped == (result.tokens[-1] in STOPS)
        assert not STOPS & set(result.tokens[:-1])
        assert result.is_stopped or len(result.tokens) == row.max_new_tokens


def test_greedy_rows_are_those_of_generate(model):
    results = decode_batch(model, PROMPTS, make_rows(1, temperature=0.0), STOPS, pad_token=0)
    for prompt, result in zip(PROMPTS, results, strict=True):
        expected = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=24,
            do_sample=False,
            eos_token_id=sorted(STOPS),
            pad_token_id=0,
        )[0, len(prompt) :]
        assert result.tokens == expected.tolist()


def test_a_row_is_the_same_in_any_company(model):
    rows = make_rows(8)
    together = decode_batch(model, PROMPTS, rows, STOPS, pad_token=0)
    for row, expected in list(zip(rows, together, strict=True))[::5]:
        alone = Row(0, row.seed, row.temperature, row.top_p, row.top_k, row.max_new_tokens)
        (result,) = decode_batch(model, [PROMPTS[row.prompt]], [alone], STOPS, pad_token=0)
        assert result.tokens == expected.tokens
        assert result.sum_logprob == pytest.approx(expected.sum_logprob, abs=1e-3)


def test_rows_end_at_their_own_limits(model):
    rows = [Row(0, 1, 1.0, 1.0, 0, limit) for limit in (1, 7, 3)]
    results = decode_batch(model, PROMPTS[:1], rows, frozenset(), pad_token=0)
    assert [len(result.tokens) for result in results] == [1, 7, 3]
    assert results[1].tokens[:3] == results[2].tokens


def test_scores_are_those_of_the_raw_model(model):
    completions = [[50, 51, 52, 1], [1], [90, 91]]
    scores = score_batch(model, PROMPTS, completions, pad_token=0)
    for prompt, completion, row in zip(PROMPTS, completions, scores, strict=True):
        logprobs = full_logprobs(model, prompt, completion)
        expected = logprobs.gather(1, torch.tensor(completion)[:, None])[:, 0]
        assert row.logprobs == pytest.approx(expected.tolist(), abs=1e-4)
        entropies = -(logprobs.exp() * logprobs).sum(1)
        assert row.entropies == pytest.approx(entropies.tolist(), abs=1e-4)
        uniform = torch.full_like(logprobs, 1 / logprobs.shape[1])
        divergences = (uniform * (uniform.log() - logprobs)).sum(1)
        assert row.self_certainties == pytest.approx(divergences.tolist(), abs=1e-4)
        model.float()
