"""How chat messages become tokens: one form for sampling, scoring and training.

A tokenizer's chat template is used where it has one. Without a template, every message becomes
its content and a newline, roles dropped, after the tokenizer's own leading special tokens; the
completion is its content and the end-of-sequence token. A prompt whose last message is the
assistant's is an answer that was begun: the model goes on with it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import NamedTuple, cast

from transformers import PreTrainedTokenizerBase

from tasks.engines.base import Messages, begun_answer


class EncodedRow(NamedTuple):
    """Token ids of a prompt and of the completion after it."""

    prompt: list[int]
    completion: list[int]


def encode_prompts(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Messages]
) -> list[list[int]]:
    """Token ids of each prompt, ending where the assistant's answer begins.

    Args:
        tokenizer: With or without a chat template.
        prompts: Chat messages; equal prompts are encoded once.

    Returns:
        One list per prompt.
    """
    keys = [json.dumps(messages, sort_keys=True) for messages in prompts]
    distinct = dict(zip(keys, prompts, strict=True))
    if not distinct:
        return []
    rendered = _render_prompts(tokenizer, list(distinct.values()))
    ids = _encode(tokenizer, rendered)
    known = dict(zip(distinct, ids, strict=True))
    return [known[key] for key in keys]


def encode_completion(
    tokenizer: PreTrainedTokenizerBase, text: str, stop_tokens: Collection[int]
) -> list[int]:
    """Token ids of an answer, and the end-of-sequence token where there is one.

    Args:
        tokenizer: Its own end-of-sequence token is the one that is put.
        text: The answer.
        stop_tokens: The model's; the lowest is put where the tokenizer has none of its own.
    """
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    end = tokenizer.eos_token_id
    if end is None and stop_tokens:
        end = min(stop_tokens)
    return ids if end is None else [*ids, end]


def find_stop_tokens(*sources: int | Sequence[int] | None) -> frozenset[int]:
    """The tokens that end a sample.

    Args:
        sources: The `eos_token_id` of the generation config, the config and the tokenizer; each
            may name none, one or several.
    """
    found: set[int] = set()
    for value in sources:
        if isinstance(value, int):
            found.add(value)
        elif value is not None:
            found.update(value)
    return frozenset(found)


def encode_rows(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Messages],
    completions: Sequence[Messages],
) -> list[EncodedRow]:
    """Token ids of prompts with the completions that a model is trained on.

    The completion starts where the encoded prompt and the encoded whole diverge, as in TRL. It
    always holds an end-of-sequence token, also when the chat template renders none: a model
    trained without one would never end its answers.

    Args:
        tokenizer: With or without a chat template.
        prompts: Chat messages of each row.
        completions: The assistant's messages of each row.

    Returns:
        One row per prompt.
    """
    prompt_ids = encode_prompts(tokenizer, prompts)
    if tokenizer.chat_template is not None:
        chats = [[*prompt, *answer] for prompt, answer in zip(prompts, completions, strict=True)]
        rendered = _apply_template(tokenizer, chats, add_generation_prompt=False)
        whole_ids = _encode(tokenizer, rendered)
    else:
        texts = ["\n".join(message["content"] for message in answer) for answer in completions]
        answers = _encode(tokenizer, texts)
        whole_ids = [[*prompt, *answer] for prompt, answer in zip(prompt_ids, answers, strict=True)]
    return [
        _split(prompt, whole, tokenizer.eos_token_id)
        for prompt, whole in zip(prompt_ids, whole_ids, strict=True)
    ]


def _render_prompts(tokenizer: PreTrainedTokenizerBase, prompts: list[Messages]) -> list[str]:
    """The text of each prompt with all its special tokens, and what is begun of its answer."""
    begun = [begun_answer(prompt) for prompt in prompts]
    asked = [prompt[:-1] if start else prompt for prompt, start in zip(prompts, begun, strict=True)]
    texts = _render_asked(tokenizer, asked)
    return [text + start for text, start in zip(texts, begun, strict=True)]


def _render_asked(tokenizer: PreTrainedTokenizerBase, prompts: list[Messages]) -> list[str]:
    if tokenizer.chat_template is not None:
        return _apply_template(tokenizer, prompts, add_generation_prompt=True)
    # A leading special token (a BOS) is what the tokenizer puts before an empty text.
    start = tokenizer.bos_token or ""
    leads = bool(start) and tokenizer("").input_ids[:1] == [tokenizer.bos_token_id]
    lead = start if leads else ""
    return [lead + "".join(f"{message['content']}\n" for message in prompt) for prompt in prompts]


def _apply_template(
    tokenizer: PreTrainedTokenizerBase, chats: list[Messages], add_generation_prompt: bool
) -> list[str]:
    """The texts of chats by the tokenizer's own template."""
    texts = tokenizer.apply_chat_template(
        chats, tokenize=False, add_generation_prompt=add_generation_prompt
    )
    return cast("list[str]", texts)


def _encode(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Token ids of texts that already hold their special tokens."""
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return ids


def _split(prompt: list[int], whole: list[int], end: int | None) -> EncodedRow:
    """The whole, split where it leaves the prompt, and ended."""
    length = 0
    for expected, found in zip(prompt, whole, strict=False):
        if expected != found:
            break
        length += 1
    completion = whole[length:]
    if end is not None and end not in completion:
        completion = [*completion, end]
    return EncodedRow(whole[:length], completion)
