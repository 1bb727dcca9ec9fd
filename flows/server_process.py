"""The process of a Prefect server: `python -m flows.server_process KIND HOST PORT PARENT_PID`."""

from __future__ import annotations

import os
import sys

from tasks.child_process import die_with_parent

# Without the page and without the services of a lasting server, which schedule and clean up runs.
_PRIVATE = {"PREFECT_SERVER_UI_ENABLED": "false", "PREFECT__SERVER_EPHEMERAL": "1"}


def main() -> None:
    """Serve until terminated, or until the parent process is gone."""
    kind, host, port, parent_pid = sys.argv[1:]
    die_with_parent(int(parent_pid))
    os.environ["PREFECT_SERVER_API_HOST"], os.environ["PREFECT_SERVER_API_PORT"] = host, port
    # Prefect takes the page's API address from the settings of clients, which may be elsewhere.
    os.environ["PREFECT_SERVER_UI_API_URL"] = f"http://{host}:{port}/api"
    os.environ["PREFECT__SERVER_FINAL"] = "1"
    if kind == "private":
        os.environ.update(_PRIVATE)
    import uvicorn

    uvicorn.run(
        "prefect.server.api.server:create_app",
        factory=True,
        host=host,
        port=int(port),
        log_level="warning",
        lifespan="on",
        timeout_graceful_shutdown=5,  # an open page holds its connection for ever
    )


if __name__ == "__main__":
    main()
