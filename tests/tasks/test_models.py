"""Models by reference, and weights that are not those that were recorded."""

import shutil
from pathlib import Path

import pytest

from storage import Warehouse
from tasks.engines import weight_hash
from tasks.errors import ModelFolderError, WeightsChangedError
from tasks.models import ModelRef, check_weights, incumbent_of, path_in_tables, resolve_model
from tasks.seed_models import seed_model_path


@pytest.fixture
def house(tmp_path: Path) -> Warehouse:
    return Warehouse.open(tmp_path / "w")


def record(w: Warehouse, round: int, status: str, path: str, model_id: str = "") -> None:
    row: dict[str, object] = {
        "id": model_id or f"m{round}",
        "parent_id": None if round == 0 else f"m{round - 1}",
        "recipe": "lmsi",
        "recipe_hash": "h",
        "path": path,
        "weight_hash": f"hash-{round}",
        "status": status,
        "metrics": {},
    }
    w.write("models", [row], run="r", round=round, part="model")


@pytest.mark.parametrize("name", ["programs", "copy", "skills"])
def test_seed_models_are_named_by_their_weights(house: Warehouse, name: str) -> None:
    model = resolve_model(house, f"seed:{name}")
    assert model == ModelRef(f"seed:{name}", seed_model_path(name), weight_hash(model.path))
    check_weights(model)


def test_a_folder_is_a_reference(house: Warehouse, tiny_llama: Path) -> None:
    model = resolve_model(house, str(tiny_llama))
    assert (model.id, model.path) == (str(tiny_llama), tiny_llama.resolve())


def test_a_folder_without_tokenizer_is_refused(
    house: Warehouse, tiny_llama: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_llama, copy)
    for file in copy.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelFolderError, match="no tokenizer"):
        resolve_model(house, str(copy))


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("seed:nothing", "there are programs, copy, skills"),
        ("promoted:nobody", "run 'nobody' has no promoted model"),
        ("nowhere", r"neither a folder nor a model of the warehouse.*seed:programs"),
    ],
)
def test_what_names_nothing_is_refused_with_the_forms_there_are(
    house: Warehouse, reference: str, message: str
) -> None:
    with pytest.raises(ModelFolderError, match=message):
        resolve_model(house, reference)


def test_paths_inside_move_with_the_warehouse(house: Warehouse, tmp_path: Path) -> None:
    record(house, 0, "base", "/outside/model")
    record(house, 1, "promoted", "models/m1")
    assert resolve_model(house, "m1").path == house.root / "models/m1"
    assert resolve_model(house, "m0").path == Path("/outside/model")
    moved = house.root.rename(tmp_path / "moved")
    assert resolve_model(Warehouse.open(moved), "m1").path == moved / "models/m1"


def test_the_incumbent_is_what_was_promoted_last(house: Warehouse) -> None:
    assert incumbent_of(house, "r") is None
    record(house, 0, "base", "/outside/model")
    record(house, 1, "promoted", "models/m1")
    record(house, 2, "rejected", "models/m2")
    found = incumbent_of(house, "r")
    assert found == ModelRef("m1", house.root / "models/m1", "hash-1", "m0")
    assert resolve_model(house, "promoted:r") == found
    assert incumbent_of(house, "other") is None


def test_a_round_does_not_take_its_own_candidate_for_the_incumbent(house: Warehouse) -> None:
    record(house, 0, "base", "/outside/model")
    record(house, 1, "promoted", "models/m1")
    before = [incumbent_of(house, "r", before_round=number) for number in (1, 2)]
    assert [model.id for model in before if model] == ["m0", "m1"]


def test_changed_weights_are_named_with_what_to_do(tiny_llama: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_llama, copy)
    model = ModelRef("mine", copy, weight_hash(copy))
    check_weights(model)
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(WeightsChangedError, match=r"'mine' was recorded.*Restore them, or start"):
        check_weights(model)


def test_a_shipped_model_is_named_and_found_again_wherever_the_clone_is(house: Warehouse) -> None:
    path = path_in_tables(house, seed_model_path("copy"))
    record(house, 0, "base", path)

    assert path == "seed:copy"
    found = incumbent_of(house, "r")
    assert found is not None and found.path == seed_model_path("copy")


def test_only_a_model_of_the_warehouse_is_named_relative_to_it(
    house: Warehouse, tmp_path: Path
) -> None:
    assert path_in_tables(house, house.model_path("m")) == "models/m"
    assert path_in_tables(house, tmp_path / "elsewhere") == str(tmp_path / "elsewhere")
