"""Engines: serve a model in a process of its own; generate samples and score completions.

`open_engine` is the entry. An engine knows prompts, tokens and log-probabilities; it knows no
tables, answers or rewards. Importing this package loads no model library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError

from tasks.engines.base import (
    Completion,
    Engine,
    FinishReason,
    GenerationRequest,
    Messages,
    OnProgress,
)
from tasks.engines.model_folder import check_model_folder, weight_hash
from tasks.errors import OptionError, UnknownNameError

__all__ = [
    "ENGINES",
    "Completion",
    "Engine",
    "FinishReason",
    "GenerationRequest",
    "Messages",
    "OnProgress",
    "check_model_folder",
    "open_engine",
    "weight_hash",
]

Options = BaseModel | Mapping[str, object] | None


def _open_transformers(model_path: str | Path, options: Options) -> Engine:
    from tasks.engines.transformers_engine import TransformersEngine, TransformersOptions

    values = options.model_dump() if isinstance(options, BaseModel) else dict(options or {})
    return TransformersEngine(model_path, TransformersOptions.model_validate(values))


# Name -> opener. An opener imports its engine itself, so that a missing optional package only
# matters to those who ask for that engine.
ENGINES: dict[str, Callable[[str | Path, Options], Engine]] = {
    "transformers": _open_transformers,
}


def open_engine(name: str, model_path: str | Path, options: Options = None) -> Engine:
    """A started engine that serves a model; use it in a `with` statement.

    Args:
        name: A key of `ENGINES`.
        model_path: The model's local folder.
        options: The engine's own options, as its options model or as a mapping.

    Returns:
        An engine that is ready to serve.

    Raises:
        UnknownNameError: If there is no engine of that name.
        OptionError: If an option is unknown or out of range.
        ModelFolderError: If the folder lacks something that loading needs.
        EngineError: If the engine's process does not come up.
    """
    if name not in ENGINES:
        raise UnknownNameError(f"unknown engine {name!r}; known engines: {', '.join(ENGINES)}")
    try:
        return ENGINES[name](model_path, options)
    except ValidationError as error:
        details = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']} (given: {item['input']!r})"
            for item in error.errors()
        )
        raise OptionError(f"options of engine {name!r}: {details}") from error
