"""Errors of the tasks room: what was given, what was expected, what to do next."""

from __future__ import annotations


class TaskError(Exception):
    """Base of every error that the tasks room raises on purpose."""


class UnknownNameError(TaskError, KeyError):
    """A name (environment, selection, option, parameter, column, split) that does not exist."""

    def __str__(self) -> str:
        """The message itself: KeyError would print it with quotes around."""
        return str(self.args[0]) if self.args else ""


class SourceError(TaskError, OSError):
    """A data source that can't be opened: a file, a folder or a dataset repository."""


class DataFormatError(TaskError, ValueError):
    """Data that was opened but does not have the promised form."""


class OptionError(TaskError, ValueError):
    """An option or a parameter outside its range, or two that contradict each other."""


class MissingPackageError(TaskError, ImportError):
    """An optional package that something asked for needs is not installed."""


class ReferencesNotAllowedError(TaskError, PermissionError):
    """A selection asked for reference answers in a recipe that does not declare labels."""


class EvaluationError(TaskError, ValueError):
    """An evaluation or a comparison of models got input that it cannot measure."""


class PromotionError(TaskError, ValueError):
    """A promotion by hand names no model of the run, or changes nothing."""


class ReportError(TaskError, ValueError):
    """A report was asked for something that the warehouse does not hold."""


class ModelFolderError(TaskError, FileNotFoundError):
    """A model folder that does not exist or lacks a file that loading it needs."""


class WeightsChangedError(TaskError, ValueError):
    """A model's weights are not those that were recorded under its id."""


class EngineError(TaskError, RuntimeError):
    """An engine's process could not start, failed or ended before it answered."""


class EngineProcessError(EngineError):
    """An engine's process died without a word: killed, or out of memory."""


class BudgetExceededError(TaskError, RuntimeError):
    """Work that stopped because its budget was used up; what is finished is kept."""


class TrainingError(TaskError, RuntimeError):
    """A training process failed or ended before it published its model."""


class TemplateError(TaskError, ValueError):
    """A template that can't be read, or that uses what its rows don't have."""
