"""A real Chromium, and pages that fail their test when anything goes wrong on them: fixtures for `conftest.py`s."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE_S = 240.0

expect.set_options(timeout=PATIENCE_S * 1000)


def find_chrome() -> str:
    """The browser to use; `make test` says how to install one."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise RuntimeError("There is no Chromium or Chrome: run tests/browser/install_chromium.sh.")


def until(page: Page, expression: str, patience_s: float = PATIENCE_S) -> Any:
    """The first truthy value of a JavaScript expression.

    Playwright's own wait_for_function evaluates text inside the page, which its policy forbids.
    """
    end = time.monotonic() + patience_s
    while True:
        value = page.evaluate(expression)
        if value:
            return value
        assert time.monotonic() < end, f"never became true: {expression}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module, and no longer: while Playwright lives, its thread can run no asyncio."""
    with sync_playwright() as play:
        chrome = play.chromium.launch(executable_path=find_chrome(), args=FLAGS, timeout=PATIENCE_S * 1000)
        yield chrome
        chrome.close()


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One profile for a module: what a page has loaded once, the next one finds in its cache."""
    profile = browser.new_context(viewport={"width": 1280, "height": 800})
    profile.set_default_timeout(PATIENCE_S * 1000)
    yield profile
    profile.close()


@pytest.fixture(scope="module")
def tab(context: BrowserContext) -> Iterator[tuple[Page, list[str]]]:
    """One tab for a module (a new one costs a process each), and what went wrong on it."""
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(f"exception: {error}"))
    page.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
    yield page, problems
    page.close()


@pytest.fixture
def open_page(tab: tuple[Page, list[str]]) -> Iterator[Callable[[str], Page]]:
    """``open_page(url)`` loads it anew; afterwards no console error or exception may have happened."""
    page, problems = tab

    def opened(url: str) -> Page:
        page.goto(url, wait_until="commit")
        return page

    yield opened
    found = problems.copy()
    page.goto("about:blank")  # what it still asked of a server that ends is no problem of the page
    problems.clear()
    assert found == [], "\n".join(found)
