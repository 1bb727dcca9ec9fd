"""Engines: serve a model in a process of its own; generate samples and score completions.

`open_engine` is the entry. An engine knows prompts, tokens and log-probabilities; it knows no
tables, answers or rewards. Importing this package loads no model library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from tasks.engines.base import (
    Completion,
    Engine,
    EngineOptions,
    FinishReason,
    GenerationRequest,
    Messages,
    OnProgress,
    Structure,
    TokenScores,
    failed,
)
from tasks.engines.fingerprint import fingerprint_of, request_digest
from tasks.engines.model_folder import check_model_folder, weight_hash
from tasks.errors import OptionError, UnknownNameError

if TYPE_CHECKING:
    from tasks.engines.openai_api.options import OpenAIOptions
    from tasks.engines.transformers_engine import TransformersOptions
    from tasks.engines.vllm_engine import VllmOptions

__all__ = [
    "ENGINES",
    "Completion",
    "Engine",
    "EngineOptions",
    "FinishReason",
    "GenerationRequest",
    "Messages",
    "OnProgress",
    "Structure",
    "TokenScores",
    "check_engine",
    "check_model_folder",
    "engine_fingerprint",
    "failed",
    "open_engine",
    "request_digest",
    "weight_hash",
]

Options = BaseModel | Mapping[str, object] | None


def _values(options: Options) -> dict[str, object]:
    return options.model_dump() if isinstance(options, BaseModel) else dict(options or {})


def _transformers_options(options: Options) -> TransformersOptions:
    from tasks.engines.transformers_engine import TransformersOptions

    return TransformersOptions.model_validate(_values(options))


def _open_transformers(model_path: str | Path, options: Options) -> Engine:
    from tasks.engines.transformers_engine import TransformersEngine

    return TransformersEngine(model_path, _transformers_options(options))


def _vllm_options(options: Options) -> VllmOptions:
    from tasks.engines.vllm_engine import VllmOptions, check_vllm

    check_vllm()
    return VllmOptions.model_validate(_values(options))


def _open_vllm(model_path: str | Path, options: Options) -> Engine:
    from tasks.engines.vllm_engine import VllmEngine

    return VllmEngine(model_path, _vllm_options(options))


def _openai_options(options: Options) -> OpenAIOptions:
    from tasks.engines.openai_api.options import OpenAIOptions

    return OpenAIOptions.model_validate(_values(options))


def _open_openai(model_path: str | Path, options: Options) -> Engine:
    from tasks.engines.openai_engine import OpenAIEngine

    return OpenAIEngine(model_path, _openai_options(options))


# Name -> opener. An opener imports its engine itself, so that a missing optional package only
# matters to those who ask for that engine.
ENGINES: dict[str, Callable[[str | Path, Options], Engine]] = {
    "transformers": _open_transformers,
    "vllm": _open_vllm,
    "openai": _open_openai,
}
_OPTIONS: dict[str, Callable[[Options], EngineOptions]] = {
    "transformers": _transformers_options,
    "vllm": _vllm_options,
    "openai": _openai_options,
}


def check_engine(name: str, options: Options = None) -> None:
    """Check an engine's name and options without starting anything.

    Args:
        name: A key of `ENGINES`.
        options: The engine's own options, as its options model or as a mapping.

    Raises:
        UnknownNameError: If there is no engine of that name.
        MissingPackageError: If the engine's package is not installed.
        OptionError: If an option is unknown or out of range.
    """
    if name not in ENGINES:
        raise UnknownNameError(f"engine {name!r}: there are {', '.join(ENGINES)}")
    try:
        _OPTIONS[name](options)
    except ValidationError as error:
        details = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']} (given: {item['input']!r})"
            for item in error.errors()
        )
        raise OptionError(f"options of engine {name!r}: {details}") from error


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
        MissingPackageError: If the engine's package is not installed.
        OptionError: If an option is unknown or out of range.
        ModelFolderError: If the folder lacks something that loading needs.
        EngineError: If the engine's process does not come up, or a server serves something else.
    """
    check_engine(name, options)
    return ENGINES[name](model_path, options)


def engine_fingerprint(
    name: str, model_path: str | Path, weight_hash: str, options: Options = None
) -> str:
    """The fingerprint that an engine will have, without starting it.

    Args:
        name: A key of `ENGINES`.
        model_path: The model's local folder.
        weight_hash: Hash of its weights.
        options: The engine's own options, as its options model or as a mapping.

    Raises:
        UnknownNameError: If there is no engine of that name.
        MissingPackageError: If the engine's package is not installed.
        OptionError: If an option is unknown or out of range.
        ModelFolderError: If a file of the folder can't be read.
    """
    check_engine(name, options)
    return fingerprint_of(name, model_path, weight_hash, _OPTIONS[name](options))
