"""What a server answered, read with suspicion."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import orjson  # with log-probabilities, reading the JSON is most of the work

from tasks.engines.base import Completion, FinishReason, GenerationRequest
from tasks.engines.openai_api.failures import RequestError

_FINISH: dict[object, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "eos_token": "stop",  # text-generation-inference
    "stop_sequence": "stop",  # text-generation-inference
    "tool_calls": "stop",
}


class Reply(NamedTuple):
    """The samples of one answer by their index in the request, and the tokens it took."""

    completions: dict[int, Completion]
    prompt_tokens: int
    completion_tokens: int


class _Tokens(NamedTuple):
    """How many tokens a choice has, where it says so, and their log-probabilities."""

    num: int | None
    logprobs: list[float]


def read_chat(raw: bytes, request: GenerationRequest, first: int, count: int) -> Reply:
    """The samples in the answer to a chat completion request.

    Args:
        raw: The body of the answer.
        request: What was asked.
        first: Index of the first sample that was asked for.
        count: How many were asked for; the answer may hold fewer.

    Raises:
        RequestError: `malformed_response`, if it is not what was asked for.
    """
    try:
        return _read_chat(orjson.loads(raw), request, first, count)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise malformed(f"{type(error).__name__}: {error}", raw) from error


def read_prompt_logprobs(raw: bytes, num_tokens: int) -> list[float]:
    """The log-probabilities of an echoed prompt's tokens but the first, which has none.

    Args:
        raw: The body of the answer to a completion request with echo and logprobs.
        num_tokens: Tokens of the prompt.

    Raises:
        RequestError: `malformed_response`; `unsupported`, if there are no log-probabilities.
    """
    try:
        found = orjson.loads(raw)["choices"][0].get("logprobs")
        if found is None or len(found["token_logprobs"]) < num_tokens:
            raise RequestError(
                "unsupported",
                "the server gives no log-probabilities of an echoed prompt",
                is_temporary=False,
            )
        return _finite(found["token_logprobs"][1:num_tokens])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise malformed(f"{type(error).__name__}: {error}", raw) from error


def malformed(reason: str, raw: bytes) -> RequestError:
    """The error of an answer that can't be read."""
    start = raw[:120].decode("utf-8", errors="replace")
    return RequestError("malformed_response", f"{reason}; it begins with {start!r}", status=200)


def _read_chat(answer: dict[str, Any], request: GenerationRequest, first: int, count: int) -> Reply:
    choices: dict[int, dict[str, Any]] = {}
    for choice in answer["choices"]:
        index = choice.get("index", 0)
        if type(index) is not int or not 0 <= index < count:
            raise ValueError(f"choice {index!r} of {count} that were asked for")
        if index in choices:
            raise ValueError(f"choice {index} is there twice")
        choices[index] = choice
    if not choices:
        raise ValueError("no choices")
    tokens = {index: _tokens(choice) for index, choice in choices.items()}
    usage = answer.get("usage") or {}
    total = usage.get("completion_tokens")
    if any(found.num is None for found in tokens.values()):
        tokens = _apportioned(choices, tokens, total)
    num_prompt = usage.get("prompt_tokens")
    completions = {
        first + index: _completion(request, first + index, choice, tokens[index], num_prompt)
        for index, choice in choices.items()
    }
    counted = sum(found.num or 0 for found in tokens.values())
    return Reply(completions, int(num_prompt or 0), counted if total is None else int(total))


def _completion(
    request: GenerationRequest,
    index: int,
    choice: dict[str, Any],
    tokens: _Tokens,
    num_prompt: int | None,
) -> Completion:
    """One choice as a sample, or as the reason why it is none."""
    message, reason = choice["message"], choice.get("finish_reason")
    text, error = message.get("content"), None
    if reason == "content_filter":
        error = "content_filter: the server cut this sample off"
    elif text is None:
        refused = message.get("refusal")
        error = f"no_content: the server gave {refused or 'null instead of a text'}"
    elif not isinstance(text, str):
        raise TypeError(f"content is {type(text).__name__}")
    elif reason not in _FINISH:
        raise ValueError(f"finish_reason {reason!r}")
    if error is not None:
        return Completion(
            request.id, index, request.seed + index, "", 0, "error",
            num_prompt_tokens=num_prompt, error=error,
        )  # fmt: skip
    values = tokens.logprobs
    total = math.fsum(values) if values else None
    return Completion(
        request.id,
        index,
        request.seed + index,
        text,
        tokens.num or 0,
        _FINISH[reason],
        sum_logprob=total,
        mean_logprob=None if total is None else total / len(values),
        min_logprob=min(values, default=None),
        num_prompt_tokens=num_prompt,
    )


def _tokens(choice: dict[str, Any]) -> _Tokens:
    """What a choice itself says of its tokens."""
    entries = (choice.get("logprobs") or {}).get("content")
    if entries is not None:
        return _Tokens(len(entries), _finite([entry["logprob"] for entry in entries]))
    ids = choice.get("token_ids")
    return _Tokens(None if ids is None else len(ids), [])


def _apportioned(
    choices: dict[int, dict[str, Any]], tokens: dict[int, _Tokens], total: object
) -> dict[int, _Tokens]:
    """Token counts where only their sum is told: shared out by the lengths of the texts."""
    if type(total) is not int or total < 0:
        raise ValueError("neither usage.completion_tokens nor log-probabilities count the tokens")
    lengths = [len(choice["message"].get("content") or "") for choice in choices.values()]
    whole, counts, passed, given = sum(lengths) or 1, {}, 0, 0
    for index, length in zip(choices, lengths, strict=True):
        passed += length
        share = round(total * passed / whole) - given
        given += share
        counts[index] = _Tokens(share, tokens[index].logprobs)
    return counts


def _finite(logprobs: list[float]) -> list[float]:
    if not math.isfinite(math.fsum(logprobs)):  # a TypeError if one is no number
        raise ValueError("a log-probability is not finite")
    return logprobs
