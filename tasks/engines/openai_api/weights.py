"""Which model a server serves, and whether its weights are those of a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from tasks.engines.openai_api.endpoints import Endpoint
from tasks.engines.openai_api.failures import RequestError
from tasks.errors import EngineError


class ServedModel(NamedTuple):
    """A model as its server describes it.

    Attributes:
        name: What requests call it.
        is_vllm: Whether the server is vLLM.
        is_verified: Whether the server says that it loaded the folder asked for.
    """

    name: str
    is_vllm: bool
    is_verified: bool


def find_model(
    endpoint: Endpoint, answer: bytes | RequestError, model: str | None, folder: str
) -> ServedModel:
    """The model that a server is to be asked for.

    Args:
        endpoint: The server.
        answer: What it answered when asked for its models.
        model: Its name; None for the only one.
        folder: The model folder whose weights are expected.

    Raises:
        EngineError: If it refuses, lists no models, or not that one.
    """
    url = endpoint.url
    if isinstance(answer, RequestError):
        hint = "; set api_key_env" if answer.status in (401, 403) else ""
        raise EngineError(f"{url} does not tell its models: {answer}{hint}")
    entries: dict[str, dict[str, Any]] = {}
    try:
        entries = {str(entry["id"]): entry for entry in json.loads(answer)["data"]}
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{url}/models is no list of models: {answer[:200]!r}") from error
    names = ", ".join(map(repr, entries)) or "none"
    if model is None and len(entries) != 1:
        raise EngineError(f"{url} has the models {names}: name one of them with the option model")
    name = next(iter(entries)) if model is None else model
    if name not in entries:
        raise EngineError(
            f"{url} serves {names}, not {name!r}: change the option model or base_urls"
        )
    root = entries[name].get("root")
    is_verified = isinstance(root, str) and _is_same(root, folder)
    return ServedModel(name, entries[name].get("owned_by") == "vllm", is_verified)


def _is_same(root: str, folder: str) -> bool:
    return Path(root).is_absolute() and Path(root).resolve() == Path(folder).resolve()
