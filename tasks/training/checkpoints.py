"""Checkpoints that a killed run resumes from, and folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_MARKER = "complete"


class MarkCompleteCheckpoints(TrainerCallback):
    """Marks a checkpoint when all of it is on disk: the trainer writes them in place."""

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: object,
    ) -> None:
        """Flush the newest checkpoint and mark it."""
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        flush_tree(folder)
        (folder / _MARKER).touch()
        _flush(folder)


def last_complete_checkpoint(folder: Path) -> Path | None:
    """The newest marked checkpoint, after removing those that a kill left unfinished.

    Args:
        folder: The trainer's output folder; need not exist.
    """
    found = []
    for checkpoint in folder.glob("checkpoint-*"):
        if (checkpoint / _MARKER).is_file():
            found.append((int(checkpoint.name.rpartition("-")[2]), checkpoint))
        else:
            shutil.rmtree(checkpoint)
    return max(found)[1] if found else None


def flush_tree(folder: Path) -> None:
    """Wait until every file of a folder is on disk.

    Args:
        folder: Flushed with all its subfolders.
    """
    for path in sorted(folder.rglob("*")):
        _flush(path)
    _flush(folder)


def publish_folder(temporary: Path, final: Path) -> None:
    """Give a finished folder its name, so that readers see all of it or nothing.

    Args:
        temporary: The folder as written, on the same file system as `final`.
        final: Its name; must not exist.
    """
    flush_tree(temporary)
    os.rename(temporary, final)
    _flush(final.parent)


def _flush(path: Path) -> None:
    """Fsync one file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
