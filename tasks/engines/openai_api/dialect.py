"""What we send, and what servers refuse to take, learned from their refusals."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

from tasks.engines.base import GenerationRequest, Structure, begun_answer
from tasks.engines.openai_api.failures import RequestError

_logger = logging.getLogger(__name__)
_REFUSES_N = re.compile(
    r"[`'\"]n[`'\"]|\bn (must|should|has to|is|>|=|parameter|greater)|\bn[=>]| n$"
    r"|only one (completion )?choice|parameter:? n\b",
    re.IGNORECASE,
)


class Dialect:
    """The form of requests that the servers take.

    Attributes:
        model: The servers' name of the model.
        is_vllm: Whether they know vLLM's own fields.
        one_each: Whether they give one sample per request only.
    """

    def __init__(self, model: str, *, is_vllm: bool, logprobs: bool) -> None:
        """Begin with everything that a full server takes."""
        self.model, self.is_vllm = model, is_vllm
        self.one_each = False
        self._logprobs = logprobs
        self._limit = "max_tokens"

    def body(self, request: GenerationRequest, first: int, count: int) -> dict[str, Any]:
        """The chat completion request for samples `first` to `first + count - 1`.

        Args:
            request: What is asked.
            first: Index of the first sample; vLLM draws choice i with this one's seed + i.
            count: How many.
        """
        body: dict[str, Any] = {
            "model": self.model,
            "messages": request.messages,
            "seed": request.seed + first,
            "temperature": request.temperature,
            "top_p": request.top_p,
            self._limit: request.max_new_tokens,
        }
        if count > 1:
            body["n"] = count
        if request.stop:
            body["stop"] = list(request.stop)
        if self._logprobs:
            body["logprobs"] = True
        if request.structure is not None:
            body.update(_structure_fields(request.structure, self.is_vllm))
        if begun_answer(request.messages):
            if not self.is_vllm:
                raise RequestError(
                    "unsupported",
                    "the server is not vLLM: it can't go on with an answer that was begun",
                    is_temporary=False,
                )
            body.update(add_generation_prompt=False, continue_final_message=True)
        if self.is_vllm:
            # What is not said is taken from the model's generation_config, which may say more.
            body.update(top_k=request.top_k, min_p=0.0, repetition_penalty=1.0)
            if not self._logprobs:
                body["return_token_ids"] = True  # else only the sum over the samples is told
        elif request.top_k:
            body["top_k"] = request.top_k
        return body

    def learn(self, failure: RequestError, body: dict[str, Any]) -> bool:
        """Stop sending what a server refuses.

        Args:
            failure: The refusal.
            body: What was refused.

        Returns:
            Whether the request is worth sending again in its new form.
        """
        if failure.status not in (400, 422) or failure.kind != "bad_request":
            return False
        text = failure.text
        if "max_tokens" in body and "max_completion_tokens" in text:
            self._limit = "max_completion_tokens"
        elif "logprobs" in body and "logprobs" in text:
            if self._logprobs:
                _logger.warning("no log-probabilities: the server refuses them (%s)", text)
            self._logprobs = False
        elif body.get("n", 1) > 1 and _REFUSES_N.search(text):
            self.take_one_each(text)
        else:
            return False
        return True

    def take_one_each(self, reason: str) -> None:
        """From now on, ask for every sample in a request of its own."""
        if not self.one_each:
            _logger.warning("one request per sample: %s", reason)
        self.one_each = True


def _structure_fields(structure: Structure, is_vllm: bool) -> dict[str, Any]:
    """The fields that ask for a structure; only JSON schemas have a form that all servers know."""
    if structure.json_schema is not None:
        schema = {"name": "answer", "schema": json.loads(structure.json_schema), "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    if not is_vllm:
        raise RequestError(
            "unsupported",
            "the server is not vLLM: of structures it knows JSON schemas only",
            is_temporary=False,
        )
    if structure.regex is not None:
        return {"structured_outputs": {"regex": structure.regex}}
    return {"structured_outputs": {"choice": list(structure.choices)}}
