"""Models by reference: shipped seed models, folders, and the models of a warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from storage import Warehouse
from tasks.engines import check_model_folder, weight_hash
from tasks.errors import ModelFolderError, OptionError, WeightsChangedError
from tasks.seed_models import SEED_MODELS, seed_model_path

SEED = "seed:"


@dataclass(frozen=True)
class ModelRef:
    """A model that can be loaded.

    Attributes:
        id: Its name in the tables.
        path: Its folder.
        weight_hash: Hash of its weights.
        parent_id: The model it was trained from, None for one from outside.
    """

    id: str
    path: Path
    weight_hash: str
    parent_id: str | None = None


def resolve_model(warehouse: Warehouse, reference: str) -> ModelRef:
    """The model that a reference names.

    Args:
        warehouse: Where model ids and runs are looked up.
        reference: `seed:NAME`, `promoted:RUN` (what a run promoted last), the id of a model in the
            warehouse, or a folder.

    Raises:
        ModelFolderError: There is no such model, or its folder lacks a file.
    """
    kind, _, name = reference.partition(":")
    if kind == "seed" and name:
        return _from_folder(reference, seed_model_path(name))
    if kind == "promoted" and name:
        found = incumbent_of(warehouse, name)
        if found is None:
            raise ModelFolderError(
                f"model {reference!r}: run {name!r} has no promoted model in {warehouse.uri}"
            )
        return found
    known = _in_warehouse(warehouse, reference)
    if known is not None:
        return known
    if not Path(reference).expanduser().is_dir():
        raise ModelFolderError(
            f"model {reference!r} is neither a folder nor a model of the warehouse "
            f"{warehouse.uri}; expected seed:{'|'.join(SEED_MODELS)}, promoted:RUN, a model id "
            "or a folder"
        )
    return _from_folder(reference, Path(reference).expanduser().resolve())


def check_weights(model: ModelRef, found: str | None = None) -> None:
    """Refuse a model whose folder holds other weights than were recorded.

    Args:
        model: The model.
        found: Hash of the weights in its folder, where it is known already.

    Raises:
        WeightsChangedError: They differ.
        ModelFolderError: The folder is gone or damaged.
    """
    found = weight_hash(check_model_folder(model.path)) if found is None else found
    if found != model.weight_hash:
        raise WeightsChangedError(
            f"model {model.id!r} was recorded with weights {model.weight_hash[:16]}, but "
            f"{model.path} holds {found[:16]}: its files were changed. Restore them, or start a "
            "new run"
        )


def incumbent_of(
    warehouse: Warehouse, run: str, *, before_round: int | None = None
) -> ModelRef | None:
    """The model that a run, or someone by hand, promoted last; None before round 0 is done.

    Args:
        warehouse: Holds the models.
        run: The run.
        before_round: Only models of earlier rounds. A round that was killed between its last two
            writes finds its own candidate promoted, which must not become its incumbent.
    """
    with warehouse.connect() as con:
        rows = con.execute(
            "SELECT id, path, weight_hash, parent_id "
            "FROM promotions AS p JOIN models AS m ON m.id = p.model_id AND m.run = p.run "
            "WHERE p.run = $run AND ($before IS NULL OR p.round < $before) "
            "ORDER BY p.step DESC LIMIT 1",
            {"run": run, "before": before_round},
        ).fetchall()
    return _ref(warehouse, rows[0]) if rows else None


def agent_of(warehouse: Warehouse, run: str, *, before_round: int, base: ModelRef) -> ModelRef:
    """The model that another run of a society has for a round: that which its rounds before left.

    Args:
        warehouse: Holds the models.
        run: The other run.
        before_round: The round; in round 1 every agent is the base.
        base: What all agents start from.

    Raises:
        OptionError: The other run has not finished the round before.
    """
    if before_round <= 1:
        return base
    rounds = warehouse.read("rounds", run=run, round=before_round - 1, columns=["id"])
    found = incumbent_of(warehouse, run, before_round=before_round)
    if not rounds.num_rows or found is None:
        raise OptionError(
            f"run {run!r} has not finished round {before_round - 1}, which round {before_round} of "
            "its society needs; run that round of every agent first"
        )
    return found


def recorded_models(warehouse: Warehouse) -> list[ModelRef]:
    """Every model of a warehouse, with the weights that were recorded, by id.

    Args:
        warehouse: Holds the models; those of an object store are copied from there.
    """
    with warehouse.connect() as con:
        rows = con.execute(
            "SELECT id, path, weight_hash, parent_id FROM models "
            "QUALIFY row_number() OVER (PARTITION BY id, weight_hash ORDER BY run, round) = 1 "
            "ORDER BY id, weight_hash"
        ).fetchall()
    return [_ref(warehouse, row) for row in rows]


def path_in_tables(warehouse: Warehouse, path: Path) -> str:
    """How `models.path` names a folder: nothing in it depends on where clone or warehouse are.

    Args:
        warehouse: Models inside of it are named relative to it.
        path: A model's folder; a shipped seed model becomes `seed:NAME`, any other one outside of
            the warehouse stays as it is.
    """
    if path.is_relative_to(warehouse.root):
        return str(path.relative_to(warehouse.root))
    for name in SEED_MODELS:
        if path == seed_model_path(name):
            return f"{SEED}{name}"
    return str(path)


def _in_warehouse(warehouse: Warehouse, model_id: str) -> ModelRef | None:
    with warehouse.connect() as con:
        rows = con.execute(
            "SELECT id, path, weight_hash, parent_id FROM models WHERE id = $id LIMIT 1",
            {"id": model_id},
        ).fetchall()
    return _ref(warehouse, rows[0]) if rows else None


def _ref(warehouse: Warehouse, row: tuple[str, str, str, str | None]) -> ModelRef:
    model_id, path, digest, parent_id = row
    if path.startswith(SEED):
        return ModelRef(model_id, seed_model_path(path.removeprefix(SEED)), digest, parent_id)
    folder = warehouse.root / path  # an absolute path stays what it is
    if folder.is_relative_to(warehouse.root):
        warehouse.fetch(folder)
    return ModelRef(model_id, folder.resolve(), digest, parent_id)


def _from_folder(reference: str, path: Path) -> ModelRef:
    check_model_folder(path)
    return ModelRef(reference, path, weight_hash(path))
