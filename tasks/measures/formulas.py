"""What token log-probabilities say of a completion: equations over numbers, without models or rows.

`logprobs` are natural log-probabilities of a completion's tokens given what stands before them,
log p(y_t | x, y_<t), at temperature 1. A result is not finite where a token had no probability.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def sum_logprob(logprobs: Sequence[float]) -> float:
    """log p(y | x) = sum_t log p(y_t | x, y_<t), in nats.

    Example:
        >>> sum_logprob([-1.0, -0.5])
        -1.5
    """
    return math.fsum(logprobs)


def mean(values: Sequence[float]) -> float:
    """The mean over tokens; of log-probabilities it is minus the cross-entropy per token.

    Raises:
        ValueError: If there are no tokens.
    """
    if not values:
        raise ValueError("a mean over no tokens; expected at least one")
    return math.fsum(values) / len(values)


def perplexity(logprobs: Sequence[float]) -> float:
    """exp(-1/T sum_t log p(y_t | x, y_<t)), at least 1.

    Raises:
        ValueError: If there are no tokens.

    Example:
        >>> round(perplexity([math.log(0.5), math.log(0.125)]), 9)
        4.0
    """
    loss = -mean(logprobs)
    return math.exp(loss) if loss < 700 else math.inf


def implicit_reward(policy: float, reference: float, beta: float) -> float:
    """beta * (log pi(y | x) - log pi_ref(y | x)): what a policy learned to prefer.

    It is the reward up to a term that depends on x alone, so it compares completions of one prompt.

    Args:
        policy: log pi(y | x), the sum over tokens.
        reference: log pi_ref(y | x), the sum over tokens.
        beta: Strength of the KL penalty that the policy was trained with, or 1 for the log-ratio.

    Source: Rafailov et al., "Direct Preference Optimization" (2305.18290), equation 5; as a score
        of a model's own samples: Wang et al., "CREAM" (2410.12735).

    Example:
        >>> implicit_reward(-2.0, -5.0, 0.1)
        0.30000000000000004
    """
    return beta * (policy - reference)


def p_true(true_logprob: float, false_logprob: float) -> float:
    """P(True) / (P(True) + P(False)), in [0, 1], from the log-probabilities of both answers.

    Source: Kadavath et al., "Language Models (Mostly) Know What They Know" (2207.05221), section 4;
        normalised over the two answers.

    Example:
        >>> round(p_true(math.log(0.3), math.log(0.1)), 9)
        0.75
    """
    gap = true_logprob - false_logprob
    # Two forms, so that exp never overflows.
    return 1 / (1 + math.exp(-gap)) if gap >= 0 else math.exp(gap) / (1 + math.exp(gap))


def perplexity_gap(with_query: Sequence[float], without_query: Sequence[float]) -> float:
    """ppl(y) - ppl(y | x): how much the query helps to predict the completion; below 0: it harms.

    Args:
        with_query: Log-probabilities of the completion's tokens after the query.
        without_query: The same without it.
    """
    return perplexity(without_query) - perplexity(with_query)


def ifd(with_query: Sequence[float], without_query: Sequence[float]) -> float:
    """Instruction-following difficulty ppl(y | x) / ppl(y): near 0 easy, above 1 misaligned.

    Args:
        with_query: Log-probabilities of the completion's tokens after the query.
        without_query: The same without it.

    Source: Li et al., "Superfiltering" (2402.00530); the first version (Cherry LLM,
        2308.12032) divides the losses instead of the perplexities.
    """
    return perplexity(with_query) / perplexity(without_query)


def forward_backward(
    forward: Sequence[float], backward: Sequence[float], forward_weight: float = 0.5
) -> float:
    """w * mean log p(y | x) + (1 - w) * mean log p(x | y): does the answer lead back to the query?

    Means, because x and y differ in length. An answer that is fluent but to another question has a
    low backward term.

    Args:
        forward: Log-probabilities of the answer's tokens after the query.
        backward: Log-probabilities of the query's tokens after the answer.
        forward_weight: w, in [0, 1]; 0 is the backward score alone.

    Source: Li et al., "A Diversity-Promoting Objective Function for Neural Conversation Models"
        (1510.03055), section 3 (the bidirectional form), here per token.
    """
    return forward_weight * mean(forward) + (1 - forward_weight) * mean(backward)
