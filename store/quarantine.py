"""Segments that cannot be read: found, taken off the list, moved to ``DATA/quarantine``, and said in numbers. Journals
of which a part cannot be read stay there, too.

What must stay true: one broken file stops no question, seal or start for longer than it takes to find it; nothing
is deleted. The counts per minute of its rows stay: they were right. Those of a file of the rollup are made again.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from store.catalogue import Segment, read_segments, utc_now
from store.database import Cursor, transaction
from store.dropped_minutes import note_lost
from store.journal_files import JournalFile
from store.physical import ROLLUPS
from store.rollup_files import count_lost
from store.segments import make_durable_folder, sync
from store.settings import StoreSettings

log = logging.getLogger(__name__)

Swap = Callable[[list[Segment], list[Segment], Callable[[], None]], None]
"""(gone, new, do_commit): commit, and change the list readers take, under the engine's lock."""


def why_broken(data_dir: Path, segment: Segment, deep: bool) -> str | None:
    """What is wrong with the file, or None. ``deep``: every page is read, not only size and footer."""
    path = data_dir / segment.path
    try:
        size = path.stat().st_size
        if size != segment.bytes:
            return f"it has {size:,} bytes, not {segment.bytes:,}"
        rows = _read(path, deep)
    except FileNotFoundError:
        return "it is gone"
    except (OSError, pa.ArrowException) as error:
        return str(error)
    return None if rows == segment.rows else f"it has {rows:,} rows, not {segment.rows:,}"


def why_unreadable(path: Path) -> str | None:
    """What is wrong with a file of which nothing is known, or None: every page is read."""
    try:
        _read(path, deep=True)
    except (OSError, pa.ArrowException) as error:
        return str(error)
    return None


def _read(path: Path, deep: bool) -> int:
    """The file's rows as its footer says."""
    with pq.ParquetFile(path) as file:
        for group in range(file.metadata.num_row_groups if deep else 0):
            file.read_row_group(group, use_threads=False)
        return int(file.metadata.num_rows)


def set_aside(
    cursor: Cursor, settings: StoreSettings, broken: dict[str, str], segments: list[Segment], swap: Swap
) -> int:
    """Take the segments named in ``broken`` (path → reason) off the list and away. Returns the rows they had."""
    gone = [segment for segment in segments if segment.path in broken]
    taken_back: list[Segment] = []
    with transaction(cursor, lambda do_commit: swap(gone + taken_back, [], do_commit)):
        for segment in gone:
            for listed in ("segments", "trace_filters"):
                cursor.execute(f"DELETE FROM catalogue.{listed} WHERE path = ?", [segment.path])
        note_lost(cursor, gone)
        for segment in gone:
            if segment.table in ROLLUPS:
                taken_back += count_lost(cursor, settings.data_dir, segment, read_segments(cursor), utc_now())
    for segment in gone:
        what = "counts are made again" if segment.table in ROLLUPS else "rows are lost"
        log.error("%d %s (%s to %s)", segment.rows, what, segment.earliest, segment.latest)
        move(settings, segment.path, broken[segment.path])
    return sum(segment.rows for segment in gone if segment.table not in ROLLUPS)


def move(settings: StoreSettings, path: str, why: str) -> None:
    """Move a file of no list (``path`` below the data folder) to the quarantine, if it is there."""
    source, place = settings.data_dir / path, settings.quarantine / path
    log.error("%s is set aside (%s); it is kept as %s", source, why, place)
    if source.exists():
        make_durable_folder(place.parent, settings.data_dir)
        os.rename(source, place)
        sync(place.parent)


def keep_journal(settings: StoreSettings, file: JournalFile) -> None:
    """Give the journal a second name in the quarantine, before its own is unlinked."""
    place = settings.quarantine / "journal" / file.name
    log.error(
        "%d bytes of the journal %s are damaged: what was acknowledged in them is lost; it is kept as %s",
        *(file.damaged_bytes, file.name, place),
    )
    make_durable_folder(place.parent, settings.data_dir)
    with contextlib.suppress(FileExistsError):
        os.link(file.path, place)
        sync(place.parent)
