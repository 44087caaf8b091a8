"""`/api/graph` over 5 minutes, 1 hour, 24 hours and 7 days at 3,000 requests a second, 45 workloads.

Rows lie there of the last five minutes only, as collectors would have written them. What came before is made in the
catalogue: the counts of three of these minutes, again and again, for half a day and seven days; one day's are
merged by the store's own statements, the other days are copies of it. So a question meets as many counts as seven
real days would leave, and no rows of them, as after `rows_kept_days`. The windows' ends cut minutes.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bench.generate_observations import START
from bench.graph import write_journal
from bench.server import serving
from store import rollup
from store.database import Cursor, one, transaction
from store.engine import Store
from store.settings import StoreSettings

Row = tuple[str, str, str, str]

WORKLOADS, QUESTIONS = 45, 20
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
        with serving(data, "--config", str(config)) as server:
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
    store = Store(StoreSettings(data_dir=data))
    store.open()
    store.poll_once()
    with contextlib.closing(store.database.cursor()) as cursor:
        cursor.execute("SET memory_limit = '2GB'")
        midnight = datetime(_END.year, _END.month, _END.day)
        for table in ("edges_1m", "activity"):
            _repeat_minutes(cursor, table, midnight - _DAY, midnight)
        cursor.execute(
            "INSERT INTO catalogue.activity_1h SELECT date_trunc('hour', minute), peer_key, "
            "bit_or(1::UBIGINT << date_part('minute', minute)::UBIGINT) FROM catalogue.activity "
            "WHERE minute < ? GROUP BY ALL",
            [midnight],
        )
        started = time.perf_counter()
        spans = _merge(cursor, midnight)
        merged = time.perf_counter() - started
        for days in range(1, _DAYS):
            _copy(cursor, midnight - _DAY, midnight, -days * _DAY, midnight)
        _copy(cursor, midnight - _DAY, midnight, _DAY, _END)
        made = ", ".join(
            f"{one(cursor.execute(f'SELECT count(*) FROM catalogue.{table}'))[0] / 1e6:.1f} million rows of {table}"
            for table in ("edges_1m", "edges_merged")
        )
    store.stop()
    size = (data / "catalogue.duckdb").stat().st_size / 1e9
    return (
        f"{total:,} rows of 5 minutes, counts of {_DAYS}.5 days ({made}; {size:.1f} GB); "
        f"a day's {spans} spans were merged in {merged:.0f} s"
    )


def _repeat_minutes(cursor: Cursor, table: str, since: datetime, until: datetime) -> None:
    """The counts of the first three minutes of rows, for every minute of [since, until)."""
    minutes = (until - since) // _MINUTE
    cursor.execute(
        f"CREATE TEMP TABLE pattern AS SELECT (epoch_us(minute) - epoch_us(?::TIMESTAMP)) // 60000000 AS turn, * "
        f"FROM catalogue.{table} WHERE minute >= ? AND minute < ?",
        [_END, _END, _END + 3 * _MINUTE],
    )
    cursor.execute(
        f"INSERT INTO catalogue.{table} SELECT ?::TIMESTAMP + to_minutes(nth::INTEGER), "
        "pattern.* EXCLUDE (turn, minute) "
        f"FROM range({minutes}) AS made(nth) JOIN pattern ON turn = nth % 3 ORDER BY nth",
        [since],
    )
    cursor.execute("DROP TABLE pattern")


def _merge(cursor: Cursor, until: datetime) -> int:
    """Every span of the minutes before ``until``, as the store's upkeep does."""
    cursor.execute("DELETE FROM catalogue.merged_minutes")
    rollup.list_spans(cursor, "(SELECT DISTINCT minute FROM catalogue.edges_1m)")
    spans = 0
    while (span := rollup.next_span(cursor, until + rollup.SETTLED)) is not None:
        with transaction(cursor):
            rollup.merge_span(cursor, *span)
        spans += 1
    return spans


def _copy(cursor: Cursor, since: datetime, until: datetime, by: timedelta, before: datetime) -> None:
    """Everything counted in [since, until), once more ``by`` earlier or later, as far as it ended by ``before``."""
    lengths = {"edges_1m": ("minute", "1"), "activity": ("minute", "1"), "activity_1h": ("hour", "60")}
    lengths |= {"edges_merged": ("since", "span_minutes"), "merged_minutes": ("since", "span_minutes")}
    for table, (column, minutes) in lengths.items():
        cursor.execute(
            f'INSERT INTO catalogue.{table} SELECT * REPLACE ("{column}" + ? AS "{column}") FROM catalogue.{table} '
            f'WHERE "{column}" >= ? AND "{column}" < ? AND "{column}" + ? + to_minutes({minutes}) <= ?',
            [by, since, until, by, before],
        )
    cursor.execute("CHECKPOINT catalogue")
