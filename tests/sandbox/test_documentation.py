"""What docs/sandbox.md shows, runs."""

import re
from pathlib import Path

import pytest

from sandbox import Verdict
from tests.sandbox.conftest import open_or_skip

pytestmark = pytest.mark.sandbox

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"


def test_the_example_prints_three_accepted_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    open_or_skip("auto").close()
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    exec(compile(blocks[0], str(PAGE), "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [[name, "accepted"] for name in "abc"]


def test_the_page_explains_every_verdict() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [verdict for verdict in Verdict if f"`{verdict}`" not in text] == []
