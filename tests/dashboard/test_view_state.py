"""The URL is the view: reading and writing it must agree, and no URL may break the page."""

from __future__ import annotations

import pytest

from dashboard.view_state import DEFAULT, ViewState, parse_moment

STATES = [
    ViewState(),
    ViewState(window="30s", type="app", label="p95"),
    ViewState(window="2h", live=False, theme="dark", locks=False, traffic=True),
    ViewState(start="2026-11-21T12:00:00Z", end="2026-11-21T12:05:00Z", success="4xx"),
    ViewState(namespaces=("default", "päyments & co", "a=b?c#d"), find="<img src=x onerror=alert(1)> %&+"),
    ViewState(node="0123456789abcdef"),
    ViewState(edge="fedcba9876543210", label="off"),
]


@pytest.mark.parametrize("state", STATES)
def test_round_trip(state: ViewState) -> None:
    """Every state survives the URL and the browser's store."""
    assert ViewState.from_search(state.to_search()) == state
    assert ViewState.from_json(state.to_json()) == state


def test_defaults_are_left_out() -> None:
    """A link to the default view is bare; another names only what differs."""
    assert DEFAULT.to_search() == ""
    assert ViewState(window="1m").to_search() == "?window=1m"


@pytest.mark.parametrize(
    "search",
    [
        "?window=forever&type=galaxy&label=%00&theme=pink&success=yes",
        "?from=2026-11-21T12:05:00Z&to=2026-11-21T12:00:00Z",
        "?from=2026-11-21T12:05:00Z",
        "?from=yesterday&to=9999999999999999999999",
        "?%ff%fe&&&===&window",
        "?node=<script>&edge=%20",
        "?window=0s&window=5m",
    ],
)
def test_bad_values_fall_back(search: str) -> None:
    """Unknown names and bad values mean the default, never an error."""
    assert ViewState.from_search(search) == DEFAULT


def test_store_values_are_not_trusted() -> None:
    """What a browser sends back may be anything."""
    for value in (None, [], {"window": 5}, {"namespaces": [1, None]}, {"find": ["x"]}, {"__class__": "x"}):
        assert ViewState.from_json(value) == DEFAULT  # type: ignore[arg-type]


def test_one_selection() -> None:
    """A node wins over an edge; `select` replaces both."""
    state = ViewState.from_search("?edge=e1&node=n1")
    assert state.selection == {"kind": "node", "id": "n1"}
    assert state.select({"kind": "edge", "id": "e2"}).selection == {"kind": "edge", "id": "e2"}
    assert state.select(None).selection is None


def test_graph_params() -> None:
    """Absolute times win over the window; namespaces repeat."""
    assert DEFAULT.graph_params() == {"window": "5m", "type": "version", "success": "5xx"}
    state = ViewState(start="2026-11-21T12:00:00Z", end="2026-11-21T12:05:00Z", namespaces=("a", "b"))
    params = state.graph_params()
    assert "window" not in params
    assert params["namespace"] == ["a", "b"]


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("2026-11-21 12:00", "2026-11-21T12:00:00Z"),
        ("2026-11-21T13:00:00+01:00", "2026-11-21T12:00:00Z"),
        ("1795262400", "2026-11-21T12:00:00Z"),
        ("2026-11-21", "2026-11-21T00:00:00Z"),
        ("noon", None),
        ("", None),
    ],
)
def test_moments(typed: str, read: str | None) -> None:
    """Times are read as people type them; without an offset they are UTC."""
    assert parse_moment(typed) == read
