"""The tree of a trace, for parents that lie."""

from __future__ import annotations

from typing import Any

import pytest

from store.trace_tree import order_spans


def span(own: str, parent: str | None, start: int) -> dict[str, Any]:
    absent = (
        "name kind service workload namespace version is_proxy status status_message failed status_code"
        " grpc_status response_flags method url upstream_cluster upstream_address peer_address request_id"
        " user_agent request_bytes response_bytes attributes resource events links"
    )
    return {
        **dict.fromkeys(absent.split()),
        "span_id": own,
        "parent_span_id": parent,
        "time_ns": start,
        "duration_ns": 1,
    }


@pytest.mark.parametrize(
    ("spans", "ordered"),
    [
        ([("a", None, 0), ("c", "a", 2), ("b", "a", 1)], "a0 b1 c1"),
        ([("b", "a", 1), ("a", "b", 0)], "a0 b1"),
        ([("a", "a", 0), ("b", "a", 1)], "a0 b1"),
        ([("a", "gone", 0), ("b", "a", 1)], "a0 b1"),
        ([("a", None, 0), ("a", None, 1), ("b", "a", 2)], "a0 b1 a0"),
    ],
)
def test_every_span_once(spans: list[tuple[str, str | None, int]], ordered: str) -> None:
    """Missing, own, circular and doubled parents: each span is listed exactly once."""
    found = order_spans([span(*one) for one in spans])
    assert " ".join(f"{one['span_id']}{one['depth']}" for one in found) == ordered


def test_deep_traces_do_not_recurse() -> None:
    """Ten thousand spans below each other are ordered without a stack of calls."""
    chain = [span(str(number), str(number - 1) if number else None, number) for number in range(10_000)]
    assert [one["depth"] for one in order_spans(chain)] == list(range(10_000))
