"""Evaluation: how good a model is on a suite, and whether a candidate replaces the incumbent.

This package computes metrics with intervals and takes the gate's decision from arrays and plain
rows. It does not run models or sandboxes.
"""

from tasks.evaluation.agreement import agreement_by_difficulty, frontier
from tasks.evaluation.error_rate import level_of_test
from tasks.evaluation.gate import GateDecision, decide
from tasks.evaluation.gate_spec import GateSpec
from tasks.evaluation.metrics import ProblemResult, evaluation_rows
from tasks.evaluation.paired import PairedSuite, pair_outcomes
from tasks.evaluation.suites import suite_results

__all__ = [
    "GateDecision",
    "GateSpec",
    "PairedSuite",
    "ProblemResult",
    "agreement_by_difficulty",
    "decide",
    "evaluation_rows",
    "frontier",
    "level_of_test",
    "pair_outcomes",
    "suite_results",
]
