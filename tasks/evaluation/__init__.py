"""Evaluation: how good a model is on a suite, and whether a candidate replaces the incumbent.

This package computes metrics with intervals and takes the gate's decision from arrays and plain
rows. It does not run models or sandboxes.
"""

from tasks.evaluation.gate import GateDecision, GateSpec, PairedSuite, decide, pair_outcomes
from tasks.evaluation.metrics import ProblemResult, evaluation_rows

__all__ = [
    "GateDecision",
    "GateSpec",
    "PairedSuite",
    "ProblemResult",
    "decide",
    "evaluation_rows",
    "pair_outcomes",
]
