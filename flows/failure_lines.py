"""One line on the terminal when something failed inside a flow, also if it is tried again."""

from __future__ import annotations

import logging
import time

from flows.settings import PACKAGES
from sandbox import SandboxClosedError

_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
_WIDTH = 140


class FailureLines(logging.Handler):
    """Says once per exception where it happened; its traceback is in the run's log."""

    def __init__(self) -> None:
        """Start without a last exception."""
        super().__init__(logging.INFO)
        self._last: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line for a record about a new exception; Prefect logs each one several times."""
        error = _error_of(record)
        if error is None or error is self._last or isinstance(error, SandboxClosedError):
            return  # a sandbox is closed because something else failed
        self._last = error
        where = getattr(record, "task_run_name", None) or getattr(record, "flow_run_name", "")
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        print(f"{time.strftime('%H:%M:%S')}  failed: {where}: {reason:.{_WIDTH}}", flush=True)


class WarningLines(logging.Handler):
    """Says what our own parts got over, e.g. an engine that ended and is started again."""

    def __init__(self) -> None:
        """Take warnings and worse."""
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Print the first line of a warning."""
        text = (record.getMessage().splitlines() or [""])[0]
        print(f"{time.strftime('%H:%M:%S')}  warning: {text:.{_WIDTH}}", flush=True)


def show_failures() -> None:
    """Print failures inside flows, and warnings of our own parts, from now on."""
    from prefect.logging.configuration import setup_logging

    setup_logging()  # Prefect would do it at the first run, and remove handlers
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    if not any(isinstance(handler, FailureLines) for handler in loggers[0].handlers):
        lines = FailureLines()
        for logger in loggers:
            logger.addHandler(lines)
        warnings = WarningLines()
        for name in PACKAGES:
            logging.getLogger(name).addHandler(warnings)


def _error_of(record: logging.LogRecord) -> BaseException | None:
    """The exception that a record is about: attached, or among its arguments (a retry)."""
    if record.exc_info and record.exc_info[1] is not None:
        return record.exc_info[1]
    arguments = record.args if isinstance(record.args, tuple) else ()
    return next((item for item in arguments if isinstance(item, Exception)), None)
