"""The process that trains: `python -m tasks.training.worker job.json`.

Started by `train_model`; runs by hand as well. Prints one JSON line per progress report and, at
the end, one with the finished model. Run again after a kill, it goes on from its last checkpoint
and ends with the same weights.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import traceback
from pathlib import Path
from typing import IO, Any

from tasks.child_process import die_with_parent
from tasks.training.job import TrainingJob


def main() -> None:
    """Train the job named on the command line."""
    if len(sys.argv) > 2:
        die_with_parent(int(sys.argv[2]))
    # Libraries print to stdout; the reports keep the real one for themselves.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        job = TrainingJob.model_validate_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
        run_job(job, output)
    except Exception as error:
        traceback.print_exc()
        _report(output, {"event": "error", "message": f"{type(error).__name__}: {error}"})
        sys.exit(1)


def run_job(job: TrainingJob, output: IO[bytes]) -> None:
    """Train, write the model under a temporary name, and publish it.

    Args:
        job: The run.
        output: Takes the progress reports.
    """
    import torch

    from tasks.training.checkpoints import last_complete_checkpoint, publish_folder
    from tasks.training.model_writing import write_model
    from tasks.training.run import build_trainer

    started = time.monotonic()
    torch.set_num_threads(job.spec.num_threads)
    trainer = build_trainer(job, lambda event: _report(output, {"event": "progress", **event}))
    work_dir = Path(job.work_dir)
    checkpoint = last_complete_checkpoint(work_dir / "checkpoints")
    setup_s = time.monotonic() - started
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    metrics = _metrics(trainer.state.log_history)
    metrics |= {
        "steps": float(trainer.state.global_step),
        "rows": float(trainer.num_rows),
        "setup_seconds": round(setup_s, 3),
        "seconds": round(time.monotonic() - started, 3),
    }
    temporary = work_dir / "model"
    card = write_model(trainer, job, temporary, metrics)
    publish_folder(temporary, Path(job.output_dir))
    shutil.rmtree(work_dir, ignore_errors=True)
    _report(output, {"event": "done", "weight_hash": card["weight_hash"], "metrics": metrics})


def _metrics(history: list[dict[str, Any]]) -> dict[str, float]:
    """First and last logged value of everything that the trainer logged."""
    metrics: dict[str, float] = {}
    for entry in history:
        for name, value in entry.items():
            if name in ("step", "epoch") or name.startswith(("train_", "total_flos")):
                continue
            key = name.replace("/", "_")
            metrics.setdefault(f"{key}_first", float(value))
            metrics[f"{key}_last"] = float(value)
    return metrics


def _report(output: IO[bytes], event: dict[str, Any]) -> None:
    """Write one report as one line; a reader that is gone is not a reason to stop."""
    try:
        output.write(json.dumps(event).encode() + b"\n")
        output.flush()
    except BrokenPipeError:
        pass


if __name__ == "__main__":
    main()
