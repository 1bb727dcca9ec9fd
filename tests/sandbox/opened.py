"""Sandboxes of the embedded default with options of a test's own."""

from collections.abc import Sequence
from pathlib import Path

from sandbox import Limits, Sandbox, SandboxUnavailableError, open_sandbox
from tests.sandbox.conftest import LIMITS, skip_or_fail


def open_default(
    backend: str = "namespaces",
    *,
    workers: int = 1,
    limits: Limits = LIMITS,
    packages: Sequence[str | Path] = (),
    seed: int = 0,
    preload: Sequence[str] = (),
) -> Sandbox:
    """Open a sandbox, or skip the test where none works."""
    try:
        return open_sandbox(
            backend, workers=workers, limits=limits, packages=packages, seed=seed, preload=preload
        )
    except SandboxUnavailableError as error:
        skip_or_fail(str(error))
