"""What touching the toolbar means for the view."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dashboard.pages import controls
from dashboard.pages.empty import snippets
from dashboard.settings import DashboardSettings
from dashboard.view_state import DEFAULT, ViewState

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ABSOLUTE = ViewState(start="2026-11-21T11:00:00Z", end="2026-11-21T11:30:00Z")


@pytest.mark.parametrize(
    ("before", "touched", "values", "after"),
    [
        (DEFAULT, "window", {"window": "1h"}, ViewState(window="1h")),
        (DEFAULT, "window", {"window": None}, DEFAULT),
        (DEFAULT, "window", {"window": "custom"},
         ViewState(start="2026-11-21T11:55:00Z", end="2026-11-21T12:00:00Z")),
        (ABSOLUTE, "window", {"window": "5m"}, DEFAULT),
        (ABSOLUTE, "start", {"start": "2026-11-21 11:10", "end": ABSOLUTE.end},
         ViewState(start="2026-11-21T11:10:00Z", end=ABSOLUTE.end)),
        (ABSOLUTE, "start", {"start": "later than the end", "end": ABSOLUTE.end}, ABSOLUTE),
        (DEFAULT, "namespaces", {"namespaces": ["a", "b"]}, ViewState(namespaces=("a", "b"))),
        (DEFAULT, "namespaces", {"namespaces": None}, DEFAULT),
        (DEFAULT, "options", {"options": ["traffic"]}, ViewState(traffic=True, locks=False)),
        (DEFAULT, "live", {}, ViewState(live=False)),
        (DEFAULT, "find", {"find": "reviews"}, ViewState(find="reviews")),
        (DEFAULT, "a control of another page", {}, DEFAULT),
    ],
)  # fmt: skip
def test_reconcile(before: ViewState, touched: str, values: dict[str, Any], after: ViewState) -> None:
    """View and what was touched in, view out."""
    assert controls.reconcile(before, touched, values, NOON) == after


@pytest.mark.parametrize("view", [DEFAULT, ABSOLUTE, ViewState(window="2h", namespaces=("x",), traffic=True)])
def test_controls_show_the_view(view: ViewState) -> None:
    """What the controls show for a view means that view again."""
    values = dict(zip(controls.VALUES, controls.shown(view), strict=True))
    again = view
    for name in controls.VALUES:
        again = controls.reconcile(again, name, values)
    assert again == view
    assert values["window"] in {option["value"] for option in controls.window_options(view.window)}


def test_snippets_name_this_server() -> None:
    """What the first page says to apply has this server's own addresses."""
    found = snippets(DashboardSettings(grpc="10.0.0.5:4444", http="10.0.0.5:5555"))
    assert "service: 10.0.0.5, port: 4444" in found["Istio"]
    assert "address: 10.0.0.5, port_value: 4444" in found["Envoy"]
    assert "http://10.0.0.5:5555" in found["OpenTelemetry"]
    everywhere = snippets(DashboardSettings(grpc="0.0.0.0:4317"))
    assert "0.0.0.0" not in everywhere["Istio"]


def test_a_late_view_does_not_undo_what_was_typed() -> None:
    """What the plain controls say now wins over the stored view, which a slow answer has not reached yet."""
    values = {"find": "reviews", "label": "p95", "type": "version", "options": ["traffic"], "success": None}
    assert controls.reread(DEFAULT, values) == ViewState(
        find="reviews", label="p95", traffic=True, locks=False
    )
