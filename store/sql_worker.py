"""Ad-hoc SQL in a process of its own: one read-only statement in, one table out, within limits.

What must stay true:

* the process sees files only: ``sidelight.duckdb`` (read-only), the segments, and the journals' tail,
  which it loads itself exactly as the store does; so it works with and without a running server;
* a row is counted once: a journal is unlinked only after the published file lists its segments, and
  when that file was replaced while the tail was read, everything is read again;
* the statement is one SELECT or EXPLAIN of a SELECT, in a read-only transaction, with no file, no
  network and no setting within reach but our own segments; the process has its own memory, time,
  row and byte limits and is killed if it does not keep them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from store.errors import BadQuery
from store.settings import StoreSettings
from store.without_pandas import do_without_pandas

FORMATS = ("json", "csv", "arrow", "parquet")


@dataclass(frozen=True)
class SqlLimits:
    """What one statement may use. ``rows`` and ``bytes`` are of the answer (as Arrow)."""

    time_s: float = 30.0
    memory: str = "256MB"
    rows: int = 1_000_000
    bytes: int = 64 * 1024 * 1024

    @classmethod
    def of(cls, settings: StoreSettings) -> SqlLimits:
        return cls(
            settings.sql_time_limit_s,
            settings.sql_memory_limit,
            settings.sql_row_limit,
            settings.sql_byte_limit,
        )


def run_statement(
    data_dir: Path | str, statement: str, format: str = "json", limits: SqlLimits | None = None
) -> bytes:
    """The statement's answer, encoded as ``format`` (of FORMATS). Raises BadQuery if it cannot be had.

    JSON is a list of objects; CSV has a header row; Arrow is an IPC stream.
    """
    if format not in FORMATS:
        raise BadQuery("bad_format", f"There is no format {format!r}.", f"Use one of {', '.join(FORMATS)}.")
    limits = limits or SqlLimits()
    request = {
        "data_dir": str(Path(data_dir).absolute()),
        "sql": statement,
        "format": format,
        "limits": asdict(limits),
    }
    room = str(Path(__file__).resolve().parent.parent)
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "LANG") if key in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join([room, *[path for path in sys.path if path]])
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "store.sql_worker"],
            input=json.dumps(request).encode(),
            capture_output=True,
            env=environment,
            # What it takes to start and to load the tail is not the statement's time.
            timeout=limits.time_s + 60,
        )
    except subprocess.TimeoutExpired:
        raise too_slow(limits) from None
    return _answer(done, limits)


def _answer(done: subprocess.CompletedProcess[bytes], limits: SqlLimits) -> bytes:
    head, _, body = done.stdout.partition(b"\n")
    try:
        header: dict[str, Any] = json.loads(head)
    except ValueError:
        raise BadQuery(
            "statement_died",
            f"The statement's process ended without an answer (status {done.returncode}); "
            f"it may have needed more than {limits.memory} of memory.",
            "Ask for a shorter window of time, or aggregate before sorting.",
        ) from None
    if "error" in header:
        error = header["error"]
        raise BadQuery(error["code"], error["message"], error["hint"])
    return body


def too_slow(limits: SqlLimits) -> BadQuery:
    """The answer to a statement that was stopped."""
    return BadQuery(
        "too_slow",
        f"The statement did not finish within {limits.time_s:g} seconds.",
        "Restrict it by time, such as WHERE time > now() - INTERVAL 5 MINUTE.",
    )


if __name__ == "__main__":
    do_without_pandas()
    from store.sql_sandbox import main

    sys.exit(main())
