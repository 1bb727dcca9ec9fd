"""What has to be settled before Prefect is imported."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

PACKAGES = ("tasks", "sandbox", "storage")
"""Our own packages beside `flows`; each is the root of its modules' loggers."""


def guard_names() -> None:
    """Refuse to start where another distribution's `tasks`, `sandbox` or `storage` is found first.

    Raises:
        ImportError: One of our top-level packages is shadowed.
    """
    home = Path(__file__).resolve().parent.parent
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve().parent.parent if spec and spec.origin else None
        if found != home:
            raise ImportError(
                f"package {name!r} comes from {found}, not from {home}; install selfloom into an "
                "environment of its own"
            )


def set_defaults() -> None:
    """Set what Prefect and the Hugging Face libraries read, where the user has set nothing else.

    Nothing calls home, and Prefect's own lines stay off the terminal: the page of the run has them
    all, and an error is one message of ours (see `flows.cli.main`).
    """
    wants_tracebacks = bool(os.environ.get("SELFLOOM_TRACEBACK"))
    defaults = {
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING" if wants_tracebacks else "CRITICAL",
        # Of our own parts too: an engine that was started again stands in the log of its run.
        "PREFECT_LOGGING_EXTRA_LOGGERS": ",".join(PACKAGES),
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # With 1 (Prefect's default) a server needs 34-80 s to record 1,000 task runs, with 100 it
        # needs 3-11 s.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
