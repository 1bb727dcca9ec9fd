"""The process that holds a model for the `transformers` engine."""

from __future__ import annotations

from tasks.engines.served_model import ServedModel
from tasks.engines.worker import run_worker

if __name__ == "__main__":
    run_worker(ServedModel.load)
