"""One journal from hot to sealed: segments first, then one catalogue transaction.

What must stay true: until the commit nothing is changed that a restart does not undo (files under
names nobody reads); after it the journal's rows are the segments' and nobody else's.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from store import catalogue, registry, rollup
from store.catalogue import Segment
from store.database import Cursor, transaction
from store.digests import DeliveredBook
from store.hot import Slice
from store.journal_files import JournalFile
from store.physical import ROW_TABLES
from store.quarantine import keep_journal
from store.segments import write_segment
from store.settings import StoreSettings
from store.statements import sql

Commit = Callable[[list[Segment], Callable[[], None]], None]


def seal_journal(
    cursor: Cursor,
    settings: StoreSettings,
    slice_: Slice,
    file: JournalFile,
    book: DeliveredBook,
    commit: Commit,
    step: Callable[[str], None],
) -> list[Segment]:
    """Seal ``slice_``. ``commit(segments, do_commit)`` runs the commit under the engine's lock."""
    created_us = file.created_us or time.time_ns() // 1000
    segments = [
        write_segment(cursor, settings.data_dir, name, slice_.tables[name], file.name, created_us, step)
        for name in ROW_TABLES
        if name in slice_.tables
    ]
    if file.damaged_bytes:
        keep_journal(settings, file)
    now = catalogue.utc_now()
    kept = book.kept_by(file.name)
    step("before_commit")
    with transaction(cursor, lambda do_commit: commit(segments, do_commit)):
        catalogue.record_segments(cursor, segments, now)
        catalogue.record_sealed_journal(cursor, file.name, now)
        catalogue.record_delivered(cursor, kept, book.forget_before_us(kept))
        cursor.execute(sql("seal/dictionaries", known="catalogue"))
        if "activity" in slice_.tables:
            cursor.execute(sql("seal/activity", known="catalogue", activity=slice_.relation("activity")))
        rows = [slice_.relation("observations")] if "observations" in slice_.tables else []
        if "spans" in slice_.tables:
            rows.append(sql("seal/span_rows", rows=slice_.relation("spans")))
        if rows:
            rollup.count_sealed(cursor, rows)
        registry.save(cursor)
    book.mark_sealed(file.name)
    step("after_commit")
    return segments
