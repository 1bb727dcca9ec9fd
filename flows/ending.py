"""How a command ends: one message and an exit status, never a traceback that was not asked for."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import typer

ROOMS = ("flows", "tasks", "sandbox", "storage")
WORKER_LOG = "\nlast lines of the worker:"  # from here on a traceback of another process
INTERRUPTED = 130  # as shells have it: 128 + SIGINT
_CONTINUING = ("demo", "run", "evaluate", "import-samples")


@contextmanager
def report_ending(arguments: Sequence[str]) -> Iterator[None]:
    """Turn what ends a command early into a line on stderr and an exit status.

    Args:
        arguments: The command's own arguments, to say what continues an interrupted one.

    Raises:
        SystemExit: 1 after an error, 130 after Ctrl-C.
    """
    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_ours and arguments and arguments[0] in _CONTINUING:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        _end_interrupted(arguments)
    except SystemExit as ending:
        if ending.code == INTERRUPTED:  # typer's word for Ctrl-C
            _end_interrupted(arguments)
        raise
    except BrokenPipeError:
        _close_stdout()
        sys.exit(1)
    except Exception as error:
        if os.environ.get("SELFLOOM_TRACEBACK"):
            raise
        typer.secho(describe(error), fg="red", err=True)
        sys.exit(1)
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def describe(error: BaseException) -> str:
    """The lines that a user sees of an error.

    Our own errors say what was given, what was expected and what to do; of any other one the class
    and the way to its traceback are shown too.
    """
    hint = "SELFLOOM_TRACEBACK=1 shows where it comes from"
    if type(error).__module__.partition(".")[0] in ROOMS:
        message, log, _ = str(error).partition(WORKER_LOG)
        lines = [f"selfloom: {message}", *([f"({hint})"] if log else [])]
        return "\n".join(lines)
    return f"selfloom: {type(error).__name__}: {error}\n(this was not foreseen; {hint})"


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, but not in a finalizer, where Python would drop it."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            threading.Timer(0.05, os.kill, (os.getpid(), number)).start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def _end_interrupted(arguments: Sequence[str]) -> None:
    text = "interrupted"
    if arguments and arguments[0] in _CONTINUING:
        text += f"; this goes on where it stopped: {shlex.join(['selfloom', *arguments])}"
    typer.secho(f"\nselfloom: {text}", fg="yellow", err=True)
    sys.exit(INTERRUPTED)


def _close_stdout() -> None:
    """Keep the interpreter from flushing into the closed pipe, which would print a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
