"""What is settled before Prefect is imported: whose packages these are, and who is called."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.settings import guard_names, set_defaults

PROJECT = Path(__file__).parents[2]


def test_our_own_packages_are_found() -> None:
    guard_names()


@pytest.mark.parametrize("name", ["tasks", "sandbox", "storage"])
def test_another_package_of_our_name_is_named_with_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    code = "from flows.settings import guard_names; guard_names()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(PROJECT)])}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"package '{name}' comes from {tmp_path}, not from {PROJECT}" in done.stderr


def test_nothing_calls_home_and_the_user_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(os.environ)
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "DEBUG")
    for name in ("DO_NOT_TRACK", "PREFECT_SERVER_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    try:
        set_defaults()
        assert os.environ["DO_NOT_TRACK"] == os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
        assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
        assert os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] == "DEBUG"
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
