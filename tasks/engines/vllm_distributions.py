"""Whole distributions in vLLM: their entropy and self-certainty, next to each log-probability.

vLLM hands out log-probabilities of chosen tokens only; a row of a whole vocabulary for every token
would be more than everything else it sends. So its workers reduce each row where it is, and the two
numbers travel in the columns of the two most likely tokens, which nobody here asks for.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import torch
from vllm.v1.outputs import LogprobsTensors

from tasks.engines.decoding import entropy, self_certainty

NUM_COLUMNS = 2
"""What to ask vLLM for, as `logprobs` or `prompt_logprobs`, to get them."""

# Rows are reduced in parts of about so many values, so that a large vocabulary needs little memory.
_VALUES_AT_ONCE = 2**23


class ShowsDistributions:
    """What vLLM's workers can do beside their own (vLLM's `worker_extension_cls`)."""

    def show_distributions(self) -> None:
        """From now on, two columns of log-probabilities are entropy and self-certainty.

        vLLM has two model runners: one gathers log-probabilities by a method of its sampler, the
        other by a function, which its modules have each bound for themselves.
        """
        sampler = self.model_runner.sampler  # type: ignore[attr-defined]
        if hasattr(sampler, "gather_logprobs"):
            sampler.gather_logprobs = _of_logprobs(sampler.gather_logprobs)
        else:
            show_in(sys.modules)


def show_in(modules: Mapping[str, ModuleType]) -> None:
    """Let vLLM's second model runner reduce distributions.

    Args:
        modules: All that were imported, by name.
    """
    from vllm.v1.worker.gpu.sample import logprob

    theirs = logprob.compute_topk_scores
    ours = _of_logits(theirs)
    for name, module in list(modules.items()):
        if name.startswith("vllm.") and vars(module).get("compute_topk_scores") is theirs:
            module.compute_topk_scores = ours  # type: ignore[attr-defined]


def _of_logprobs(gather: Any) -> Any:
    """In place of `Sampler.gather_logprobs` of the first model runner."""

    def gather_logprobs(
        logprobs: torch.Tensor, num_logprobs: int, token_ids: torch.Tensor
    ) -> LogprobsTensors:
        if num_logprobs != NUM_COLUMNS:
            return gather(logprobs, num_logprobs, token_ids)
        return reduced(logprobs, token_ids)

    return gather_logprobs


def _of_logits(compute: Any) -> Any:
    """In place of `compute_topk_scores` of the second model runner."""

    def compute_topk_scores(
        logits: torch.Tensor,
        num_logprobs: int,
        sampled_token_ids: torch.Tensor,
        cu_num_logits: list[int] | torch.Tensor | None = None,
        **others: Any,
    ) -> LogprobsTensors:
        if num_logprobs != NUM_COLUMNS:
            return compute(logits, num_logprobs, sampled_token_ids, cu_num_logits, **others)
        found = reduced(logits, sampled_token_ids)
        is_tensor = isinstance(cu_num_logits, torch.Tensor)
        return found._replace(
            cu_num_generated_tokens=None if is_tensor else cu_num_logits,
            cu_num_generated_tokens_tensor=cu_num_logits if is_tensor else None,
        )

    return compute_topk_scores


def reduced(logits: torch.Tensor, token_ids: torch.Tensor) -> LogprobsTensors:
    """Log-probability, entropy and self-certainty, in the columns of vLLM's log-probabilities.

    Args:
        logits: (tokens, vocabulary); log-probabilities are logits too.
        token_ids: (tokens,) of the tokens whose log-probabilities count.

    Returns:
        Its `logprobs` are (tokens, 3); the token ids of the last two and the ranks say nothing.
    """
    size = max(1, _VALUES_AT_ONCE // logits.shape[1])
    columns = []
    for part, chosen in zip(logits.split(size), token_ids.split(size), strict=True):
        logprobs = part.float().log_softmax(dim=1)
        mine = logprobs.gather(1, chosen[:, None])[:, 0]
        columns.append(torch.stack([mine, entropy(logprobs), self_certainty(logprobs)], dim=1))
    ids = token_ids[:, None].expand(-1, 1 + NUM_COLUMNS).to(torch.int32)
    return LogprobsTensors(ids, torch.cat(columns), torch.zeros_like(token_ids))
