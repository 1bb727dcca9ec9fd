"""What a terminal shows of a failure inside a flow: one line per exception."""

import logging

import pytest

from flows.failure_lines import FailureLines, show_failures
from sandbox import SandboxClosedError

logger = logging.getLogger("selfloom.test_failure_lines")


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """A logger that only shows failures."""
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.handlers = [FailureLines()]
    return capsys


def test_an_exception_is_one_line_however_often_it_is_logged(
    lines: pytest.CaptureFixture[str],
) -> None:
    error = OSError("no room\nTraceback of somebody")
    logger.info("Task run failed: %r - Retry 1/2", error, extra={"task_run_name": "train"})
    logger.error("Encountered exception", exc_info=error, extra={"flow_run_name": "round-1"})
    assert lines.readouterr().out.split("  ", 1)[1] == "failed: train: no room\n"


def test_another_exception_is_another_line(lines: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        logger.error("failed", exc_info=ValueError(), extra={"flow_run_name": "r"})
    out = lines.readouterr().out.splitlines()
    assert [line.split("  ", 1)[1] for line in out] == ["failed: r: ValueError"] * 2


def test_what_is_no_failure_or_only_follows_from_one_is_not_shown(
    lines: pytest.CaptureFixture[str],
) -> None:
    logger.error("a message without an exception: %s", "text")
    logger.error("failed", exc_info=SandboxClosedError("closed"))
    assert lines.readouterr().out == ""


def test_what_our_own_parts_got_over_is_a_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    show_failures()
    ours = logging.getLogger("tasks.engines.some_engine")
    ours.info("nothing to look at")
    ours.warning("the engine ended with exit code %s\nTraceback of somebody", -9)
    assert capsys.readouterr().out.split("  ", 1)[1] == (
        "warning: the engine ended with exit code -9\n"
    )
