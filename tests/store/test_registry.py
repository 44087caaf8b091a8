"""Identities → instances: who was at which address, from when until when."""

# ruff: noqa: E501 - tables read better as tables

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.store.journals import NOON, ask, batch, open_store, write_journal

HEAD = ("minute", "evidence", "emitter", "address", "workload", "version", "service")
Row = tuple[Any, ...]

# name → (rows told, one batch each; instances expected as address, emitter, from, to, workload, version, service)
CASES: dict[str, tuple[list[Row], list[Row]]] = {
    "a node names itself": (
        [(0, "als_node", "reviews-1.default", "10.0.0.1", "reviews", "v1", None)],
        [("10.0.0.1", "reviews-1.default", 0, None, "reviews", "v1", None)],
    ),
    "told twice": (
        [(0, "als_node", "reviews-1.default", "10.0.0.1", "reviews", "v1", None)] * 2,
        [("10.0.0.1", "reviews-1.default", 0, None, "reviews", "v1", None)],
    ),
    "better evidence wins, worse fills gaps, whatever comes first": (
        [
            (0, "file", "reviews-1.default", "10.0.0.1", "guess", "v9", "reviews.default"),
            (1, "als_node", "reviews-1.default", "10.0.0.1", "reviews", None, None),
            (2, "span", "reviews-1.default", None, "worse", "v1", None),
            (3, "file", "reviews-1.default", "10.0.0.1", "guess", "v9", None),
        ],
        [("10.0.0.1", "reviews-1.default", 0, None, "reviews", "v1", "reviews.default")],
    ),
    "what its peer says of a pod stands above a guess and below its own word": (
        [
            (0, "peer", "reviews-1.default", "10.0.0.1", "reviews", "v1", None),
            (1, "file", "reviews-1.default", "10.0.0.1", "guess", "v9", "reviews.default"),
            (2, "peer", "ratings-1.default", "10.0.0.2", "told", None, None),
            (3, "als_node", "ratings-1.default", "10.0.0.2", "ratings", "v2", None),
        ],
        [
            ("10.0.0.2", "ratings-1.default", 2, None, "ratings", "v2", None),
            ("10.0.0.1", "reviews-1.default", 0, None, "reviews", "v1", "reviews.default"),
        ],
    ),
    "no address": (
        [(0, "span", "reviews-1.default", None, "reviews", "latest", None)],
        [(None, "reviews-1.default", 0, None, "reviews", None, None)],
    ),
    "an address learned later": (
        [
            (0, "span", "reviews-1.default", None, "reviews", "v1", None),
            (5, "als_node", "reviews-1.default", "10.0.0.1", None, None, None),
        ],
        [("10.0.0.1", "reviews-1.default", 5, None, "reviews", "v1", None)],
    ),
    "taken over": (
        [
            (0, "als_node", "reviews-1.default", "10.0.0.1", "reviews", "v1", None),
            (9, "als_node", "ratings-1.default", "10.0.0.1", "ratings", "v2", None),
        ],
        [
            ("10.0.0.1", "ratings-1.default", 9, None, "ratings", "v2", None),
            ("10.0.0.1", "reviews-1.default", 0, 9, "reviews", "v1", None),
        ],
    ),
    "taken over and back": (
        [
            (0, "als_node", "a-1.default", "10.0.0.1", "a", None, None),
            (9, "als_node", "b-1.default", "10.0.0.1", "b", None, None),
            (20, "als_node", "a-1.default", "10.0.0.1", "a", None, None),
        ],
        [
            ("10.0.0.1", "a-1.default", 0, 9, "a", None, None),
            ("10.0.0.1", "a-1.default", 20, None, "a", None, None),
            ("10.0.0.1", "b-1.default", 9, 20, "b", None, None),
        ],
    ),
    "two that share a node's address do not take it from each other": (
        [
            (0, "als_node", "a-1.default", "10.0.0.1", "a", None, None),
            (1, "als_node", "b-1.default", "10.0.0.1", "b", None, None),
            (2, "als_node", "a-1.default", "10.0.0.1", "a", None, None),
            (3, "als_node", "b-1.default", "10.0.0.1", "b", None, None),
        ],
        [
            ("10.0.0.1", "a-1.default", 0, 1, "a", None, None),
            ("10.0.0.1", "b-1.default", 1, None, "b", None, None),
        ],
    ),
    "a bare address, then its pod": (
        [
            (0, "sni", None, "10.0.0.1", None, None, "reviews.default.svc.cluster.local"),
            (1, "als_node", "reviews-1.default", "10.0.0.1", "reviews", "v1", None),
        ],
        [("10.0.0.1", "reviews-1.default", 1, None, "reviews", "v1", "reviews.default.svc.cluster.local")],
    ),
    "a bare address": (
        [(0, "resource", None, "10.0.0.7:9080", "db", None, None)],
        [("10.0.0.7", None, 0, None, "db", None, None)],
    ),
    "an '@' emitter is an address": (
        [(0, "resource", "@10.0.0.7", None, "db", None, None)],
        [("10.0.0.7", None, 0, None, "db", None, None)],
    ),
    "a label that changed": (
        [
            (0, "als_node", "a-1.default", "10.0.0.1", "a", "v1", None),
            (1, "als_node", "a-1.default", "10.0.0.1", "a", "v2", None),
        ],
        [("10.0.0.1", "a-1.default", 0, None, "a", "v2", None)],
    ),
}


def _identity(row: Row) -> dict[str, Any]:
    told = dict(zip(HEAD, row, strict=True))
    return {"time": NOON + timedelta(minutes=told.pop("minute")), **told}


def _instances(store: Any) -> list[Row]:
    rows = ask(
        store,
        "SELECT address, emitter, valid_from, valid_to, workload, version, service FROM instances ORDER BY emitter, valid_from",
    )

    def minute(moment: Any) -> Any:
        return None if moment is None else int((moment - NOON).total_seconds() // 60)

    return [
        (address, emitter, minute(start), minute(end), *rest) for address, emitter, start, end, *rest in rows
    ]


@pytest.mark.parametrize("name", CASES)
def test_instances(tmp_path: Path, name: str) -> None:
    """Each case holds as told batch by batch, and again after a crash that tells everything once more."""
    told, expected = CASES[name]
    store = open_store(tmp_path)
    for number, row in enumerate(told):
        write_journal(
            tmp_path / "journal",
            f"a-{number}",
            [batch(str(number), identities=[_identity(row)])],
            keep_open=True,
        )
        store.poll_once(seal=False)
    assert _instances(store) == expected
    store.stop()
    again = open_store(tmp_path)
    again.poll_once(seal=False)
    assert _instances(again) == expected
    again.stop()


def test_the_registry_outlives_the_journal(tmp_path: Path) -> None:
    """What was learned from sealed journals is known after a restart, pod and namespace by the name itself."""
    row = (0, "als_node", "reviews-v1-abc.default", "10.0.0.1", "reviews-v1", "v1", None)
    write_journal(tmp_path / "journal", "a", [batch("1", identities=[_identity(row)])])
    store = open_store(tmp_path)
    store.poll_once()
    store.stop()
    store = open_store(tmp_path)
    assert ask(store, "SELECT pod, namespace, workload, evidence FROM instances") == [
        ("reviews-v1-abc", "default", "reviews-v1", "als_node")
    ]
    store.stop()
