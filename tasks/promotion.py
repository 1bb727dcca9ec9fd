"""Promotion by hand: every decision is a row of `decisions`, and rounds keep their verdicts."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from storage import Warehouse, content_id
from storage.commit import publish_text
from tasks.errors import PromotionError
from tasks.models import check_weights, incumbent_of, resolve_model

PROMOTED_FOLDER = "promoted"
"""Folder of the warehouse that names the promoted model of every run."""


@dataclass(frozen=True)
class Decision:
    """A change of the promoted model.

    Attributes:
        run: The run.
        model_id: Model that is promoted now.
        previous_model_id: Model that was promoted before.
    """

    run: str
    model_id: str
    previous_model_id: str


def promote(warehouse: Warehouse, run: str, target: str, reason: str) -> Decision:
    """Make a model of a run the promoted one, whatever the gate said of it.

    Args:
        warehouse: Holds the run.
        run: The run; nobody else may be working on it.
        target: A round's number, for the model that it trained (of round 0, the base), or the id of
            a model of the run.
        reason: Why.

    Raises:
        PromotionError: There is no such run or model, it is promoted already, or there is no
            reason.
        ModelFolderError: The model's folder is gone.
        WeightsChangedError: It holds other weights than were recorded.
    """
    models = _models(warehouse, run)
    by_round = {str(number): model_id for model_id, number in models.items()}
    model_id = by_round.get(target, target)
    if model_id not in models:
        raise PromotionError(
            f"run {run!r} has no model {target!r}; name a round or a model of "
            f"{', '.join(f'{number}: {own}' for own, number in models.items())}"
        )
    return _decide(warehouse, run, "promote", model_id, reason)


def rollback(warehouse: Warehouse, run: str, reason: str) -> Decision:
    """Make the model the promoted one that was it before the last promotion.

    Args:
        warehouse: Holds the run.
        run: The run; nobody else may be working on it.
        reason: Why.

    Raises:
        PromotionError: There is no such run, nothing to go back to, or no reason.
        ModelFolderError: The model's folder is gone.
        WeightsChangedError: It holds other weights than were recorded.
    """
    _models(warehouse, run)
    stack = promoted_models(warehouse, run)
    if len(stack) < 2:
        raise PromotionError(
            f"run {run!r}: {stack[0]} is its first model, there is nothing to go back to; "
            "`selfloom promote` takes any model of the run"
        )
    return _decide(warehouse, run, "rollback", stack[-2], reason)


def promoted_models(warehouse: Warehouse, run: str) -> list[str]:
    """The models on the way to the promoted one, oldest first; those rolled back are left out."""
    with warehouse.connect() as con:
        rows = con.execute(
            "SELECT model_id, cause FROM promotions WHERE run = $run ORDER BY step", {"run": run}
        ).fetchall()
    stack: list[str] = []
    for model_id, cause in rows:
        if cause == "rollback" and model_id in stack:
            last = len(stack) - 1 - stack[::-1].index(model_id)
            del stack[last + 1 :]
        else:
            stack.append(model_id)
    return stack


def decided_rounds(warehouse: Warehouse, run: str) -> set[int]:
    """The rounds after which someone decided by hand what is promoted."""
    with warehouse.connect() as con:
        rows = con.execute("SELECT round FROM decisions WHERE run = $run", {"run": run}).fetchall()
    return {int(number) for (number,) in rows}


def renew_alias(warehouse: Warehouse, run: str) -> None:
    """Make `promoted/RUN.json`, and on a local disk the link `promoted/RUN`, name the model.

    Both are replaced by rename: a reader sees the old model or the new one.

    Args:
        warehouse: Holds the run.
        run: The run; nothing is done before its round 0 is.
    """
    model = incumbent_of(warehouse, run)
    if model is None:
        return
    content = {"run": run, "model_id": model.id, "weight_hash": model.weight_hash}
    text = json.dumps(content | {"path": str(model.path)}, indent=2) + "\n"
    file = warehouse.place / PROMOTED_FOLDER / f"{run}.json"
    link = warehouse.root / PROMOTED_FOLDER / run
    if link.is_symlink() and file.is_file() and file.read_text(encoding="utf-8") == text:
        return  # whoever watches them sees changes only
    link.parent.mkdir(exist_ok=True)
    inside = model.path.is_relative_to(warehouse.root)
    target = os.path.relpath(model.path, link.parent) if inside else str(model.path)
    unfinished = link.with_name(f".{run}.{secrets.token_hex(6)}")
    unfinished.symlink_to(target)
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)  # whoever copied the warehouse followed the link
    os.replace(unfinished, link)
    publish_text(warehouse.root, file, text)  # last: a watcher of the file finds the link renewed


def _models(warehouse: Warehouse, run: str) -> dict[str, int]:
    """The models of a run and their rounds."""
    with warehouse.connect() as con:
        rows = con.execute(
            "SELECT id, min(round) FROM models WHERE run = $run GROUP BY id ORDER BY 2, 1",
            {"run": run},
        ).fetchall()
    if not rows:
        raise PromotionError(
            f"run {run!r} has no models in {warehouse.uri}; FROM rounds_overview lists the runs"
        )
    return dict(rows)


def _decide(
    warehouse: Warehouse, run: str, action: Literal["promote", "rollback"], model_id: str, why: str
) -> Decision:
    if not why.strip():
        raise PromotionError("no reason is given; say why with --reason, it is kept in `decisions`")
    current = incumbent_of(warehouse, run)
    assert current is not None  # it has models, the first of which is its base
    if current.id == model_id:
        raise PromotionError(f"run {run!r}: {model_id} is promoted already")
    check_weights(resolve_model(warehouse, model_id))
    with warehouse.connect() as con:
        ((last_round, number),) = con.execute(
            # A round that was killed before its last write counts: it comes before the decision.
            "SELECT max(round), (SELECT count(*) + 1 FROM decisions WHERE run = $run) FROM ("
            "SELECT round FROM rounds WHERE run = $run UNION ALL "
            "SELECT round FROM models WHERE run = $run)",
            {"run": run},
        ).fetchall()
    row = {
        "id": content_id("decision", run, number, action, model_id),
        "number": number,
        "action": action,
        "model_id": model_id,
        "previous_model_id": current.id,
        "decided_by": getpass.getuser(),
        "reason": why.strip(),
        "decided_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    part = f"decision-{number:04d}"
    warehouse.write("decisions", [row], run=run, round=last_round, part=part)
    renew_alias(warehouse, run)
    return Decision(run, model_id, current.id)
