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
    """A folder of seven and a half days; returns what was made. Takes some five minutes."""
    total = write_journal(data / "journal", WORKLOADS, late=False)
    store = Store(StoreSettings(data_dir=data, memory_limit="2GB"))
    store.open()
    store.poll_once()
    midnight = datetime(_END.year, _END.month, _END.day)
    started = time.perf_counter()
    with contextlib.closing(store.database.cursor()) as cursor:
        cursor.execute(
            "CREATE TEMP TABLE pattern AS SELECT (epoch_us(minute) - epoch_us(?::TIMESTAMP)) // 60000000 AS turn, * "
            "FROM catalogue.edges_1m WHERE minute >= ? AND minute < ?",
            [_END, _END, _END + 3 * _MINUTE],
        )
        for hour in range(-_DAYS * 24, (_END - midnight) // _HOUR):
            _hour_of_counts(cursor, midnight + hour * _HOUR)
            store.upkeep.turn_all(cursor, store, midnight + (hour + 1) * _HOUR + rollup.SETTLED)
    took = time.perf_counter() - started
