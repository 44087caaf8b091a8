"""The status page's numbers: from the series of all processes and the store's status, by example."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.health import Sample, health, sample
from dashboard.pages.status import draw

MIB = 1 << 20
STATUS: dict[str, Any] = {
    "failure": None,
    "rows": {"observations": {"hot": 3, "sealed": 1000}},
    "segments": 4,
    "segment_bytes": 5 * MIB,
    "journal_bytes": MIB,
    "lag_s": 0.2,
    "repeated_exports": 0,
    "dropped_rows": 0,
    "quarantined_segments": 0,
    "quarantined_rows": 0,
    "torn_bytes": 0,
}


def series(name: str, *points: tuple[dict[str, str], float]) -> dict[str, Any]:
    samples = [{"labels": labels, "value": value} for labels, value in points]
    return {"name": f"sidelight_{name}", "type": "counter", "help": "", "samples": samples}


def at(time: float, als: int, refused: int = 0) -> Sample:
    both = [({"collector": f"collector{number}", "source": "als"}, als / 2) for number in range(2)]
    return sample(
        [
            series("journal_limit_bytes", ({"collector": "collector0"}, 10 * MIB)),
            series("received_exports_total", *both),
            series("accepted_records_total", *both),
            series("refused_exports_total", ({"source": "als", "reason": "JournalFull"}, refused)),
            series("query_duration_seconds_count", ({"query": "graph"}, 20)),
            series("query_duration_seconds_sum", ({"query": "graph"}, 2)),
            series(
                "query_duration_seconds_bucket",
                ({"query": "graph", "le": "0.1"}, 18),
                ({"query": "graph", "le": "0.5"}, 19),
                ({"query": "graph", "le": "+Inf"}, 20),
            ),
        ],
        time,
    )


def test_what_arrives_is_added_up_over_collectors_and_has_a_rate() -> None:
    """The first sample knows no rate; a collector that began anew makes none that is negative."""
    assert health(at(100, 50), None, STATUS).intake == [
        {"source": "als", "rate": None, "exports": 50, "records": 50, "rejected": 0, "refused": 0, "bytes": 0}
    ]
    assert health(at(110, 150), at(100, 50), STATUS).intake[0]["rate"] == 10
    assert health(at(110, 5), at(100, 50), STATUS).intake[0]["rate"] == 0


def test_how_long_questions_take() -> None:
    """The mean, and the bucket 95 of 100 fall into."""
    assert health(at(1, 1), None, STATUS).queries == [
        {"query": "graph", "count": 20, "avg_ms": 100, "p95_under_s": 0.5}
    ]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, None),
        ({"lag_s": 12.0}, "seen 12 s later"),
        ({"journal_bytes": 9 * MIB}, "The journal holds 9 of 10 MiB"),
        ({"failure": "no space left"}, "The store gave up: no space left"),
        (
            {"quarantined_segments": 2, "quarantined_rows": 7000},
            "2 segments could not be read; their 7,000 rows",
        ),
        ({"journal_bytes_waiting": 300 * MIB}, "300 MiB of what was acknowledged are not loaded yet"),
        ({"damaged_journal_bytes": 4096}, "4,096 bytes of journals were damaged"),
        ({"damaged_catalogues": 1, "adopted_rows": 5000}, "was rebuilt (5,000 rows were counted again)"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(changed: dict[str, Any], words: str | None) -> None:
    """Nothing is said where nothing is wrong."""
    troubles = health(at(110, 50), at(100, 50), STATUS | changed).troubles
    assert len(troubles) == (words is not None)
    assert words is None or words in troubles[0]


def test_refusals_are_told_while_they_happen() -> None:
    """Those of yesterday stand in the table only."""
    assert health(at(110, 50, refused=3), at(100, 50, refused=3), STATUS).troubles == []
    assert (
        "2 exports were refused" in health(at(110, 50, refused=5), at(100, 50, refused=3), STATUS).troubles[0]
    )


def test_a_server_without_collectors_says_so() -> None:
    """And its page is drawn, with what is known."""
    found = health(sample([], 1), None, STATUS)
    assert "No collector says anything" in found.troubles[0]
    assert "1,000" in str(draw(found))
