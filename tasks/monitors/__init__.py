"""Monitors: stop a loop on the known failure signatures, judged from the metrics of its rounds.

This package reads metrics and returns findings. It measures nothing itself (`tasks.round_metrics`
and `tasks.headroom` do) and does not end anything: the flow does.
"""

from tasks.monitors.monitor import LabelSource, monitor_round, no_headroom
from tasks.monitors.spec import Finding, MonitorSpec, with_actions

__all__ = [
    "Finding",
    "LabelSource",
    "MonitorSpec",
    "monitor_round",
    "no_headroom",
    "with_actions",
]
