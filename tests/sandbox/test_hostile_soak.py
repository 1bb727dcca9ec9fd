import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sandbox.conftest import BACKENDS
from tests.sandbox.engines import engine_at
from tests.sandbox.host_view import own_groups, wait_for

pytestmark = [pytest.mark.sandbox, pytest.mark.slow, pytest.mark.timeout(1800)]

_SOAK = Path(__file__).parents[2] / "benchmarks" / "sandbox_hostile.py"


@pytest.mark.parametrize("backend", BACKENDS)
def test_three_turns_give_the_same_verdicts_and_leave_nothing(
    backend: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("docker_engine") if backend == "docker" else "unix:///none"
    with engine_at(url):
        soak = subprocess.Popen(
            [sys.executable, str(_SOAK), "--turns", "3", "--backend", backend],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    output, _ = soak.communicate()
    assert soak.returncode == 0, output
    assert output.endswith("3 turns, 0 wrong, 0 different\n")
    # The cells are sessions of their own, in groups that carry the number of the process.
    wait_for(lambda: not own_groups(soak.pid), "control groups are gone")
    with pytest.raises(ProcessLookupError):
        os.killpg(soak.pid, signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []
