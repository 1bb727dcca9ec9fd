"""Training in a process of its own: start it, follow it, never leave it behind."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from tasks.child_process import end_child, read_tail, start_child
from tasks.engines.model_folder import check_model_folder, weight_hash
from tasks.errors import TrainingError
from tasks.training.job import CARD_NAME, TrainedModel, TrainingJob, read_card
from tasks.training.spec import TrainingSpec
from tasks.training.training_data import read_training_rows

# Called with step, total, loss and the method's own numbers (for DPO `logps/chosen`, ...).
OnTrainingProgress = Callable[[dict[str, float]], None]


def train_model(
    spec: TrainingSpec,
    data_files: Sequence[str | Path],
    start_from: str | Path,
    reference: str | Path | None,
    output_dir: str | Path,
    on_progress: OnTrainingProgress | None = None,
) -> TrainedModel:
    """Train a model and put its folder in place by rename.

    A finished model of the same spec, rows, start and reference weights is returned at once. A
    run that was killed goes on from its last checkpoint and ends with the same weights.

    Args:
        spec: The settings.
        data_files: Parquet files with TRL's columns; see `read_training_rows`.
        start_from: Folder of the model to start with.
        reference: Folder of the reference model of DPO or KTO; None takes the start model. Not used
            by SFT.
        output_dir: The new model's folder.
        on_progress: Called about a hundred times in a run.

    Returns:
        Folder, weight hash and metrics of the new model.

    Raises:
        ModelFolderError: If a model folder lacks something.
        SourceError: If a data file can't be read.
        DataFormatError: If a row is not a training row, or there is none.
        TrainingError: If `output_dir` holds something else, or the training process failed.
    """
    job = _make_job(spec, data_files, start_from, reference, Path(output_dir).absolute())
    work_dir = Path(job.work_dir)
    finished = _find_finished(job)
    if finished is not None:
        # A run that was killed between its last two steps left its checkpoints behind.
        shutil.rmtree(work_dir, ignore_errors=True)
        return finished
    work_dir.mkdir(parents=True, exist_ok=True)
    _forget_other_run(job)
    job_file = work_dir / "job.json"
    job_file.write_text(job.model_dump_json(indent=2), encoding="utf-8")
    with tempfile.TemporaryFile() as log:
        process = start_child(
            "tasks.training.worker",
            [str(job_file)],
            spec.num_threads,
            stderr=log,
            talk=True,
            imports="tasks.training.run",
        )
        try:
            assert process.stdout is not None
            failure = _follow(process.stdout, on_progress)
            end_child(process, grace_s=5.0)
        finally:
            end_child(process)
        model = _find_finished(job)
        if failure is not None or model is None:
            raise TrainingError(
                f"training of {job.output_dir!r} failed: "
                f"{failure or f'its process ended with exit code {process.returncode}'}; "
                f"calling again resumes from the last checkpoint\n"
                f"last lines of the worker:\n{read_tail(log)}"
            )
    return model


def _make_job(
    spec: TrainingSpec,
    data_files: Sequence[str | Path],
    start_from: str | Path,
    reference: str | Path | None,
    output_dir: Path,
) -> TrainingJob:
    """The job, after checking everything that can be checked before work begins."""
    start = check_model_folder(start_from)
    start_hash = weight_hash(start)
    other, other_hash = None, None
    if spec.method != "sft":
        other = check_model_folder(reference) if reference is not None else start
        other_hash = start_hash if other == start else weight_hash(other)
    files = [str(Path(file).absolute()) for file in data_files]
    return TrainingJob(
        spec=spec,
        data_files=files,
        data_hash=read_training_rows(spec.method, files, spec.needed_columns).data_hash,
        start_from=str(start),
        start_hash=start_hash,
        reference=None if other is None else str(other),
        reference_hash=other_hash,
        work_dir=str(output_dir.parent / f".{output_dir.name}.training"),
        output_dir=str(output_dir),
    )


def _find_finished(job: TrainingJob) -> TrainedModel | None:
    """The job's model if it is in place already."""
    folder = Path(job.output_dir)
    if not folder.exists():
        return None
    card = read_card(folder)
    if card is None or {key: card.get(key) for key in job.identity()} != job.identity():
        raise TrainingError(
            f"output folder {job.output_dir!r} exists and is not the model of this run (its "
            f"{CARD_NAME} names another spec, rows or start weights); choose another folder"
        )
    return TrainedModel(job.output_dir, card["weight_hash"], card["metrics"])


def _forget_other_run(job: TrainingJob) -> None:
    """Drop checkpoints that an earlier run with another identity left in the work folder."""
    earlier = Path(job.work_dir) / "job.json"
    if not earlier.exists():
        return
    try:
        known = TrainingJob.model_validate_json(earlier.read_text(encoding="utf-8")).identity()
    except ValueError:
        known = {}
    if known != job.identity():
        shutil.rmtree(job.work_dir)
        Path(job.work_dir).mkdir(parents=True)


def _follow(output: IO[bytes], on_progress: OnTrainingProgress | None) -> str | None:
    """Pass progress on until the process closes its output; the error it reported, if any."""
    failure: str | None = None
    for line in output:
        if not line.endswith(b"\n"):
            break
        event = json.loads(line)
        kind = event.pop("event")
        if kind == "error":
            failure = str(event["message"])
        elif kind == "progress" and on_progress is not None:
            on_progress(event)
    return failure
