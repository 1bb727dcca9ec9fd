import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks.engines import check_model_folder, weight_hash
from tasks.engines.model_folder import adapted_weight_hash, read_adapter_config
from tasks.errors import ModelFolderError


@pytest.fixture
def folder(tiny_llama, tmp_path):
    return shutil.copytree(tiny_llama, tmp_path / "model")


def test_the_hash_does_not_depend_on_how_weights_are_sharded(folder):
    whole = weight_hash(folder)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors, reverse=True)
    shards: dict[str, str] = {}
    for part, name in enumerate(("b.safetensors", "a.safetensors")):
        save_file({k: tensors[k] for k in names[part::2]}, folder / name, {"format": "other"})
        shards |= dict.fromkeys(names[part::2], name)
    index = {"metadata": {}, "weight_map": shards}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert weight_hash(folder) == whole


@pytest.mark.parametrize("change", ["value", "name", "shape", "dtype"])
def test_the_hash_sees_every_change_of_a_tensor(folder, change):
    before = weight_hash(folder)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    name = sorted(tensors)[0]
    tensor = tensors.pop(name)
    if change == "value":
        tensor.view(-1)[0] += 1
    elif change == "shape":
        tensor = tensor.reshape(-1).clone()
    elif change == "dtype":
        tensor = tensor.view(torch.int32)
    save_file({**tensors, name + "2" if change == "name" else name: tensor}, file)
    assert weight_hash(folder) != before


@pytest.mark.parametrize("missing", ["config.json", "tokenizer", "model.safetensors"])
def test_a_missing_file_is_named_with_the_folder(folder, missing):
    for file in folder.glob(f"{missing}*"):
        file.unlink()
    with pytest.raises(ModelFolderError) as caught:
        check_model_folder(folder)
    assert missing in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelFolderError, match="nowhere"):
        check_model_folder(tmp_path / "nowhere")


def test_damaged_weights_are_an_error(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ModelFolderError, match="cut off"):
        weight_hash(folder)
    file.write_bytes(b"\0" * 4)
    with pytest.raises(ModelFolderError, match="not a readable safetensors file"):
        weight_hash(folder)


def save_adapter(folder: Path, tensors: dict[str, torch.Tensor], **settings: Any) -> Path:
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", **settings}))
    return folder


def test_the_hash_with_an_adapter_sees_base_adapter_and_settings(folder, tmp_path):
    tensors = {"a": torch.ones(2, 2)}
    adapter = save_adapter(tmp_path / "a", tensors, r=2, base_model_name_or_path="here")
    moved = save_adapter(tmp_path / "b", tensors, r=2, base_model_name_or_path="there")
    scaled = save_adapter(tmp_path / "c", tensors, r=2, lora_alpha=4)
    other = save_adapter(tmp_path / "d", {"a": torch.zeros(2, 2)}, r=2)
    own = adapted_weight_hash(folder, adapter)
    assert adapted_weight_hash(folder, moved) == own
    found = {own, weight_hash(folder), *(adapted_weight_hash(folder, x) for x in (scaled, other))}
    assert len(found) == 4
    with pytest.raises(ModelFolderError, match="adapter_config"):
        adapted_weight_hash(folder, folder)


def test_an_adapter_of_another_kind_is_refused(tmp_path):
    adapter = save_adapter(tmp_path / "a", {"a": torch.ones(1)})
    (adapter / "adapter_config.json").write_text('{"peft_type": "PREFIX_TUNING"}')
    with pytest.raises(ModelFolderError, match="only 'LORA'"):
        read_adapter_config(adapter)


def test_code_in_a_model_folder_is_refused_and_never_run(tiny_llama: Path, tmp_path: Path) -> None:
    from tasks.engines.served_model import ServedModel

    folder = Path(shutil.copytree(tiny_llama, tmp_path / "model"))
    marker = tmp_path / "it ran"
    (folder / "own.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Own: pass\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}
    (folder / "config.json").write_text(json.dumps(config))
    options = {"num_threads": 1, "device": "cpu", "dtype": "float32"}
    with pytest.raises(ValueError, match="trust_remote_code"):
        ServedModel.load(str(folder), options)
    assert not marker.exists()
