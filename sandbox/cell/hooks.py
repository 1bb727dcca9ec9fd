"""Keeps what modules want to do after a fork from running in every fork of process 1.

`threading` and `random` register such functions; they touch a hundred and forty pages, a third of
the price of a trivial program. Process 1 has one thread and holds no lock, so its own forks do not
need them. A program's forks do: `release` registers them in the program's process.
"""

import os
from collections.abc import Callable

_register = os.register_at_fork
_held: list[dict[str, Callable[[], object]]] = []


def hold() -> None:
    """From now on keep registrations instead of making them."""
    os.register_at_fork = lambda **functions: _held.append(functions)


def release() -> None:
    """Make all registrations that were held."""
    os.register_at_fork = _register
    for functions in _held:
        _register(**functions)
