"""Training: SFT and weighted DPO through TRL, in a process of its own.

`train_model` is the entry. It knows Parquet files with TRL's columns and model folders; it knows
no warehouse, no rounds and no gate. Importing this package loads no model library.
"""

from __future__ import annotations

from tasks.training.job import TrainedModel
from tasks.training.spec import TrainingSpec
from tasks.training.train import OnTrainingProgress, train_model

__all__ = ["OnTrainingProgress", "TrainedModel", "TrainingSpec", "train_model"]
