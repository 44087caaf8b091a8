"""A trace as `assets/waterfall.js` draws it: what repeats is sent once, and every span has a colour.

A pure function from the JSON of `/api/traces/{id}` to a smaller JSON. What must stay true: spans keep
their depth-first order and their depth (the script finds subtrees by it); strings are passed as they
are, because the script only ever makes text of them.
"""

from __future__ import annotations

import json
from typing import Any

from dashboard.flags import meanings

# Colours the stylesheet has for services: --wf-service-0 … --wf-service-9.
COLOURS = 10

# Attributes of which a longer value is cut before it travels to the browser.
LONGEST_VALUE = 8_192


def waterfall_payload(trace: dict[str, Any]) -> dict[str, Any]:
    """The JSON of `/api/traces/{id}` → `{"trace_id", "time", "duration_ms", "truncated", "services",
    "resources", "flags", "spans"}`.

    `services` is `[{"name", "spans", "errors", "colour"}]` in the order they are met; a span holds the index
    of its service and of its resource. `flags` explains every response flag that occurs.
    """
    services: dict[str, dict[str, Any]] = {}
    resources: dict[str, int] = {}
    spans = [_drawn(span, services, resources) for span in trace.get("spans") or []]
    return {
        "trace_id": trace.get("trace_id"),
        "time": trace.get("time"),
        "duration_ms": trace.get("duration_ms"),
        "truncated": bool(trace.get("truncated")),
        "services": list(services.values()),
        "resources": [json.loads(text) for text in resources],
        "flags": meanings(flag for span in spans for flag in span["response_flags"]),
        "spans": spans,
    }


def service_of(span: dict[str, Any]) -> str:
    """The name a span is coloured by: a proxy and the application behind it share one.

    Envoy calls its own service `productpage.default` (node.cluster) where the application says
    `productpage`; the namespace at the end is cut off for proxies.
    """
    name = span.get("service") or span.get("workload") or "unknown"
    namespace = span.get("namespace")
    if span.get("is_proxy") and namespace and name.endswith(f".{namespace}"):
        return str(name[: -len(namespace) - 1]) or str(name)
    return str(name)


def error_count(trace: dict[str, Any]) -> int:
    """How many spans of the trace are marked as failed."""
    return sum(bool(span.get("error")) for span in trace.get("spans") or [])


def _drawn(
    span: dict[str, Any], services: dict[str, dict[str, Any]], resources: dict[str, int]
) -> dict[str, Any]:
    name = service_of(span)
    service = services.setdefault(
        name,
        {"name": name, "spans": 0, "errors": 0, "index": len(services), "colour": len(services) % COLOURS},
    )
    service["spans"] += 1
    service["errors"] += bool(span.get("error"))
    resource = json.dumps(_cut(span.get("resource")), sort_keys=True)
    return span | {
        "service_index": service["index"],
        "resource": resources.setdefault(resource, len(resources)),
        "attributes": _cut(span.get("attributes")),
        "response_flags": span.get("response_flags") or [],
        "events": span.get("events") or [],
        "links": span.get("links") or [],
        "warnings": span.get("warnings") or [],
    }


def _cut(attributes: dict[str, Any] | None) -> dict[str, Any]:
    return {
        key: value[:LONGEST_VALUE] + "…" if isinstance(value, str) and len(value) > LONGEST_VALUE else value
        for key, value in (attributes or {}).items()
    }
