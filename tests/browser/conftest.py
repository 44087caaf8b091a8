"""A real Chromium, and pages that fail their test when anything goes wrong on them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.dashboard.fake_server import Answers, serving

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
PATIENCE_S = 90.0


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


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for this folder, and for no other: while Playwright lives, its thread can run no asyncio."""
    with sync_playwright() as play:
        chrome = play.chromium.launch(executable_path=find_chrome(), args=FLAGS, timeout=PATIENCE_S * 1000)
        yield chrome
        chrome.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """``open_page(url, **context options)``; afterwards no console error or exception may have happened."""
    problems: list[str] = []
    contexts = []

    def opened(url: str, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        page.on("pageerror", lambda error: problems.append(f"exception: {error}"))
        page.on(
            "console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None
        )
        page.goto(url, wait_until="commit")
        return page

    opened.problems = problems  # type: ignore[attr-defined] - a test that expects one may empty it
    yield opened
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def answers() -> Answers:
    """What the server of this test knows; change it while pages look."""
    return Answers()


@pytest.fixture
def url(answers: Answers) -> Iterator[str]:
    """A running dashboard around ``answers``."""
    with serving(answers) as base:
        yield base
