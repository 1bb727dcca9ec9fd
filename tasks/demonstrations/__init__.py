"""Demonstrations: training examples whose prompt is a template over a row, as what was asked is.

A selection trains on a problem and its answer. Whatever else a model said can be trained on here:
the critique that led to a right correction, the correction after the attempt that it corrects, an
answer without the hint that helped to find it.
"""

from tasks.demonstrations.demonstrate import Demonstrated, DemonstrationReport, demonstrate
from tasks.demonstrations.source import QUERIES, Demonstration

__all__ = ["QUERIES", "Demonstrated", "Demonstration", "DemonstrationReport", "demonstrate"]
