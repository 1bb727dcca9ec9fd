"""One warm sandbox per backend for the whole folder; skipped with the reason where none works."""

import contextlib
import os
from collections.abc import Iterator
from typing import NoReturn

import pytest

from sandbox import Limits, Program, Sandbox, SandboxUnavailableError, Verdict, open_sandbox
from sandbox.backends.engine import connect, find_endpoint
from tests.sandbox.engines import (
    engine_at,
    engine_of_our_own,
    why_no_engine_of_our_own,
    with_image,
)

# Short, so that the many programs that run into a limit do not make the suite slow.
LIMITS = Limits(cpu_s=0.4, wall_s=1.2, memory_mib=128, processes=16, tmp_mib=8, tmp_inodes=256)

# What is built with `unshare` runs the same code inside; `make test-all` takes it too.
NAMESPACES = (pytest.param("namespaces:unshare", marks=pytest.mark.slow), "namespaces:bwrap")
BACKENDS = (*NAMESPACES, "docker")

_FORGER = """
import os
for fd in range(3, 4096):
    try: os.write(fd, bytes(64))
    except OSError: pass
"""

_NO_ENGINE = "unix:///nonexistent/engine.sock"


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test, except in CI, where everything has to work."""
    if os.environ.get("CI"):
        pytest.fail(f"CI is set, and: {reason}")
    pytest.skip(reason)


def open_or_skip(backend: str, workers: int = 1, limits: Limits = LIMITS) -> Sandbox:
    """Open a sandbox, or skip the test; in CI the embedded default has to work."""
    try:
        return open_sandbox(backend, workers=workers, limits=limits)
    except SandboxUnavailableError as error:
        if backend in ("auto", "docker"):
            skip_or_fail(f"no sandbox works here: {error}")
        pytest.skip(str(error))


@pytest.fixture(scope="session", autouse=True)
def given_engine() -> Iterator[str | None]:
    """Where this machine's engine is, if any; hidden, so that tests do not depend on it."""
    try:
        url = find_endpoint().url
    except SandboxUnavailableError:
        url = None
    with engine_at(_NO_ENGINE):
        yield url


@pytest.fixture(scope="session")
def docker_engine(given_engine: str | None) -> Iterator[str]:
    """Address of an engine that has the cell image; give it to `engine_at`."""
    with contextlib.ExitStack() as stack:
        url = given_engine
        try:
            with engine_at(url or _NO_ENGINE):
                connect(5.0).close()
        except SandboxUnavailableError as error:
            if (reason := why_no_engine_of_our_own()) is not None:
                skip_or_fail(f"{error}; {reason}")
            url = stack.enter_context(engine_of_our_own()).url
        assert url is not None
        try:
            with_image(url)
        except SandboxUnavailableError as error:
            skip_or_fail(str(error))
        yield url


@pytest.fixture(scope="session", params=BACKENDS)
def box(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox with one cell, so that one program's traces would meet the next."""
    engine = request.getfixturevalue("docker_engine") if request.param == "docker" else _NO_ENGINE
    with engine_at(engine):
        opened = open_or_skip(request.param)
    with opened as sandbox:
        if request.param == "docker":
            # From the first cell that is replaced on there is a spare container: before any test,
            # so that none takes it for something that was left over.
            (execution,) = sandbox.run([Program("forger", _FORGER)])
            assert execution.verdict is Verdict.TAMPERING
        yield sandbox


@pytest.fixture
def auto_box() -> Iterator[Sandbox]:
    """A sandbox of the embedded default with two cells."""
    with open_or_skip("auto", workers=2) as sandbox:
        yield sandbox
