"""What has to be settled before Prefect is imported."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path


def guard_names() -> None:
    """Refuse to start where another distribution's `tasks`, `sandbox` or `storage` is found first.

    Raises:
        ImportError: One of our top-level packages is shadowed.
    """
    home = Path(__file__).resolve().parent.parent
    for name in ("tasks", "sandbox", "storage"):
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve().parent.parent if spec and spec.origin else None
        if found != home:
            raise ImportError(
                f"package {name!r} comes from {found}, not from {home}; install selfloom into an "
                "environment of its own"
            )


def quiet_console() -> None:
    """Keep Prefect's own lines off the terminal (the UI has them all) and nothing calls home."""
    defaults = {
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
