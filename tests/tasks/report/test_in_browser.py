"""Both pages in a real browser: on a phone, on paper, and without a network."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from storage import Warehouse
from tasks.report import write_comparison, write_report

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium; scripts/system-packages browser installs it"
)
PHONE: ViewportSize = {"width": 360, "height": 740}
PAPER: ViewportSize = {"width": 720, "height": 1018}  # A4 with margins
# Tables that could still be scrolled, and closed details of which nothing is shown.
HIDDEN = """() => {
    const all = selector => [...document.querySelectorAll(selector)];
    return [
        ...all(".scroll, pre").filter(e => e.scrollWidth > e.clientWidth + 1),
        ...all("details > div").filter(e => !e.getBoundingClientRect().height),
    ].map(e => e.innerText.slice(0, 80));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(finished_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    write_report(finished_warehouse, folder / "report.html")
    write_comparison(finished_warehouse, folder / "comparison.html", [])
    return folder


@pytest.mark.parametrize("name", ["report.html", "comparison.html"])
def test_a_page_fits_a_phone_and_paper_and_loads_nothing(
    browser: Browser, pages: Path, name: str
) -> None:
    address = (pages / name).as_uri()
    page: Page = browser.new_page(viewport=PHONE)
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.set_viewport_size(PAPER)
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= PAPER["width"]
    assert page.evaluate(HIDDEN) == []
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert set(asked) == {address} and complaints == []
    page.close()
