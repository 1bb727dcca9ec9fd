"""Programs against tests that a model wrote: every program of a prompt runs every test of it.

`cross_shard` runs them and writes what came of it, `rank` says which programs and which tests are
credible, from nothing but which program passes which test.
"""

from tasks.crossing.contest import Contest, entry_point
from tasks.crossing.rank import Ranks, rank
from tasks.crossing.run import contested_prompts, cross_shard
from tasks.crossing.spec import PASSED, RANK, TIMED, CrossSpec

__all__ = [
    "PASSED",
    "RANK",
    "TIMED",
    "Contest",
    "CrossSpec",
    "Ranks",
    "contested_prompts",
    "cross_shard",
    "entry_point",
    "rank",
]
