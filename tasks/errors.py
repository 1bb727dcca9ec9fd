"""Errors of the tasks room: what was given, what was expected, what to do next."""

from __future__ import annotations


class EvaluationError(ValueError):
    """An evaluation or a comparison of models got input that it cannot measure."""


class ReportError(ValueError):
    """A report was asked for something that the warehouse does not hold."""
