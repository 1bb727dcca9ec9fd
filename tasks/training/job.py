"""What the parent hands to the training process, and how a finished model is described."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from tasks.training.spec import TrainingSpec

CARD_NAME = "selfloom.json"


class TrainingJob(BaseModel):
    """One run: the spec, where its inputs are and where its model goes.

    Attributes:
        spec: The settings.
        data_files: Parquet files, in order.
        data_hash: Hash of their training rows.
        start_from: Folder of the model that training starts with.
        start_hash: Its weight hash.
        reference: Folder of the reference model of DPO or KTO; None for SFT.
        reference_hash: Its weight hash.
        work_dir: Checkpoints and the unfinished model.
        output_dir: The finished model's folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: TrainingSpec
    data_files: list[str]
    data_hash: str
    start_from: str
    start_hash: str
    reference: str | None
    reference_hash: str | None
    work_dir: str
    output_dir: str

    def identity(self) -> dict[str, Any]:
        """What decides the weights: equal identities mean the same model."""
        return {
            "spec": self.spec.model_dump(mode="json"),
            "data_hash": self.data_hash,
            "parent_weight_hash": self.start_hash,
            "reference_weight_hash": self.reference_hash,
        }


class TrainedModel(NamedTuple):
    """A finished model.

    Attributes:
        path: Its folder: weights, config, tokenizer and `selfloom.json`.
        weight_hash: Hash of its weights.
        metrics: Numbers of the run: steps, rows, loss_first, loss_last, seconds, ...
    """

    path: str
    weight_hash: str
    metrics: dict[str, float]


def read_card(folder: Path) -> dict[str, Any] | None:
    """The `selfloom.json` of a model folder; None where there is none.

    Args:
        folder: A model folder, or any path.
    """
    try:
        card: dict[str, Any] = json.loads((folder / CARD_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return card
