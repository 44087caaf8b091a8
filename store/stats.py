"""What the folder holds, in numbers: `sidelight store stats`, `GET /api/store/stats`.

What must stay true: asking costs milliseconds and changes nothing; what is not known is null.
"""

from __future__ import annotations

import contextlib
import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store.graph import rfc3339
from store.physical import ROW_TABLES
from store.statements import source

if TYPE_CHECKING:
    from store.engine import Store

Json = dict[str, Any]

_EVENTS = (
    "sealed_journals", "repeated_exports", "torn_bytes", "damaged_journal_bytes", "damaged_catalogues", "adopted_rows",
    "merged_segments", "dropped_segments", "dropped_rows", "dropped_bytes", "quarantined_segments", "quarantined_rows",
)  # fmt: skip


def stats(store: Store) -> Json:
    """JSON-ready. ``since_start`` counts since this process opened the folder. Raises StoreFailed."""
    settings, status = store.settings, store.status()
    with contextlib.closing(store.database.cursor()) as cursor:
        tables = {row[0]: row[1:] for row in cursor.execute(source("ask/stored_tables")).fetchall()}
        counts = cursor.execute(source("ask/stored_counts")).fetchall()[0]
    rollup_rows, rollup_earliest, rollup_latest, rollup_bytes, activity_rows, import_digests, retired = counts
    set_aside = [path for path in settings.quarantine.rglob("*") if path.is_file()]
    return {
        "data_dir": str(settings.data_dir),
        "tables": [
            _table(name, tables.get(name, (0, 0, 0, None, None)), status["rows"][name]["hot"])
            for name in ROW_TABLES
        ],
        "journal": {
            "files": sum(1 for _ in settings.journal.glob("*.journal")),
            "bytes": status["journal_bytes"],
            "waiting_bytes": status["journal_bytes_waiting"],
        },
        "catalogue": {
            "bytes": _size(settings.catalogue) + _size(settings.catalogue.with_suffix(".duckdb.wal")),
            "rollup_rows": rollup_rows,
            "rollup_earliest": _time(rollup_earliest),
            "rollup_latest": _time(rollup_latest),
            "rollup_files_bytes": rollup_bytes,
            "activity_rows": activity_rows,
            "import_digests": import_digests,
        },
        "retired_files": retired,
        "quarantine": {"files": len(set_aside), "bytes": sum(map(_size, set_aside))},
        "kept": {
            "rows_days": settings.rows_kept_days,
            "rows_bytes": settings.rows_kept_bytes,
            "rollups_days": settings.rollups_kept_days,
        },
        "disk_free_bytes": shutil.disk_usage(settings.data_dir).free,
        "since_start": {name: status[name] for name in _EVENTS},
    }


def _table(name: str, sealed: tuple[Any, ...], hot: int) -> Json:
    segments, rows, size, earliest, latest = sealed
    return {
        "table": name,
        "segments": segments,
        "rows": rows,
        "bytes": size,
        "earliest": _time(earliest),
        "latest": _time(latest),
        "unsealed_rows": hot,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
