"""Fixes what differs between machines and runs, as far as process 1 can.

Variables, hostname and working directory are fixed by whoever starts it.
"""

import os
import random
import sys


def fix_what_varies(seed: int) -> None:
    """Seed the global generators and give every machine one processor.

    Args:
        seed: A training row must be reproducible from its program, so every run draws the same
            numbers. At most 32 bits, for numpy.
    """
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)
    # Default sizes of pools follow these, and with them the order of what threads print.
    os.cpu_count = lambda: 1
    os.sched_getaffinity = lambda pid: {0}
