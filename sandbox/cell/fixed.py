"""Fixes what differs between machines and runs, as far as process 1 can.

Variables, hostname and working directory are fixed by whoever starts it.
"""

import os
import random
import signal
import sys

# Python ignores these itself.
_LEFT_ALONE = {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}


def fix_what_varies(seed: int) -> None:
    """Seed the global generators, give every machine one processor, drop what the host left.

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
    # Inherited from whoever opened the sandbox, for example under nohup.
    os.umask(0o022)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - _LEFT_ALONE:
        signal.signal(number, signal.SIG_DFL)
