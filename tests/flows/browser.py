"""Chromium on the page of Prefect, as a person uses it: log in, fill in, answer, cancel, retry."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, sync_playwright

PATIENCE_MS = 120_000  # until a step gives up waiting; none is judged by its time
_OPTIONS = [
    "--no-sandbox",  # of the browser itself: root has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium_page() -> Iterator[Page]:
    """A page of a headless Chromium; without one the test is skipped, in CI it fails."""
    found = shutil.which("chromium")
    if found is None:
        reason = "chromium is not installed: scripts/system-packages browser"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_OPTIONS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


def log_in(page: Page, url: str, password: str) -> None:
    """Give the password, then open the address."""
    root = re.match(r"https?://[^/]+", url)
    assert root
    page.goto(f"{root[0]}/login")
    page.locator("input[type=password]").fill(password)
    page.get_by_role("button", name="Login").click()
    page.wait_for_url(re.compile("/dashboard"))
    page.goto(url)


def field(page: Page, name: str) -> Locator:
    """A field of the form by its name, also one within a group."""
    text = re.compile(rf"^{name}( \(Optional\))?$")
    label = page.locator(".schema-form-property__label", has_text=text)
    return page.locator(".schema-form-property").filter(has=label).last


def choose(page: Page, name: str, value: str) -> None:
    """Choose from a list, which opens by the keyboard: a click of no duration closes it again."""
    field(page, name).locator(".p-select-button__control").press("Space")
    page.get_by_role("option", name=value, exact=True).click()


def fill(page: Page, name: str, value: object) -> None:
    """Type a text, a number or JSON."""
    text = json.dumps(value) if isinstance(value, dict) else str(value)
    field(page, name).locator("textarea, input").last.fill(text)


def tick(page: Page, name: str) -> None:
    """Switch a yes-or-no field on."""
    field(page, name).get_by_role("switch").click()


def fill_run(page: Page, recipe: str, environment: str, settings: dict[str, Any]) -> None:
    """Fill in what `any_recipe` asks first."""
    choose(page, "recipe", recipe)
    choose(page, "environment", environment)
    fill(page, "settings", settings)


def submit(page: Page) -> None:
    """Press Submit."""
    page.get_by_role("button", name="Submit").click()
