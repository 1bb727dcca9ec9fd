"""The engines of a round: opened when somebody has to be asked, kept for the next stage.

`EngineKeeper` hands them out; `EarlierSamples` finds what other rounds were answered to the same
request, which then nobody has to be asked.
"""

from tasks.serving.earlier import EarlierSamples
from tasks.serving.keeper import EngineKeeper, KeptEngine

__all__ = ["EarlierSamples", "EngineKeeper", "KeptEngine"]
