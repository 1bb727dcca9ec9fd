"""Entropy and self-certainty where vLLM gathers log-probabilities, against float64."""

import sys
from types import SimpleNamespace

import pytest
import torch

NUM_TOKENS, VOCABULARY = 40, 1000
TOKENS = torch.arange(NUM_TOKENS) * 7
LOGITS = torch.randn(NUM_TOKENS, VOCABULARY, generator=torch.Generator().manual_seed(0)) * 3


@pytest.fixture(scope="module")
def distributions(vllm_installed):
    from tasks.engines import vllm_distributions

    return vllm_distributions


@pytest.fixture(scope="module")
def expected():
    """(tokens, 3) of the float64 definitions."""
    probabilities = LOGITS.double().softmax(dim=1)
    entropy = -(probabilities * probabilities.log()).sum(dim=1)
    divergence = (1 / VOCABULARY * (1 / VOCABULARY / probabilities).log()).sum(dim=1)
    chosen = probabilities[torch.arange(NUM_TOKENS), TOKENS].log()
    return torch.stack([chosen, entropy, divergence], dim=1).float()


def worker_with(sampler: object) -> SimpleNamespace:
    return SimpleNamespace(model_runner=SimpleNamespace(sampler=sampler))


def test_the_first_runner_reduces_each_row(distributions, expected):
    from vllm.v1.sample.sampler import Sampler

    worker = worker_with(Sampler())
    distributions.ShowsDistributions.show_distributions(worker)
    gather = worker.model_runner.sampler.gather_logprobs
    logprobs = LOGITS.log_softmax(dim=1)
    found = gather(logprobs, distributions.NUM_COLUMNS, TOKENS)
    assert found.logprobs.shape == found.logprob_token_ids.shape == (NUM_TOKENS, 3)
    torch.testing.assert_close(found.logprobs, expected)
    assert found.logprob_token_ids[:, 0].equal(TOKENS.int())
    # Whoever asks for another number of tokens gets those.
    (five,) = gather(logprobs, 5, TOKENS).logprobs[:1]
    torch.testing.assert_close(five[1:], logprobs[0].topk(5).values)


def test_large_vocabularies_are_reduced_in_parts(distributions, expected, monkeypatch):
    monkeypatch.setattr(distributions, "_VALUES_AT_ONCE", 3 * VOCABULARY)
    torch.testing.assert_close(distributions.reduced(LOGITS, TOKENS).logprobs, expected)


def theirs(*arguments, **others):
    return arguments, others


def test_the_second_runner_reduces_each_row(distributions, expected, monkeypatch):
    # Its own function needs a GPU; that ours has its place and its arguments is seen here.
    from vllm.v1.worker.gpu.sample import logprob, prompt_logprob, sampler
    from vllm.v1.worker.gpu.spec_decode import rejection_sampler

    users = (logprob, prompt_logprob, sampler, rejection_sampler)
    assert len({one.compute_topk_scores for one in users}) == 1
    for one in users:
        monkeypatch.setattr(one, "compute_topk_scores", theirs)
    distributions.show_in(sys.modules)
    module = logprob
    assert {one.compute_topk_scores for one in users} == {module.compute_topk_scores} != {theirs}
    bounds = list(range(NUM_TOKENS + 1))
    found = module.compute_topk_scores(
        LOGITS, distributions.NUM_COLUMNS, TOKENS, bounds, max_per_req_token_ids=0
    )
    torch.testing.assert_close(found.logprobs, expected)
    assert found.cu_num_generated_tokens == bounds
    assert found.cu_num_generated_tokens_tensor is None
    on_device = module.compute_topk_scores(LOGITS, 2, TOKENS, torch.tensor(bounds))
    assert on_device.cu_num_generated_tokens is None
    assert on_device.cu_num_generated_tokens_tensor.tolist() == bounds
    others = module.compute_topk_scores(LOGITS, 5, TOKENS, logits_mode=True)
    assert others == ((LOGITS, 5, TOKENS, None), {"logits_mode": True})
