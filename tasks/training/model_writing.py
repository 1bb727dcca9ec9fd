"""The finished model as a folder that any Hugging Face loader reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, PreTrainedModel
from trl import DPOTrainer, KTOTrainer, SFTTrainer

from tasks.engines.model_folder import weight_hash
from tasks.training.job import CARD_NAME, TrainingJob


def write_model(
    trainer: SFTTrainer | DPOTrainer | KTOTrainer,
    job: TrainingJob,
    folder: Path,
    metrics: dict[str, float],
) -> dict[str, Any]:
    """Write weights, config, tokenizer and `selfloom.json`; LoRA adapters are merged.

    The adapter itself is kept in the subfolder `adapter`. Weights have the data type that the
    start model is stored in.

    Args:
        trainer: After training.
        job: The run.
        folder: Where to write; emptied first.
        metrics: Kept in `selfloom.json`.

    Returns:
        The content of `selfloom.json`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = trainer.accelerator.unwrap_model(trainer.model)
    if job.spec.lora_r is not None:
        model.save_pretrained(folder / "adapter")
        model = model.merge_and_unload()
    _save(model, job.start_from, folder)
    # A fresh one: trainers change the tokenizer that they are given.
    AutoTokenizer.from_pretrained(
        job.start_from, local_files_only=True, trust_remote_code=False
    ).save_pretrained(folder)
    card = {
        "weight_hash": weight_hash(folder),
        **job.identity(),
        "data_files": job.data_files,
        "metrics": metrics,
    }
    (folder / CARD_NAME).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return card


def _save(model: PreTrainedModel, start_from: str, folder: Path) -> None:
    """Weights and configs, without what the trainer changed in the configs."""
    config = AutoConfig.from_pretrained(start_from, local_files_only=True, trust_remote_code=False)
    if config.dtype is not None:
        model = model.to(config.dtype)
    model.save_pretrained(folder)
    # Over what the trainer wrote: it switches the cache off and sets a padding token.
    config.save_pretrained(folder)
