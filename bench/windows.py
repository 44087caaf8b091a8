"""`/api/graph` over 5 minutes, 1 hour, 24 hours and 7 days at 3,000 requests a second, 45 workloads.

Rows lie there of the last five minutes only, as collectors would have written them. What came before is made of the
counts of three of these minutes, again and again, for a day: the store's own upkeep merges them and moves them out
of the catalogue, and the other days are copies of those files. So a question meets as many counts as seven real days
would leave, and no rows of them, as after `rows_kept_days`. The windows' ends cut minutes. While the questions are
asked, a client sends 10,000 spans a second.
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bench.generate_observations import START
from bench.graph import write_journal
from bench.server import MeasuredServer, serving
from store import rollup
from store.catalogue import Segment, record_segments
from store.database import Cursor, one, transaction
from store.engine import Store
from store.physical import ROLLUPS
from store.settings import StoreSettings
from store.statements import sql

Row = tuple[str, str, str, str]

WORKLOADS, QUESTIONS, SPANS_A_SECOND = 45, 20, 10_000
WINDOWS = (
    ("5 minutes", 300, 400),
    ("1 hour", 3600, 300),
    ("24 hours", 86_400, 400),
    ("7 days", 604_800, 800),
)
"""Name, seconds, target (p95, ms)."""
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
_END = START.replace(tzinfo=None)
_DAYS = 7


def windows() -> list[Row]:
    """p50 and p95 of 20 answers each, whole HTTP round trips."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        made = make_folder(data)
        config = Path(folder) / "config.toml"
        config.write_text("[store]\nrollups_kept_days = 36500\nrows_kept_days = 36500\n")
        with serving(data, "--config", str(config)) as server, _spans_arriving(server):
            server.wait_for_rows("observations", 1)
            for name, seconds, target in WINDOWS:
                took, answer = _ask(server, seconds)
                worst = statistics.quantiles(took, n=20)[-1]
                counted = sum(edge["requests"] for edge in answer["edges"])
                how = f"{counted:,} requests, {len(answer['edges'])} edges; p50 {statistics.median(took):.0f} ms"
                rows.append(
                    (f"/api/graph over {name}, p95", f"{worst:.0f} ms", f"< {target} ms", f"{how}; {made}")
                )
    return rows


