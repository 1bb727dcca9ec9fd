"""Dedup: samples that say what another sample says, or what a held-out problem asks.

Five methods, each with its own rows in `rejections`: exact, normalised, skeleton, near and heldout.
They run before the selections, for which a dropped sample does not exist; votes have counted it.
"""

from tasks.dedup.dedup import DedupReport, dedup
from tasks.dedup.skeletons import code_skeleton, equation_skeleton, skeleton
from tasks.dedup.spec import METHODS, DedupSpec, Method
from tasks.dedup.ways import equations_hold, write_ways

__all__ = [
    "METHODS",
    "DedupReport",
    "DedupSpec",
    "Method",
    "code_skeleton",
    "dedup",
    "equation_skeleton",
    "equations_hold",
    "skeleton",
    "write_ways",
]
