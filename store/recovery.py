"""Opening a data folder after anything: leftovers removed, a damaged catalogue set aside and rebuilt.

What must stay true: nothing that the journal or the segments hold is lost or doubled. A segment the
catalogue does not list is deleted if its journal is still there (it will be sealed again), and adopted if
not; a merged one is deleted if all it replaces is still there. What was set aside stays beside the
catalogue, named ``.corrupt.SECONDS``.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from datetime import datetime
from pathlib import Path

from store import metric_series
from store.catalogue import Segment, attach_catalogue, read_segments, record_segments, utc_now
from store.compaction import replaced_by
from store.database import Cursor, Database, Error, is_damage, one, transaction
from store.journal_files import list_journals
from store.relations import parquet_sql
from store.retired import read_retired, unlink_retired
from store.segments import UNFINISHED
from store.settings import StoreSettings
from store.statements import sql

log = logging.getLogger(__name__)

# Peers, activity and rollups are counted again from the segments instead.
_COPIES = ("identity_facts", "stints", "resources_stored", "delivered", "import_digests")

_COUNTS = ("edges_1m", "activity")


def open_catalogue(settings: StoreSettings) -> tuple[Database, list[Path]]:
    """A database with the catalogue attached, and the files that had to be set aside because they are damaged.

    First the WAL alone goes (the last checkpoint and the segments hold the rest), then the whole file. A disk that is
    full or may not be written is no damage: that is raised.
    """
    wal = settings.catalogue.with_name(settings.catalogue.name + ".wal")
    put_away: list[Path] = []
    for damaged in ([wal], [wal, settings.catalogue], []):
        database = Database(
            memory_limit=settings.memory_limit,
            threads=settings.threads,
            temporary=settings.temporary,
            kept_memory=settings.kept_memory,
        )
        try:
            attach_catalogue(database, settings.catalogue)
            with contextlib.closing(database.cursor()) as cursor:
                _read_through(cursor, with_counts=settings.doubt.exists())
        except Error as error:
            database.close()
            if not damaged or not is_damage(error):
                raise
            log.error("the catalogue cannot be read (%s): setting it aside and rebuilding it", error)
            put_away += [path for path in damaged if _set_aside(path)]
        except BaseException:
            database.close()
            raise
        else:
            settings.doubt.unlink(missing_ok=True)
            return database, put_away
    raise AssertionError("unreachable")


def _read_through(cursor: Cursor, with_counts: bool) -> None:
    """Read every block that a start reads, so that a broken one is met here. Raises duckdb errors.

    ``with_counts``: the counts per minute as well. They may be large; a question or a publishing that meets a broken
    block of theirs leaves a doubt for the next start (`note_doubt`).
    """
    tables = cursor.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = 'catalogue'"
    ).fetchall()
    for (name,) in tables:
        if with_counts or name not in _COUNTS:
            cursor.execute(f"SELECT max(hash(one)) FROM catalogue.{name} AS one").fetchall()


def note_doubt(settings: StoreSettings) -> None:
    """Have the next start read all of the catalogue before anything else, and a publishing begin from nothing."""
    with contextlib.suppress(OSError):
        settings.doubt.touch()
    shutil.rmtree(settings.temporary / "publish", ignore_errors=True)


def _set_aside(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        path.rename(path.with_name(f"{path.name}.corrupt.{time.time_ns()}"))
        return True
    return False


def restore_from_published(database: Database, cursor: Cursor, published: Path) -> None:
    """Fill a damaged catalogue from the copies in ``sidelight.duckdb``, where that is readable."""
    if not published.exists():
        return
    try:
        database.attach(published, "published", read_only=True)
    except Error as error:
        log.warning("%s is of no help to rebuild the catalogue: %s", published.name, error)
        return
    try:
        for table in _COPIES:
            with contextlib.suppress(Error), transaction(cursor):
                cursor.execute(
                    f"INSERT INTO catalogue.{table} (FROM published.{table} EXCEPT FROM catalogue.{table})"
                )
    finally:
        database.detach("published")


def remove_scratch(settings: StoreSettings) -> None:
    """The folders of SQL workers that were killed (``sql-PID``; another's may be at work)."""
    for folder in settings.temporary.glob("sql-*"):
        if not Path("/proc", folder.name.removeprefix("sql-")).exists():
            shutil.rmtree(folder, ignore_errors=True)


def reconcile_segments(cursor: Cursor, settings: StoreSettings, sealed: set[str]) -> int:
    """Adopt or delete the files the catalogue does not list; those it lists are the upkeep's. The rows adopted."""
    for path in settings.segments.rglob(f"*{UNFINISHED}"):
        path.unlink(missing_ok=True)
    unlink_retired(cursor, settings, datetime.max)
    known = {segment.path: segment for segment in read_segments(cursor)}
    found = {str(path.relative_to(settings.data_dir)): path for path in settings.segments.rglob("*.parquet")}
    listed = known.keys() | read_retired(cursor)
    unlisted = [name for name in found if name not in listed]
    not_needed = _not_needed(found, unlisted, set(list_journals(settings.journal)) - sealed)
    for name in not_needed:
        found.pop(name).unlink()
    adopted: list[Segment] = []
    for name in unlisted:
        if name in found:
            with contextlib.suppress(Error):
                adopted.append(_describe(cursor, settings, found[name]))
    if not adopted:
        return 0
    with transaction(cursor):
        for name in not_needed & known.keys():
            cursor.execute("DELETE FROM catalogue.segments WHERE path = ?", [name])
        record_segments(cursor, adopted, utc_now())
        for segment in adopted:
            _count_again(cursor, settings, segment)
    rows = sum(segment.rows for segment in adopted)
    log.warning("adopted %d segments with %d rows that the catalogue did not list", len(adopted), rows)
    return rows


def _not_needed(found: dict[str, Path], unlisted: list[str], waiting: set[str]) -> set[str]:
    """Of the files: those whose journal is still there, and of merged ones and what they replace the one or the
    other."""
    twice = {name for name in unlisted if f"{found[name].stem}.journal" in waiting}
    for name in unlisted:
        with contextlib.suppress(OSError, ValueError):
            replaced = replaced_by(found[name])
            if replaced and all(one in found for one in replaced):
                twice.add(name)
            else:
                twice.update(one for one in replaced if one in found)
    return twice


def _describe(cursor: Cursor, settings: StoreSettings, path: Path) -> Segment:
    relation = parquet_sql([str(path)])
    rows, earliest, latest = one(cursor.execute(f'SELECT count(*), min("time"), max("time") FROM {relation}'))
    relative = path.relative_to(settings.data_dir)
    journal = f"{path.stem}.journal"
    return Segment(relative.parts[1], str(relative), journal, rows, path.stat().st_size, earliest, latest)


def _count_again(cursor: Cursor, settings: StoreSettings, segment: Segment) -> None:
    """Peers, activity and rollup of an adopted segment, from its rows (their peer_key stands in them)."""
    stored = parquet_sql([str(settings.data_dir / segment.path)])
    if segment.table == "metric_points":
        metric_series.count_again(cursor, stored)
    keyed = {"observations": "load/observation_peers", "spans": "load/span_peers"}.get(segment.table)
    if keyed is None:
        return
    rows = f"(SELECT * EXCLUDE (peer_key) FROM {stored})"
    samples = sql("load/peer_samples", keyed=sql(keyed, rows=rows))
    parts = sql("load/peer_parts", inputs=f"({samples})")
    cursor.execute(sql("load/new_peers", peers="catalogue.peers", parts=parts))
    counts = sql("load/peer_counts", rows=stored)
    cursor.execute(f'INSERT INTO catalogue.activity SELECT minute, peer_key, "rows" FROM ({counts})')
    rollup_rows = stored if segment.table == "observations" else sql("seal/span_rows", rows=stored)
    cursor.execute(sql("seal/edges_1m", rows=rollup_rows))
