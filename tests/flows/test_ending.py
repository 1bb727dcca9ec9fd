"""How a command ends: the exit status, and what a user reads of an error or an interrupt."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.ending import describe, report_ending
from flows.errors import SettingError
from tasks.errors import EngineError

PROJECT = Path(__file__).parents[2]


def test_an_error_of_ours_is_its_message_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending, report_ending(["run"]):
        raise SettingError("sampling.n=0: expected 1 or more")
    assert ending.value.code == 1
    assert capsys.readouterr().err == "selfloom: sampling.n=0: expected 1 or more\n"


def test_an_unforeseen_error_has_its_class_and_the_way_to_its_traceback() -> None:
    assert describe(ZeroDivisionError("division by zero")) == (
        "selfloom: ZeroDivisionError: division by zero\n"
        "(this was not foreseen; SELFLOOM_TRACEBACK=1 shows where it comes from)"
    )


def test_the_traceback_of_a_worker_is_left_out_and_pointed_to() -> None:
    text = describe(EngineError("engine failed: OSError\nlast lines of the worker:\nTraceback ..."))
    assert text == (
        "selfloom: engine failed: OSError\n(SELFLOOM_TRACEBACK=1 shows where it comes from)"
    )


def test_tracebacks_are_shown_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFLOOM_TRACEBACK", "1")
    with pytest.raises(SettingError), report_ending(["run"]):
        raise SettingError("wrong")


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), SystemExit(130)])
def test_an_interrupted_run_says_what_continues_it(
    interrupt: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ending, report_ending(["run", "scpo", "--run", "a b"]):
        raise interrupt
    assert ending.value.code == 130
    expected = "selfloom: interrupted; this goes on where it stopped: selfloom run scpo --run 'a b'"
    assert capsys.readouterr().err.strip() == expected


def test_other_exit_statuses_pass_through() -> None:
    with pytest.raises(SystemExit) as ending, report_ending(["run"]):
        raise SystemExit(2)
    assert ending.value.code == 2


class InterruptedFinalizer:
    """Something that is interrupted while it is finalized, where Python drops exceptions."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.001)  # signals are handled between two instructions of the main thread


def test_an_interrupt_in_a_finalizer_comes_again(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending, report_ending(["run"]):
        InterruptedFinalizer()
        while True:
            time.sleep(0.01)
    assert ending.value.code == 130
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_closed_pipe_is_no_traceback() -> None:
    code = (
        "import sys\n"
        "from flows.ending import report_ending\n"
        "with report_ending(['sql']):\n"
        "    sys.stdin.read()\n"
        "    for _ in range(100_000): print('x' * 100)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin and process.stdout and process.stderr
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1
    process.stderr.close()
