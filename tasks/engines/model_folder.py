"""A model on disk: what its folder must hold, and the hash that names its weights."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any, NamedTuple

from tasks.errors import ModelFolderError

_INDEX = "model.safetensors.index.json"
_BLOCK = 16 * 1024 * 1024


class _Tensor(NamedTuple):
    """Where one tensor lies: file, data type, shape, first byte and number of bytes."""

    file: Path
    dtype: str
    shape: list[int]
    start: int
    num_bytes: int


def check_model_folder(path: str | Path) -> Path:
    """The folder as an absolute path, after checking that a model can be loaded from it.

    Args:
        path: A folder in the Hugging Face layout.

    Raises:
        ModelFolderError: If the folder or one of config, tokenizer and safetensors is missing.
    """
    folder = Path(path).expanduser().absolute()
    if not folder.is_dir():
        raise ModelFolderError(
            f"model folder {str(folder)!r} does not exist; give a local folder "
            "(models are never fetched from a hub)"
        )
    if not (folder / "config.json").is_file():
        raise ModelFolderError(
            f"model folder {str(folder)!r} has no config.json; save the model with "
            "`model.save_pretrained(folder)`"
        )
    tokenizers = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json")
    if not any((folder / name).is_file() for name in tokenizers):
        raise ModelFolderError(
            f"model folder {str(folder)!r} has no tokenizer (none of {', '.join(tokenizers)}); "
            "save it with `tokenizer.save_pretrained(folder)`"
        )
    _weight_files(folder)
    return folder


def weight_hash(model_dir: str | Path) -> str:
    """The SHA-256 of a model's tensors: names, data types, shapes and bytes.

    The number and order of the safetensors files and their metadata don't count, so the same
    weights have the same hash however they were sharded.

    Args:
        model_dir: A folder with safetensors weights.

    Returns:
        64 hexadecimal digits.

    Raises:
        ModelFolderError: If the folder has no safetensors weights or they are damaged.
    """
    tensors: dict[str, _Tensor] = {}
    for file in _weight_files(Path(model_dir)):
        tensors.update(_read_header(file))
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        header = json.dumps([name, tensor.dtype, tensor.shape, tensor.num_bytes])
        digest.update(header.encode() + b"\n")
        with tensor.file.open("rb") as stream:
            stream.seek(tensor.start)
            left = tensor.num_bytes
            while left:
                block = stream.read(min(left, _BLOCK))
                if not block:
                    raise ModelFolderError(f"{tensor.file} is cut off inside tensor {name!r}")
                digest.update(block)
                left -= len(block)
    return digest.hexdigest()


def adapted_weight_hash(model_dir: str | Path, adapter_dir: str | Path) -> str:
    """The hash of a model's weights together with a LoRA adapter's weights and settings.

    Args:
        model_dir: The base model's folder.
        adapter_dir: The adapter's folder, as `peft` saves it.

    Returns:
        64 hexadecimal digits.

    Raises:
        ModelFolderError: If either folder lacks something or is damaged.
    """
    settings = read_adapter_config(adapter_dir)
    # Where the base lay when the adapter was trained says nothing about the weights.
    settings.pop("base_model_name_or_path", None)
    parts = [weight_hash(model_dir), weight_hash(adapter_dir), settings]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read_adapter_config(adapter_dir: str | Path) -> dict[str, Any]:
    """The settings of a LoRA adapter.

    Args:
        adapter_dir: A folder as `peft` saves it.

    Raises:
        ModelFolderError: If it is no folder with a LoRA adapter.
    """
    file = Path(adapter_dir).expanduser() / "adapter_config.json"
    if not file.is_file():
        raise ModelFolderError(
            f"adapter folder {str(adapter_dir)!r} has no adapter_config.json; save the adapter "
            "with `model.save_pretrained(folder)`"
        )
    settings: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if settings.get("peft_type") != "LORA":
        raise ModelFolderError(
            f"{file} is of peft_type {settings.get('peft_type')!r}; only 'LORA' can be served"
        )
    _weight_files(file.parent)
    return settings


def _weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model, sorted; those of the index where there is one."""
    index = folder / _INDEX
    if index.is_file():
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        files = sorted(folder / name for name in names)
    else:
        files = sorted(folder.glob("*.safetensors"))
    missing = [file.name for file in files if not file.is_file()]
    if missing or not files:
        raise ModelFolderError(
            f"model folder {str(folder)!r} has no weights file "
            f"{missing[0] if missing else 'model.safetensors'}; save the model with "
            "`model.save_pretrained(folder)` (pickled .bin weights are not read)"
        )
    return files


def _read_header(file: Path) -> dict[str, _Tensor]:
    """The tensors of one safetensors file, from its header alone."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length))
    except (struct.error, ValueError) as error:
        raise ModelFolderError(f"{file} is not a readable safetensors file: {error}") from error
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        tensors[name] = _Tensor(
            file, entry["dtype"], entry["shape"], 8 + length + first, last - first
        )
    return tensors
