"""A dashboard around answers that a test can change, and the browser to look at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.pages import browser, context, open_page, tab
from tests.dashboard.fake_server import Answers, serving

__all__ = ["browser", "context", "open_page", "tab"]


@pytest.fixture(scope="module")
def dashboard() -> Iterator[tuple[Answers, str]]:
    """A running dashboard and what its server knows, for one module."""
    known = Answers()
    with serving(known) as base:
        yield known, base


@pytest.fixture
def answers(dashboard: tuple[Answers, str]) -> Answers:
    """What the server knows: at first bookinfo's graph; change it while pages look."""
    known, _ = dashboard
    known.graph_json = Answers().graph_json
    return known


@pytest.fixture
def url(dashboard: tuple[Answers, str], answers: Answers) -> str:
    return dashboard[1]
