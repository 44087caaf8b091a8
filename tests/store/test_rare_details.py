"""The rarer parts of OTLP records, as users read them from the sealed file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.store.journals import NOON, batch, open_store, write_journal
from tests.store.test_published import read

SCOPE = {"scope_attributes": [("team", "shop")], "scope_schema_url": "https://example.org/1"}
TRACE, SPAN = bytes(range(16)), 0x1F


def published(tmp_path: Path, statement: str, **rows: list[dict[str, Any]]) -> list[list[object]]:
    write_journal(tmp_path / "journal", "c-1", [batch("1", **rows)])
    store = open_store(tmp_path)
    store.poll_once()
    store.stop()
    return read(tmp_path, statement)


def test_links_events_and_scopes_of_spans(tmp_path: Path) -> None:
    """Ids of links are hexadecimal text, counts and flags stand beside, the scope tells its attributes."""
    link = {"trace_id": TRACE, "span_id": SPAN, "attributes": [], "flags": 256, "dropped_attributes_count": 4}
    event = {"time_ns": 5, "name": "retry", "attributes": [("n", "1")], "dropped_attributes_count": 3}
    span = {"time": NOON, "trace_id": TRACE, "span_id": 1, "links": [link], "events": [event]} | SCOPE
    found = published(
        tmp_path,
        "select links[1].trace_id, links[1].span_id, links[1].flags, links[1].dropped_attributes_count, "
        "events[1].name, events[1].dropped_attributes_count, scope_attributes['team'], scope_schema_url from spans",
        spans=[span],
    )
    said = [TRACE.hex(), "000000000000001f", 256, 4, "retry", 3, "shop", SCOPE["scope_schema_url"]]
    assert found == [said]


def test_exemplars_and_metadata_of_metrics(tmp_path: Path) -> None:
    """An exemplar names the trace it was measured in, in the words of `spans`."""
    bare = {"time_ns": 7, "value": None, "value_int": 9, "trace_id": None, "span_id": None, "attributes": []}
    full = bare | {"trace_id": TRACE, "span_id": SPAN, "attributes": [("path", "/")]}
    point = {"time": NOON, "name": "m", "metadata": [("origin", "x")], "exemplars": [full, bare]} | SCOPE
    found = published(
        tmp_path,
        "select name, metadata['origin'], exemplars[1].trace_id, exemplars[1].span_id, exemplars[1].value_int, "
        "exemplars[1].attributes['path'], exemplars[2].trace_id, exemplars[2].span_id from metric_points "
        "order by name desc",
        metric_points=[point, {"time": NOON, "name": "a"}],
    )
    said = ["m", "x", TRACE.hex(), "000000000000001f", 9, "/", None, None]
    assert found == [said, ["a", *[None] * 7]]


def test_resources_keep_how_much_was_dropped(tmp_path: Path) -> None:
    """Two resources that differ only in what their senders dropped are two; a log record points at its own."""
    described = [
        {"resource": number, "attributes": [("a", "b")], "dropped_attributes_count": number}
        for number in (0, 2)
    ]
    found = published(
        tmp_path,
        "select body, resources.dropped_attributes_count, scope_attributes['team'] "
        "from logs_raw join resources using (resource_key) order by body",
        resources=described,
        logs=[{"time": NOON, "body": f"line {number}", "resource": number} | SCOPE for number in (0, 2)],
    )
    assert found == [["line 0", 0, "shop"], ["line 2", 2, "shop"]]
