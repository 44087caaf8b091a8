"""The side panel before a store that is slower than the page's ticks."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard import answers
from tests.dashboard.fake_server import Answers, serving

pytestmark = pytest.mark.browser


class SlowAnswers(Answers):
    """Each graph is of a later window, as in a live page; rows take longer than the graph's two-second ticks."""

    def __init__(self) -> None:
        super().__init__()
        self.moves = itertools.count()

    def graph(self, query: Any) -> dict[str, Any]:
        moved = timedelta(seconds=next(self.moves))
        times = {"from": answers.START + moved, "to": answers.START + moved + timedelta(minutes=5)}
        return super().graph(query) | {name: f"{at:%Y-%m-%dT%H:%M:%SZ}" for name, at in times.items()}

    def requests(self, query: Any) -> dict[str, Any]:
        self.asked.append(("requests", query))
        time.sleep(6)
        return answers.requests()


def test_a_store_slower_than_the_ticks_is_heard(open_page: Callable[[str], Page]) -> None:
    """The first answer is shown although newer windows came meanwhile, and then the next window is asked for."""
    known = SlowAnswers()
    with serving(known) as url:
        page = open_page(f"{url}/?edge={known.graph_json['edges'][0]['id']}")
        expect(page.locator("#panel-requests table")).to_be_visible()
        first = [query.window for name, query in known.asked if name == "requests"]
        deadline = time.monotonic() + 60
        while len([1 for name, _ in known.asked if name == "requests"]) <= len(first):
            assert time.monotonic() < deadline, "the panel did not ask again"
            time.sleep(0.2)
    asked = [query.window for name, query in known.asked if name == "requests"]
    assert len(set(asked)) == len(asked)