@contextlib.contextmanager
def _spans_arriving(server: MeasuredServer) -> Iterator[None]:
    """A client sends spans, from a few seconds before the first question on."""
    load = subprocess.Popen(
        [sys.executable, "-m", "bench.load_otlp", "--grpc", server.grpc, "--seconds", "3600", "--senders", "1",
         "--rate", str(SPANS_A_SECOND)],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        time.sleep(15)
        yield
    finally:
        os.killpg(load.pid, signal.SIGKILL)
        load.wait()


def _ask(server: Any, seconds: int) -> tuple[list[float], Any]:
    """Milliseconds of each question, and the last answer. Every window cuts other minutes."""
    took, answer = [], None
    for number in range(QUESTIONS + 2):
        end = _END + 4.5 * _MINUTE - timedelta(seconds=7 * number)
        started = time.perf_counter()
        answer = server.get(
            "/api/graph", from_=f"{(end - timedelta(seconds=seconds)).isoformat()}Z", to=f"{end.isoformat()}Z"
        )
        took.append((time.perf_counter() - started) * 1000)
    return took[2:], answer


def make_folder(data: Path) -> str:
    """A folder of seven and a half days; returns what was made. Takes some three minutes."""
    total = write_journal(data / "journal", WORKLOADS, late=False)
    store = Store(
        StoreSettings(data_dir=data, memory_limit="2GB", rows_kept_days=36500, rollups_kept_days=36500)
    )
    store.open()
    store.poll_once()
    midnight = datetime(_END.year, _END.month, _END.day)
    with contextlib.closing(store.database.cursor()) as cursor:
        _repeat_minutes(cursor, midnight - _DAY, midnight)
        started = time.perf_counter()
        store.tidy(midnight + rollup.SETTLED)
        merged = time.perf_counter() - started
        (spans,) = one(cursor.execute("SELECT count(*) FROM catalogue.merged_minutes WHERE is_merged"))
        day = [segment for segment in store.segments if segment.table in ROLLUPS]
        copies = [
            _copy(cursor, data, segment, -days * _DAY, midnight if days > 0 else _END)
            for days in (*range(1, _DAYS), -1)
            for segment in day
        ]
        with transaction(cursor):
            record_segments(cursor, copies, midnight)
        sizes = {
            table: [(one.rows, one.bytes) for one in (*day, *copies) if one.table == table]
            for table in ROLLUPS
        }
    made = ", ".join(
        f"{sum(rows for rows, _ in told) / 1e6:.1f} million rows of {table} in "
        f"{sum(size for _, size in told) / 1e9:.2f} GB"
        for table, told in sizes.items()
    )
    store.stop()
    size = (data / "catalogue.duckdb").stat().st_size / 1e6
    return (
        f"{total:,} rows of 5 minutes, counts of {_DAYS}.5 days ({made}; catalogue {size:.0f} MB); "
        f"a day's {spans} spans were merged and written in {merged:.0f} s"
    )


def _repeat_minutes(cursor: Cursor, since: datetime, until: datetime) -> None:
    """The counts of the first three minutes of rows, for every minute of [since, until), as seals would leave them."""
    minutes = (until - since) // _MINUTE
    cursor.execute(
        "INSERT INTO catalogue.edges_1m "
        "SELECT ?::TIMESTAMP + to_minutes(nth::INTEGER) AS minute, edges_1m.* EXCLUDE (minute) "
        f"FROM range({minutes}) AS made(nth) JOIN catalogue.edges_1m "
        "ON minute = ?::TIMESTAMP + to_minutes((nth % 3)::INTEGER) ORDER BY nth",
        [since, _END],
    )
    cursor.execute("CREATE TEMP TABLE sealed_minutes AS SELECT DISTINCT minute FROM catalogue.edges_1m")
    cursor.execute(sql("seal/merged_minutes"), [list(rollup.SPANS)])
    cursor.execute("DROP TABLE sealed_minutes")
    every = (1 << 60) - 1
    cursor.execute(
        f"INSERT INTO catalogue.activity SELECT ?::TIMESTAMP + to_hours(nth::INTEGER), peer_key, {every}::UBIGINT "
        "FROM (SELECT DISTINCT peer_key FROM catalogue.activity), range(?) AS made(nth)",
        [until - _DAYS * _DAY, (_END - until + _DAYS * _DAY) // timedelta(hours=1)],
    )


def _copy(cursor: Cursor, data: Path, segment: Segment, by: timedelta, before: datetime) -> Segment:
    """The counts of a file once more ``by`` earlier or later, as far as they end by ``before``."""
    begin, length = ROLLUPS[segment.table]
    path = segment.path.replace("rollup-", f"rollup-{by // _DAY}-")
    target = data / path
    cursor.execute(
        f"COPY (SELECT * REPLACE ({begin} + ? AS {begin}) FROM read_parquet(?, hive_partitioning = false) "
        f"WHERE {begin} + ? + to_minutes({length}) <= ?) "
        f"TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 61440)",
        [by, str(data / segment.path), by, before],
    )
    rows, earliest, latest = one(
        cursor.execute(
            f"SELECT count(*), min({begin}), max({begin} + to_minutes({length})) - INTERVAL 1 MICROSECOND "
            "FROM read_parquet(?, hive_partitioning = false)",
            [str(target)],
        )
    )
    if segment.table == "edges_merged":
        cursor.execute(
            "INSERT INTO catalogue.merged_minutes SELECT DISTINCT span_minutes, since, true "
            "FROM read_parquet(?, hive_partitioning = false)",
            [str(target)],
        )
    return Segment(
        segment.table, path, f"{target.stem}.journal", rows, target.stat().st_size, earliest, latest
    )
