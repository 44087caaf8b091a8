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

from store import metric_series, quarantine, rollup
from store.catalogue import VERSION, Segment, attach_catalogue, read_segments, record_segments, utc_now
from store.compaction import PREFIX, replaced_by
from store.database import (
    Cursor,
    Database,
    Error,
    arrow_relations,
    is_damage,
    one,
    raise_if_fatal,
    transaction,
)
from store.dropped_minutes import minutes_of
from store.journal_files import list_journals
from store.packing import journal_of
from store.physical import ROLLED_UP, ROLLUPS
from store.relations import parquet_sql
from store.retired import read_retired, unlink_retired
from store.segments import UNFINISHED
from store.settings import StoreSettings
from store.statements import sql

log = logging.getLogger(__name__)

# Where the file alone is not lost, or does not fit: peers, activity and rollups are counted again from the segments.
_COPIES = ("identity_facts", "stints", "resources_stored", "delivered", "import_digests")

_COUNTS = (*ROLLUPS, "activity")

_REMADE = {"about", "retired", "trace_filters"}
"""What is not published: said anew, found by looking, made again."""


def open_catalogue(settings: StoreSettings) -> tuple[Database, list[Path]]:
    """A database with the catalogue attached, and which of its files are lost: gone, or set aside because damaged.

    First the WAL alone goes (the last checkpoint and the segments hold the rest), then the whole file. A disk that is
    full or may not be written is no damage: that is raised.
    """
    wal = settings.catalogue.with_name(settings.catalogue.name + ".wal")
    lost = [settings.catalogue] if settings.published.exists() and not settings.catalogue.exists() else []
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
            put_away = [path for path in damaged if _set_aside(path)]
            log.error(
                "the catalogue cannot be read (%s): set aside %s", error, [one.name for one in put_away]
            )
            lost += put_away
        except BaseException:
            database.close()
            raise
        else:
            settings.doubt.unlink(missing_ok=True)
            return database, lost
    raise AssertionError("unreachable")


def _read_through(cursor: Cursor, with_counts: bool) -> None:
    """Read every block that a start reads, so that a broken one is met here. Raises duckdb errors.

    ``with_counts``: the counts per minute as well. They may be large; a question or a publishing that meets a broken
    block of theirs leaves a doubt for the next start (`note_doubt`).
    """
    for name in tables_of(cursor):
        if with_counts or name not in _COUNTS:
            cursor.execute(f"SELECT max(hash(one)) FROM catalogue.{name} AS one").fetchall()


def tables_of(cursor: Cursor) -> set[str]:
    """The names of the catalogue's tables."""
    query = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'catalogue'"
    return {name for (name,) in cursor.execute(query).fetchall()}


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


def restore_from_published(
    database: Database, cursor: Cursor, settings: StoreSettings, lost: list[Path]
) -> bool:
    """Fill a catalogue of which ``lost`` is lost from ``sidelight.duckdb``, where that is readable.

    True: all of it is as it was when that file was published. Every journal that was unlinked is in it, so is what only
    the catalogue knew: counts of minutes whose rows are kept no longer.
    """
    if not lost or not settings.published.exists():
        return False
    try:
        database.attach(settings.published, "published", read_only=True)
    except Error as error:
        log.warning("%s is of no help to rebuild the catalogue: %s", settings.published.name, error)
        return False
    try:
        if settings.catalogue in lost and _restore_whole(cursor, settings):
            return True
        for table in _COPIES:
            with contextlib.suppress(Error), transaction(cursor):
                cursor.execute(
                    f"INSERT INTO catalogue.{table} (FROM published.{table} EXCEPT FROM catalogue.{table})"
                )
        return False
    finally:
        database.detach("published")


def _restore_whole(cursor: Cursor, settings: StoreSettings) -> bool:
    """Copy every table, or none."""
    try:
        version = cursor.execute("SELECT value FROM published.about WHERE key = 'schema_version'").fetchone()
        if version != (str(VERSION),) or not _are_told_apart(cursor, settings):
            return False
        with transaction(cursor):
            for table in tables_of(cursor) - _REMADE:
                copy = f"{table}_recent" if table in ROLLUPS else table
                cursor.execute(f"INSERT INTO catalogue.{table} BY NAME FROM published.{copy}")
    except Error as error:
        raise_if_fatal(error)
        log.warning("%s cannot be the catalogue: %s", settings.published.name, error)
        return False
    log.warning("the catalogue is as %s was published", settings.published.name)
    return True


def _are_told_apart(cursor: Cursor, settings: StoreSettings) -> bool:
    """Is it known of each merged file that was not published whether its rows are counted there?"""
    published = {segment.path for segment in read_segments(cursor, "published")}
    merged = {
        str(path.relative_to(settings.data_dir)): _sources(path)
        for path in settings.segments.rglob(f"{PREFIX}*.parquet")
    }
    again = {source for sources in merged.values() for source in sources}
    return all(
        published.issuperset(merged[name])
        or Path(name).parts[1] not in ROLLED_UP
        or _was_dropped(cursor, settings, name, "published")
        for name in merged.keys() - published - again
    )


