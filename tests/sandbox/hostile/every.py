"""All hostile programs."""

from tests.sandbox.hostile import (
    a_time,
    b_memory,
    c_processes,
    d_files,
    e_output,
    f_cheats,
    g_kernel,
    h_environment,
    x_interpreter,
    x_kernel,
    x_processes,
)
from tests.sandbox.hostile.case import Hostile

CASES: list[Hostile] = [
    *a_time.CASES,
    *b_memory.CASES,
    *c_processes.CASES,
    *d_files.CASES,
    *e_output.CASES,
    *f_cheats.CASES,
    *g_kernel.CASES,
    *h_environment.CASES,
    *x_interpreter.CASES,
    *x_kernel.CASES,
    *x_processes.CASES,
]
