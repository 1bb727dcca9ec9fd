import os

import pytest

from tasks.engines.vllm_engine import check_vllm
from tasks.errors import MissingPackageError


@pytest.fixture(scope="session")
def vllm_installed() -> None:
    """Skips what needs vLLM where it is not installed."""
    try:
        check_vllm()
    except MissingPackageError as error:
        # CI has it: there, a skip would hide that these tests no longer run.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
