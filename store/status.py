"""The store's own numbers: what is loaded, sealed, waiting, and how far behind."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from store.catalogue import Segment
from store.hot import Slice
from store.journal_files import JournalFile
from store.physical import ROW_TABLES
from store.settings import StoreSettings

COUNTED = (
    "loaded_rows", "repeated_exports", "sealed_journals", "torn_bytes", "damaged_journal_bytes",
    "damaged_catalogues", "adopted_rows",
)  # fmt: skip
"""What the engine counts since the folder was opened."""


def describe(
    settings: StoreSettings,
    slices: list[Slice],
    segments: list[Segment],
    files: list[JournalFile],
    sealed: set[str],
    counters: dict[str, int],
    *,
    loaded_at: float,
    load_seconds: float,
    failure: BaseException | None,
) -> dict[str, Any]:
    """JSON-ready. ``lag_s``: since the loader last looked at everything; null before it did. ``sealed``: journals that
    are only to be unlinked."""
    rows = {
        table: {
            "hot": sum(one.tables[table].rows for one in slices if table in one.tables),
            "sealed": sum(one.rows for one in segments if one.table == table),
        }
        for table in ROW_TABLES
    }
    journal_bytes = waiting = 0
    kept = {file.name: file.offset for file in files}
    for path in settings.journal.glob("*.journal"):
        with contextlib.suppress(FileNotFoundError):
            size = path.stat().st_size
            journal_bytes += size
            waiting += 0 if path.name in sealed else max(0, size - kept.get(path.name, 0))
    return {
        "healthy": failure is None,
        "failure": str(failure) if failure else None,
        "rows": rows,
        "segments": len(segments),
        "segment_bytes": sum(one.bytes for one in segments),
        "journal_files": len(files),
        "journal_bytes": journal_bytes,
        "journal_bytes_waiting": waiting,
        "lag_s": round(time.monotonic() - loaded_at, 3) if loaded_at else None,
        "load_seconds": round(load_seconds, 3),
        **counters,
    }
