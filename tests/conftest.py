"""What every test gets: no downloads, no deadlines, the published data where it exists."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

PROJECT = Path(__file__).parents[1]

# Set before anything imports a Hugging Face library; a test that needs the hub is a mistake.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")

# A deadline would judge a test by how busy the machine is; what fails in CI must fail again.
settings.register_profile("house", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("house")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the published GSM8K and HumanEval files."""
    path = Path(os.environ.get("SELFLOOM_SHARED_DATA") or PROJECT.parent / "shared" / "data")
    if not (path / "gsm8k" / "test.jsonl").is_file():
        reason = (
            f"no gsm8k/test.jsonl in {path}; "
            "set SELFLOOM_SHARED_DATA to the folder that has the published data files"
        )
        # CI has the files: there, a skip would hide that these tests no longer run.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return path
