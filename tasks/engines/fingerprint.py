"""What a completion follows from: the engine's fingerprint, and the digest of a request to it.

Two requests of one digest ask for the same: a sample that answers one of them, of the right seed,
answers the other one. Seed and number of samples are no part of it, so that groups of other sizes
and those that a draw rule ended early share their samples.

The prompt counts by its messages and by all that the tokenizer makes token ids of them with. So a
digest is known without an engine, and one that nobody has to ask is not started.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tasks.engines.base import EngineOptions, GenerationRequest
from tasks.errors import ModelFolderError

# Changes when our own code draws other completions for the same request and seed, or measures more
# of them; by engine, 1 for the others.
_REVISIONS = {"vllm": 2}
# Tokenizer, chat templates, shape and end tokens of a model: all its texts but these.
_SUFFIXES = {".json", ".jinja", ".model", ".txt", ".tiktoken"}
_IGNORED_FILES = {"selfloom.json", "model.safetensors.index.json"}
# Where a model was saved from, and by which version, changes nothing that it says.
_IGNORED_KEYS = {"_name_or_path", "name_or_path", "transformers_version"}
# A chat template that asks for the time (Llama 3 tells the model the day) renders other prompts
# on another day.
_CLOCK = b"strftime_now"
_DATED = "+day"


def fingerprint_of(
    name: str, model_path: str | Path, weight_hash: str, options: EngineOptions
) -> str:
    """Hash of all that completions follow from beside the request.

    That is the engine's name and the versions of its packages, its options but those that only
    say how fast it is, the weights, and the folder's other files.

    Args:
        name: The engine.
        model_path: The model's folder.
        weight_hash: Hash of the weights, with an adapter's if there is one.
        options: The engine's options.

    Raises:
        ModelFolderError: If a file of the folder can't be read.
    """
    files = dict(_files(Path(model_path)))
    kept = options.model_dump(mode="json", exclude=set(options.SPEED_ONLY))
    digests = {place: hashlib.sha256(content).hexdigest() for place, content in files.items()}
    parts = [_REVISIONS.get(name, 1), name, _versions(options.PACKAGES), weight_hash, kept, digests]
    found = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return found + _DATED if any(_CLOCK in content for content in files.values()) else found


def request_digest(fingerprint: str, request: GenerationRequest) -> str:
    """Hash of what a request asks an engine, whatever its id, seed and number of samples.

    Args:
        fingerprint: The engine's.
        request: What is asked.

    Returns:
        32 hexadecimal digits.
    """
    structure = request.structure
    asked = [
        fingerprint,
        date.today().isoformat() if fingerprint.endswith(_DATED) else "",
        request.messages,
        [float(request.temperature), float(request.top_p)],
        [request.top_k, request.max_new_tokens, request.stop],
        structure and [structure.json_schema, structure.regex, structure.choices],
    ]
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@cache
def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    """The versions of those that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """(place in the folder, what counts of its content) of all files that are no weights."""
    for path in sorted([*folder.glob("*"), *folder.glob("additional_chat_templates/*")]):
        if path.suffix not in _SUFFIXES or path.name in _IGNORED_FILES or not path.is_file():
            continue
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelFolderError(f"{path} can't be read: {error}") from error
        yield path.relative_to(folder).as_posix(), _without_origin(path, content)


def _without_origin(path: Path, content: bytes) -> bytes:
    if path.suffix != ".json":
        return content
    try:
        values = json.loads(content)
    except ValueError:
        return content
    if not isinstance(values, dict) or not values.keys() & _IGNORED_KEYS:
        return content
    kept = {key: value for key, value in values.items() if key not in _IGNORED_KEYS}
    return json.dumps(kept, sort_keys=True).encode()
