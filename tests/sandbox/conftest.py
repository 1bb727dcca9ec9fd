"""One warm sandbox per builder for the whole folder; skipped with the reason where none works."""

import os
from collections.abc import Iterator

import pytest

from sandbox import Limits, Sandbox, SandboxUnavailableError, open_sandbox

# Short, so that the many programs that run into a limit do not make the suite slow.
LIMITS = Limits(cpu_s=0.4, wall_s=1.2, memory_mib=128, processes=16, tmp_mib=8, tmp_inodes=256)


def open_or_skip(backend: str, workers: int = 1, limits: Limits = LIMITS) -> Sandbox:
    """Open a sandbox, or skip the test; in CI the embedded default has to work."""
    try:
        return open_sandbox(backend, workers=workers, limits=limits)
    except SandboxUnavailableError as error:
        if os.environ.get("CI") and backend == "auto":
            pytest.fail(f"CI is set and no sandbox works here: {error}")
        pytest.skip(str(error))


@pytest.fixture(scope="session", params=["namespaces:unshare", "namespaces:bwrap"])
def box(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox with one cell, so that one program's traces would meet the next."""
    with open_or_skip(request.param) as sandbox:
        yield sandbox


@pytest.fixture
def auto_box() -> Iterator[Sandbox]:
    """A sandbox of the embedded default with two cells."""
    with open_or_skip("auto", workers=2) as sandbox:
        yield sandbox
