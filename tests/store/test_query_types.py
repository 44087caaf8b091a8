"""Questions made from text: what is read, and the sentence for what is not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from store.errors import BadQuery
from store.query_types import GraphQuery, RequestsQuery, TimeseriesQuery, TracesQuery, Window, read_trace_id

NOON = datetime(2026, 11, 21, 12)
EDGE = "0123456789abcdef"


@pytest.mark.parametrize(
    ("params", "window"),
    [
        ({"from": "2026-11-21T12:00:00Z", "to": "2026-11-21T12:05:00Z"}, (NOON, 5)),
        ({"from": "2026-11-21T13:00:00+01:00", "to": "2026-11-21T12:01:00"}, (NOON, 1)),
        ({"from": "2026-11-21T13:00:00 01:00", "to": "2026-11-21T12:01:00Z"}, (NOON, 1)),
        ({"from": "1795262400", "to": "1795262460"}, (NOON, 1)),
        ({"to": "2026-11-21T12:05:00Z", "window": "5m"}, (NOON, 5)),
    ],
)
def test_windows(params: dict[str, str], window: tuple[datetime, int]) -> None:
    """A window is [from, to) in naive UTC, from RFC 3339 of any zone, epoch seconds, or a length."""
    start, minutes = window
    assert GraphQuery.from_params(params).window == Window(start, start + timedelta(minutes=minutes))


def test_the_last_five_minutes_unless_told() -> None:
    """Without a window the last 5 minutes are asked for."""
    assert GraphQuery.from_params({}).window.seconds == 300


@pytest.mark.parametrize(
    ("kind", "params", "code"),
    [
        (GraphQuery, {"window": "soon"}, "bad_window"),
        (GraphQuery, {"window": "0s"}, "bad_window"),
        (GraphQuery, {"window": "5m", "from": "1795262400"}, "bad_window"),
        (GraphQuery, {"from": "1795262460", "to": "1795262400"}, "bad_window"),
        (GraphQuery, {"from": "1", "to": "1795262400"}, "window_too_long"),
        (GraphQuery, {"from": "yesterday"}, "bad_time"),
        (GraphQuery, {"from": "9" * 30}, "bad_time"),
        (GraphQuery, {"type": "pod"}, "bad_type"),
        (GraphQuery, {"success": "2xx"}, "bad_success"),
        (GraphQuery, {"widnow": "5m"}, "unknown_parameter"),
        (GraphQuery, {"type": ["app", "service"]}, "repeated_parameter"),
        (TimeseriesQuery, {}, "no_element"),
        (TimeseriesQuery, {"edge": "'; drop"}, "bad_edge"),
        (TimeseriesQuery, {"edge": EDGE, "node": EDGE}, "bad_element"),
        (TimeseriesQuery, {"edge": EDGE, "step": "0"}, "bad_step"),
        (TimeseriesQuery, {"edge": EDGE, "step": "1", "window": "24h"}, "too_many_steps"),
        (RequestsQuery, {"limit": "100000"}, "bad_limit"),
        (RequestsQuery, {"view": "both"}, "bad_view"),
        (RequestsQuery, {"trace_id": "xyz"}, "bad_trace_id"),
        (TracesQuery, {"min_duration_ms": "-1"}, "bad_min_duration_ms"),
    ],
)
def test_refusals(kind: Any, params: dict[str, Any], code: str) -> None:
    """What cannot be read is refused with a code, a sentence and what to do."""
    with pytest.raises(BadQuery) as refused:
        kind.from_params(params)
    assert refused.value.code == code
    assert refused.value.message
    assert refused.value.hint


def test_values_are_read() -> None:
    """Namespaces repeat, a step is a sixtieth of the window unless told, Zipkin's short ids are padded."""
    assert GraphQuery.from_params({"namespace": ["a", "b", "a"]}).namespaces == ("a", "b")
    assert TimeseriesQuery.from_params({"edge": EDGE, "window": "5m"}).step_s == 5
    assert TracesQuery.from_params({"errors": "1", "min_duration_ms": "2.5"}).min_duration_ms == 2.5
    assert read_trace_id("ABCDEF0123456789") == "0" * 16 + "abcdef0123456789"
