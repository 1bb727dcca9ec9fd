import sys
from pathlib import Path

import pytest

from sandbox import Limits, SandboxUnavailableError, SandboxUsageError, diagnose, open_sandbox
from sandbox.backends import jail
from sandbox.opening import choose_backend
from tests.sandbox.conftest import LIMITS, open_or_skip
from tests.sandbox.hostile.case import patient


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "local"}, "expected one of auto, namespaces"),
        ({"workers": 0}, "integer from 1 to 256"),
        ({"workers": True}, "integer from 1 to 256"),
        ({"comparator": "fuzzy"}, "expected one of exact, lines"),
        ({"programs_per_cell": 0}, "1 or more"),
        ({"packages": ["/no/such/folder"]}, "is not a folder"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_starts(
    arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(SandboxUsageError, match=message):
        open_sandbox(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"wall_s": 0}, r"Limits\(wall_s=0\): out of range; set 0.05 to 3600"),
        ({"cpu_s": float("nan")}, "cpu_s=nan"),
        ({"memory_mib": 1}, "set 64 to"),
        ({"processes": 1.5}, "expected an integer"),
        ({"stdout_kib": "1"}, "expected an integer"),
        ({"wall_s": True}, "expected a number"),
    ],
)
def test_limits_out_of_range_are_named(limits: dict[str, object], message: str) -> None:
    with pytest.raises(SandboxUsageError, match=message):
        Limits(**limits)  # type: ignore[arg-type]


def test_without_a_builder_it_refuses_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailableError) as caught:
        choose_backend("auto", Limits())
    text = str(caught.value)
    assert "no program was run" in text
    assert "apt-get install -y bubblewrap" in text and "util-linux" in text


def test_a_builder_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "unshare"
    fake.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailableError, match=r"(?s)Operation not permitted.*Fix:"):
        choose_backend("namespaces:unshare", Limits())


def test_a_python_that_a_cell_would_hide_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "base_prefix", "/tmp/python")
    with pytest.raises(SandboxUnavailableError, match="its own empty /tmp"):
        jail.interpreter()


@pytest.mark.sandbox
def test_the_doctor_agrees_with_opening() -> None:
    found = diagnose()
    assert [check.name for check in found.checks] == [
        "system",
        "control groups",
        "docker:runsc",
        "docker",
        "namespaces:bwrap",
        "namespaces:unshare",
    ]
    assert all(check.detail for check in found.checks)
    works = {check.name: check for check in found.checks if check.canaries}
    for check in works.values():
        assert check.ok, check.detail
        assert len(check.canaries) >= 12 and all(canary.holds for canary in check.canaries)
        assert check.limits.startswith("memory and processes: ")
    assert found.available == bool(works)
    assert found.backend == next(iter(works), None)
    if found.backend is not None:
        with open_or_skip("auto") as box:
            assert box.describe()["backend"] == found.backend.partition(":")[0]


@pytest.mark.sandbox
def test_without_control_groups_memory_and_processes_are_still_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sandbox import Program, Verdict
    from sandbox.backends import namespaces

    with open_or_skip("auto"):
        pass
    monkeypatch.setattr(namespaces, "find_hierarchy", lambda: None)
    grows = "x = []\nwhile True: x.append(bytearray(b'x' * (1 << 20)))"
    many = (
        "import os\nfor _ in range(4):\n"
        "    if os.fork() == 0:\n        x = bytearray(b'x' * (60 << 20))\n"
        "        import time; time.sleep(9)\n"
        "import time; time.sleep(9)"
    )
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    # No verdict hangs on a busy machine.
    with open_sandbox("auto", workers=1, limits=patient(LIMITS, ())) as box:
        batch = [Program(id=str(i), source=s) for i, s in enumerate((grows, many, bomb, "1"))]
        one, several, forks, after = box.run(batch)
    assert one.limits_enforced_by == "rlimits+polling"
    assert one.verdict is Verdict.MEMORY_LIMIT
    assert several.verdict is Verdict.MEMORY_LIMIT
    assert forks.verdict in (Verdict.CPU_TIMEOUT, Verdict.WALL_TIMEOUT)
    assert after.verdict is Verdict.ACCEPTED


@pytest.mark.sandbox
def test_extra_packages_can_be_imported(tmp_path: Path) -> None:
    from sandbox import Program

    with open_or_skip("auto"):
        pass
    (tmp_path / "extra_package.py").write_text("value = 7\n")
    tmp_path.chmod(0o755)
    with open_sandbox("auto", workers=1, limits=LIMITS, packages=[tmp_path]) as box:
        source = "import extra_package; print(extra_package.value)"
        (execution,) = box.run([Program(id="a", source=source)])
    assert execution.stdout == "7\n"