def _was_dropped(cursor: Cursor, settings: StoreSettings, name: str, known: str) -> bool:
    """Are all minutes that the file counts in listed as dropped?"""
    table = Path(name).parts[1]
    minutes = minutes_of(settings.data_dir, [Segment(table, name, "", 0, 0, None, None)])
    if not minutes.num_rows:
        return False
    with arrow_relations(cursor, incoming=minutes):
        left = "SELECT count(*) FROM (FROM incoming EXCEPT FROM "
        return one(cursor.execute(f"{left} {known}.dropped_minutes)"))[0] == 0


def remove_scratch(settings: StoreSettings) -> None:
    """The folders of SQL workers that were killed (``sql-PID``; another's may be at work)."""
    for folder in settings.temporary.glob("sql-*"):
        if not Path("/proc", folder.name.removeprefix("sql-")).exists():
            shutil.rmtree(folder, ignore_errors=True)


def reconcile_segments(
    cursor: Cursor, settings: StoreSettings, sealed: set[str], lost: list[Path], is_restored: bool
) -> int:
    """Adopt or delete the files the catalogue does not list; those it lists are the upkeep's. The rows adopted.

    ``is_restored``: it is as it was published, and does not know what was merged or dropped then or since. Of what
    left it for the rollup's segments it has the counts; where it is ``lost`` they are made again from the rows.
    """
    for path in settings.segments.rglob(f"*{UNFINISHED}"):
        path.unlink(missing_ok=True)
    unlink_retired(cursor, settings, datetime.max)
    known = {segment.path for segment in read_segments(cursor)}
    found = {str(path.relative_to(settings.data_dir)): path for path in settings.segments.rglob("*.parquet")}
    unlisted = [name for name in found if name not in known | read_retired(cursor)]
    if settings.catalogue in lost and not is_restored:
        for name in [name for name in unlisted if Path(name).parts[1] in ROLLUPS]:
            unlisted.remove(name)
            found.pop(name)
            quarantine.move(settings, name, "its counts are made again from the rows")
    not_needed = _not_needed(found, unlisted, set(list_journals(settings.journal)) - sealed)
    if is_restored:
        replaced = {source for name in known & found.keys() for source in _sources(found[name])}
        not_needed |= {name for name in unlisted if name in replaced}
        not_needed |= {name for name in unlisted if _was_dropped(cursor, settings, name, "catalogue")}
    for name in not_needed:
        found.pop(name).unlink()
    adopted = [_adopt(cursor, settings, found[name], known) for name in unlisted if name in found]
    if not adopted:
        return 0
    log.warning(
        "adopted %d segments with %d rows that the catalogue did not list", len(adopted), sum(adopted)
    )
    return sum(adopted)


def _adopt(cursor: Cursor, settings: StoreSettings, path: Path, known: set[str]) -> int:
    """List the file in the place of what it was merged from, and count its rows unless they are. Returns the rows.

    One that cannot be read goes to the quarantine.
    """
    try:
        sources = _sources(path)
        segment = _describe(cursor, settings, path)
        with transaction(cursor):
            for name in known.intersection(sources):
                cursor.execute("DELETE FROM catalogue.segments WHERE path = ?", [name])
            record_segments(cursor, [segment], utc_now())
            if not sources or not known.issuperset(sources):
                _count_again(cursor, settings, segment)
    except Error as error:
        raise_if_fatal(error)
        if (why := quarantine.why_unreadable(path)) is None:
            raise
        quarantine.move(settings, str(path.relative_to(settings.data_dir)), why)
        return 0
    return segment.rows


def _not_needed(found: dict[str, Path], unlisted: list[str], waiting: set[str]) -> set[str]:
    """Of the files: those whose journal is still there, what left the catalogue without its knowing, and of merged ones
    and what they replace the one or the other."""
    twice = {name for name in unlisted if journal_of(found[name]) in waiting}
    twice |= {name for name in unlisted if Path(name).parts[1] in ROLLUPS and not _sources(found[name])}
    for name in unlisted:
        replaced = _sources(found[name])
        if replaced and all(one in found for one in replaced):
            twice.add(name)
        else:
            twice.update(one for one in replaced if one in found)
    return twice


def _sources(path: Path) -> list[str]:
    """What the file was merged from, where it can be read."""
    try:
        return replaced_by(path)
    except (OSError, ValueError):
        return []


def _describe(cursor: Cursor, settings: StoreSettings, path: Path) -> Segment:
    relation = parquet_sql([str(path)])
    relative = path.relative_to(settings.data_dir)
    if relative.parts[1] in ROLLUPS:
        begin, length = ROLLUPS[relative.parts[1]]
        times = sql("seal/times_of_counts", counts=relation, begin=begin, length=length)
    else:
        times = f'SELECT count(*), min("time"), max("time") FROM {relation}'
    rows, earliest, latest = one(cursor.execute(times))
    return Segment(
        relative.parts[1], str(relative), journal_of(path), rows, path.stat().st_size, earliest, latest
    )


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
    cursor.execute(sql("load/activity", activity="catalogue.activity", counts=f"({counts})"))
    rollup_rows = stored if segment.table == "observations" else sql("seal/span_rows", rows=stored)
    rollup.count_sealed(cursor, [rollup_rows])
