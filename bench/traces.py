"""One trace by its id among 100 million spans: segments as the store leaves them after a week, nothing else running.

The segments are generated (a million spans each, five a trace, random ids; what no question about one trace reads is
left empty) and listed in the catalogue; the filters that find a trace are made as the store makes them.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import track

from store.catalogue import Segment, record_segments, utc_now
from store.database import arrow_relations, transaction
from store.engine import Store
from store.physical import STORED
from store.queries import Queries
from store.relations import empty_arrow
from store.settings import StoreSettings

Row = tuple[str, str, str, str]

SPANS = 100_000_000
A_SEGMENT = 1_000_000
QUESTIONS = 40
_BEGIN = datetime(2026, 11, 15)

_COLUMNS = {
    "time": "begin + number * INTERVAL 100 MICROSECOND",
    "time_ns": "epoch_ns(begin) + number * 100000",
    "duration_ns": "(hash(number) % 50000000)::BIGINT",
    "trace_id": "trace_id",
    "span_id": "hash(trace_id, nth)",
    "parent_span_id": "CASE WHEN nth > 0 THEN hash(trace_id, nth - 1) END",
    "name": "'GET /api/' || (number % 40)",
    "kind": "CASE WHEN nth % 2 = 0 THEN 'client' ELSE 'server' END",
    "is_proxy": "true",
    "emitter": "'service-' || (hash(number) % 60) || '-1.default'",
    "service_name": "'service-' || (hash(number) % 60)",
    "status_code": "200",
    "method": "'GET'",
    "upstream_cluster": "'outbound|80||service-' || (hash(nth, number) % 60) || '.default.svc.cluster.local'",
    "peer_key": "hash(hash(number) % 60, nth)",
}


def trace_lookup(spans: int = SPANS) -> list[Row]:
    """Median and worst of 40 questions, each for another trace, and one for a trace that is nowhere."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(StoreSettings(data_dir=Path(folder), rows_kept_bytes=1 << 40, rows_kept_days=10_000))
        store.open()
        ids = _generate(store, Path(folder), spans // A_SEGMENT)
        store.stop()
        store = Store(store.settings)
        store.open()
        store.tidy()
        try:
            queries = Queries(store)
            queries.trace(ids[0])
            took = []
            for id in random.sample(ids, min(QUESTIONS, len(ids))):
                began = time.perf_counter()
                found = queries.trace(id)
                took.append((time.perf_counter() - began) * 1000)
                if found is None or len(found["spans"]) != 5:
                    raise SystemExit(f"trace {id} was not found whole")
            began = time.perf_counter()
            nowhere = queries.trace("f" * 32)
            none_ms = (time.perf_counter() - began) * 1000
        finally:
            store.stop()
    how = f"{spans:,} spans in {spans // A_SEGMENT} segments; worst {max(took):.0f} ms, nowhere {none_ms:.0f} ms"
    assert nowhere is None
    return [("a trace by its id", f"{statistics.median(took):.0f} ms", "< 100 ms", how)]


def _generate(store: Store, folder: Path, segments: int) -> list[str]:
    """Write and list them; returns a trace id of each."""
    ids: list[str] = []
    listed: list[Segment] = []
    columns = ", ".join(f'{_COLUMNS.get(name, "NULL")} AS "{name}"' for name in STORED["spans"].names)
    with (
        contextlib.closing(store.database.cursor()) as cursor,
        arrow_relations(cursor, nothing=empty_arrow("spans")),
    ):
        for number in track(range(segments), "Generating spans ...", console=Console(stderr=True)):
            begin = _BEGIN + timedelta(seconds=100 * number)
            path = Path(
                "segments",
                "spans",
                f"date={begin:%Y-%m-%d}",
                f"hour={begin:%H}",
                f"bench-{number:06}.parquet",
            )
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            cursor.execute(
                "CREATE OR REPLACE TEMP TABLE traces AS "
                f"SELECT range AS trace, gen_random_uuid() AS trace_id FROM range({A_SEGMENT // 5})"
            )
            cursor.execute(
                f"COPY (FROM nothing UNION ALL BY NAME SELECT {columns} FROM ("
                f"SELECT trace_id, nth, trace * 5 + nth AS number, TIMESTAMP '{begin}' AS begin "
                "FROM traces, range(5) AS span(nth)) ORDER BY time) "
                f"TO '{folder / path}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 100000)"
            )
            row = cursor.execute("SELECT trace_id::VARCHAR FROM traces LIMIT 1").fetchone()
            ids.append(str(row[0]).replace("-", "") if row else "")
            size = (folder / path).stat().st_size
            end = begin + timedelta(seconds=100)
            listed.append(
                Segment("spans", str(path), f"bench-{number:06}.journal", A_SEGMENT, size, begin, end)
            )
        with transaction(cursor):
            record_segments(cursor, listed, utc_now())
    return ids
