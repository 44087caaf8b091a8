"""Segments: immutable Parquet files of sealed rows.

What must stay true: a file under its final name is whole and durable (written under another name,
fsynced, renamed, folder fsynced); writing the same segment again replaces it by the same rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from store.catalogue import Segment
from store.database import Cursor
from store.hot import HotTable
from store.packing import file_name, packed
from store.statements import literal, sql

UNFINISHED = ".unfinished"

_SORTED_ROWS = 150_000
"""Up to so many rows a segment is ordered. A journal that holds more was filled within seconds, is nearly in order of
time as it came, and would be sorted on disk: 13 instead of 5 us a row."""

_BY_TIME = '"time"'
_ORDER = {"observations": 'epoch_us("time") // 10000000, peer_key, "time"'}
"""By time: 23 instead of 30 bytes a span, and a trace lies in few row groups. Of observations twenty columns tell who
called whom: in order of peers within ten seconds they do once for many rows, and the ids of a request still lie near
enough to each other to be found by the compressor (over the whole minute they do not where there are many)."""


def segment_path(table: str, journal: str, created_us: int) -> Path:
    """Where a journal's segment of ``table`` lies, relative to the data folder: by arrival time."""
    arrived = datetime.fromtimestamp(created_us / 1e6, UTC)
    stem = journal.removesuffix(".journal")
    return Path("segments", table, f"date={arrived:%Y-%m-%d}", f"hour={arrived:%H}", file_name(table, stem))


def write_segment(
    cursor: Cursor,
    data_dir: Path,
    table: str,
    rows: HotTable,
    journal: str,
    created_us: int,
    step: Callable[[str], None],
) -> Segment:
    """Write one hot table as a segment; durable when this returns."""
    relative = segment_path(table, journal, created_us)
    relation = packed(table, rows.relation)

    def write(unfinished: Path) -> None:
        path = literal(str(unfinished))
        if rows.rows <= _SORTED_ROWS:
            order = _ORDER.get(table, _BY_TIME)
            cursor.execute(sql("seal/segment_in_order", rows=relation, path=path, order=order))
        else:
            cursor.execute(sql("seal/segment_as_it_came", rows=relation, path=path))

    size = put_in_place(data_dir, relative, write, step)
    return Segment(table, str(relative), journal, rows.rows, size, rows.earliest, rows.latest)


def put_in_place(
    data_dir: Path, relative: Path, write: Callable[[Path], None], step: Callable[[str], None]
) -> int:
    """``write(path)`` a file and give it its name, whole and durable. Returns its bytes."""
    final = data_dir / relative
    make_durable_folder(final.parent, data_dir)
    unfinished = final.with_name(final.name + UNFINISHED)
    try:
        write(unfinished)
        sync(unfinished)
    except BaseException:
        unfinished.unlink(missing_ok=True)  # half a file would keep others from what room there is
        raise
    step("segment_written")
    os.rename(unfinished, final)
    sync(final.parent)
    step("segment_renamed")
    return final.stat().st_size


def make_durable_folder(folder: Path, root: Path) -> None:
    """Create ``folder`` below ``root``, each new name fsynced in its parent."""
    if folder.is_dir():
        return
    if folder != root:
        make_durable_folder(folder.parent, root)
    folder.mkdir(exist_ok=True)
    sync(folder.parent)


def sync(path: Path) -> None:
    """fsync a file or a folder."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
