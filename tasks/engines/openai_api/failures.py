"""Why a request got no answer, and which of its refusals mean what."""

from __future__ import annotations

import json
import re

# Long bodies are mostly web pages of a proxy; the beginning says what happened.
_MAX_TEXT = 300
_CONTEXT = re.compile(
    r"context[ _-]?(length|window|size)|max_model_len|(prompt|input) is too long|too many tokens",
    re.IGNORECASE,
)
_FILTER = re.compile(r"content[ _-]?(filter|policy|management)|moderation", re.IGNORECASE)


class RequestError(Exception):
    """A request that was not answered.

    Attributes:
        kind: The first word of the samples' `error`.
        text: What happened.
        status: The HTTP status; None where there was no whole answer.
        is_temporary: Whether asking again may help.
    """

    def __init__(
        self, kind: str, text: str, *, status: int | None = None, is_temporary: bool = True
    ) -> None:
        """Keep the parts."""
        super().__init__(f"{kind}: {text}")
        self.kind, self.text, self.status, self.is_temporary = kind, text, status, is_temporary


def refusal(status: int, body: bytes) -> RequestError:
    """What an answer with another status than 200 means.

    Args:
        status: The HTTP status.
        body: The answer.
    """
    text = f"HTTP {status}: {_message(body)}"
    if status == 429:
        return RequestError("rate_limited", text, status=status)
    if status == 408:
        return RequestError("timeout", text, status=status)
    if status >= 500:
        return RequestError("server_error", text, status=status)
    kind = "bad_request"
    if status in (400, 413, 422) and _CONTEXT.search(text):
        kind = "context_overflow"
    elif status in (400, 403) and _FILTER.search(text):
        kind = "content_filter"
    return RequestError(kind, text, status=status, is_temporary=False)


def _message(body: bytes) -> str:
    """The message of an error in OpenAI's form, with what it is about; else the beginning."""
    text = body.decode("utf-8", errors="replace")
    try:
        answer = json.loads(text)
        error = answer.get("error", answer)
        parts = [error["message"], error.get("param"), error.get("code")]
        text = " ".join(str(part) for part in parts if part not in (None, ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return " ".join(text[:_MAX_TEXT].split()) or "no text"
