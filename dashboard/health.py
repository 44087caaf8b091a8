"""The server's own health for the status page: its series and the store's status → what is wrong, and tables.

Pure. What must stay true: a number nobody told is null; every trouble says what to do; rates come from two samples
of one process and are null for the first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Series = dict[str, Any]  # as in dashboard.metrics
Key = tuple[str, tuple[tuple[str, str], ...]]

_LAG_S = 5.0
_JOURNAL_SHARE = 0.8
_MIB = 1 << 20
_WAITING_BYTES = 32 * _MIB


@dataclass(frozen=True)
class Sample:
    """Every number at one moment (epoch seconds), by name and labels."""

    time: float
    values: dict[Key, float]

    def of(self, name: str) -> list[tuple[dict[str, str], float]]:
        return [(dict(labels), value) for (one, labels), value in self.values.items() if one == name]

    def total(self, name: str) -> float | None:
        found = [value for _, value in self.of(name)]
        return sum(found) if found else None


@dataclass
class Health:
    """``intake``: a row per source; ``tables``: per table; ``queries``: per kind of question."""

    troubles: list[str] = field(default_factory=list)
    intake: list[dict[str, Any]] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)
    queries: list[dict[str, Any]] = field(default_factory=list)
    store: list[tuple[str, str, float | None]] = field(default_factory=list)  # what, unit, value


def sample(series: list[Series], time: float) -> Sample:
    values = {
        (str(one["name"]), tuple(sorted((str(k), str(v)) for k, v in point["labels"].items()))): float(
            point["value"]
        )
        for one in series
        for point in one["samples"]
    }
    return Sample(time, values)


def health(now: Sample, before: Sample | None, status: dict[str, Any]) -> Health:
    """``status``: the store's; ``before``: an earlier sample, for rates."""
    return Health(
        troubles=_troubles(now, before, status),
        intake=_intake(now, before),
        tables=[{"table": name, **rows} for name, rows in status.get("rows", {}).items()],
        queries=_queries(now),
        store=[
            ("Behind what was acknowledged", "s", status.get("lag_s")),
            ("Journal, acknowledged and not sealed yet", "bytes", status.get("journal_bytes")),
            ("Of it not loaded yet", "bytes", status.get("journal_bytes_waiting")),
            ("Journal's limit", "bytes", _least(now, "sidelight_journal_limit_bytes")),
            ("Segments", "", status.get("segments")),
            ("Segments on disk", "bytes", status.get("segment_bytes")),
            ("Exports delivered again, and dropped", "", status.get("repeated_exports")),
            ("Rows dropped for their age or for room", "", status.get("dropped_rows")),
            ("Rows in segments that could not be read", "", status.get("quarantined_rows")),
            ("Bytes of torn journals, never acknowledged", "bytes", status.get("torn_bytes")),
            ("Damaged bytes of journals", "bytes", status.get("damaged_journal_bytes")),
        ],
    )


def _intake(now: Sample, before: Sample | None) -> list[dict[str, Any]]:
    columns = {
        "exports": "sidelight_received_exports_total",
        "records": "sidelight_accepted_records_total",
        "rejected": "sidelight_rejected_records_total",
        "refused": "sidelight_refused_exports_total",
        "bytes": "sidelight_journalled_bytes_total",
    }
    rows: dict[str, dict[str, Any]] = {}
    for column, name in columns.items():
        for labels, value in now.of(name):
            row = rows.setdefault(labels.get("source", "–"), dict.fromkeys(columns, 0))
            row[column] += value
    if before is not None and now.time > before.time:
        for source, row in rows.items():
            was = sum(
                value
                for labels, value in before.of(columns["records"])
                if labels.get("source", "–") == source
            )
            # A collector that was started anew counts from 0.
            row["rate"] = max(0.0, row["records"] - was) / (now.time - before.time)
    return [{"source": source, "rate": None, **row} for source, row in sorted(rows.items())]


def _queries(now: Sample) -> list[dict[str, Any]]:
    name = "sidelight_query_duration_seconds"
    sums = {labels["query"]: value for labels, value in now.of(f"{name}_sum")}
    found = []
    for labels, count in now.of(f"{name}_count"):
        kind = labels["query"]
        buckets = sorted(
            (float(one["le"]), value) for one, value in now.of(f"{name}_bucket") if one["query"] == kind
        )
        under = next((limit for limit, value in buckets if value >= 0.95 * count), None)
        found.append(
            {"query": kind, "count": count, "avg_ms": sums[kind] / count * 1000, "p95_under_s": under}
        )
    return sorted(found, key=lambda row: -row["count"])


def _troubles(now: Sample, before: Sample | None, status: dict[str, Any]) -> list[str]:
    found = []
    if status.get("failure"):
        found.append(f"The store gave up: {status['failure']}. It is started again; see the server's log.")
    if not now.of("sidelight_journal_limit_bytes"):
        found.append("No collector says anything of itself: nothing can be received. See the server's log.")
    limit, journal = _least(now, "sidelight_journal_limit_bytes"), status.get("journal_bytes")
    if limit and journal is not None and journal > _JOURNAL_SHARE * limit:
        found.append(
            f"The journal holds {journal / _MIB:,.0f} of {limit / _MIB:,.0f} MiB: soon senders are told to retry "
            "later. The store does not keep up; send less, or give it more processors."
        )
    if (waiting := status.get("journal_bytes_waiting") or 0) > _WAITING_BYTES:
        found.append(
            f"{waiting / _MIB:,.0f} MiB of what was acknowledged are not loaded yet, as after a restart: answers lack "
            "them until then. Nothing is lost."
        )
    if (lag := status.get("lag_s")) is not None and lag > _LAG_S:
        found.append(
            f"What was acknowledged is seen {lag:,.0f} s later. The store does not keep up at the moment."
        )
    refused = _grown(now, before, "sidelight_refused_exports_total")
    if refused:
        found.append(
            f"{refused:,.0f} exports were refused since this page was last drawn: the table says of which kind."
        )
    if rows := status.get("quarantined_rows"):
        found.append(
            f"{status['quarantined_segments']:,} segments could not be read; their {rows:,} rows are lost unless a "
            "backup has them. The files lie in quarantine/; look at the disk."
        )
    if size := status.get("damaged_journal_bytes"):
        found.append(
            f"{size:,} bytes of journals were damaged: what was acknowledged in them is lost, and only that. The files "
            "lie in quarantine/journal; look at the disk."
        )
    if status.get("damaged_catalogues"):
        found.append(
            f"The catalogue could not be read and was rebuilt ({status['adopted_rows']:,} rows were counted again); no "
            "row is lost. What it was lies beside it, named .corrupt; look at the disk."
        )
    return found


def _grown(now: Sample, before: Sample | None, name: str) -> float:
    return max(0.0, (now.total(name) or 0) - (before.total(name) or 0)) if before is not None else 0.0


def _least(now: Sample, name: str) -> float | None:
    return min((value for _, value in now.of(name)), default=None)
