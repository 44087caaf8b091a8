"""The catalogue: ``catalogue.duckdb``, what the store must not forget besides the segments.

What must stay true: everything a seal changes is committed in one transaction; the schema version
is checked before anything is read; no DDL is left in the WAL.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from store.database import Cursor, Database, arrow_relations, to_arrow, transaction
from store.digests import IMPORT_SOURCES, DeliveredBook
from store.errors import NewerStore, OlderStore
from store.frames import ExportMark
from store.statements import sql

VERSION = 6
MIGRATIONS = {3: "schema/migrate_3", 4: "schema/migrate_4", 5: "schema/migrate_5"}
"""What brings a folder of a version to the next one, when it is opened; older ones are refused."""


@dataclass(frozen=True)
class Segment:
    """One Parquet file of sealed rows."""

    table: str
    path: str
    journal: str
    rows: int
    bytes: int
    earliest: datetime | None
    latest: datetime | None


def attach_catalogue(database: Database, path: Path) -> None:
    """Attach, check the version, create what is missing. Raises StoreLocked, NewerStore, OlderStore, duckdb errors."""
    database.attach(path, "catalogue")
    cursor = database.cursor()
    try:
        version = _version(cursor)
        if version is not None and version > VERSION:
            raise NewerStore(str(path), version, VERSION)
        if version is not None and version < min(MIGRATIONS):
            raise OlderStore(str(path), version, VERSION)
        if version != VERSION:
            with transaction(cursor):
                if version is None:
                    cursor.execute(sql("schema/catalogue", known="catalogue"))
                for step in range(version or VERSION, VERSION):
                    cursor.execute(sql(MIGRATIONS[step], known="catalogue"))
                cursor.execute("DELETE FROM catalogue.about WHERE key = 'schema_version'")
                cursor.execute(
                    "INSERT INTO catalogue.about VALUES ('schema_version', ?)", [json.dumps(VERSION)]
                )
            cursor.execute("CHECKPOINT catalogue")
    finally:
        cursor.close()


def _version(cursor: Cursor) -> int | None:
    found = cursor.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'catalogue' AND table_name = 'about'"
    ).fetchone()
    if not found or not found[0]:
        return None
    row = cursor.execute("SELECT value FROM catalogue.about WHERE key = 'schema_version'").fetchone()
    return int(json.loads(row[0])) if row else None


def read_segments(cursor: Cursor, known: str = "catalogue") -> list[Segment]:
    """The segments listed in the database attached as ``known``."""
    rows = cursor.execute(
        f"SELECT table_name, path, journal, row_count, byte_count, min_time, max_time FROM {known}.segments"
    ).fetchall()
    return [Segment(*row) for row in rows]


def read_sealed_journals(cursor: Cursor, known: str = "catalogue") -> set[str]:
    return {row[0] for row in cursor.execute(f"SELECT name FROM {known}.sealed_journals").fetchall()}


def read_delivered(cursor: Cursor, book: DeliveredBook, known: str = "catalogue") -> None:
    """Fill ``book`` with the sealed digests."""
    for table, imports in (("delivered", False), ("import_digests", True)):
        cursor.execute(
            "SELECT replace(digest::varchar, '-', '') AS digest, epoch_us(received) AS us "
            f"FROM {known}.{table}"
        )
        rows = to_arrow(cursor)
        book.load_sealed(rows["digest"].to_pylist(), rows["us"].to_pylist(), imports=imports)


def record_segments(cursor: Cursor, segments: list[Segment], now: datetime) -> None:
    for one in segments:
        cursor.execute(
            "INSERT INTO catalogue.segments VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [one.table, one.path, one.journal, one.rows, one.bytes, one.earliest, one.latest, now],
        )


def record_sealed_journal(cursor: Cursor, name: str, now: datetime) -> None:
    cursor.execute("INSERT INTO catalogue.sealed_journals VALUES (?, ?)", [name, now])


def forget_sealed_journals(cursor: Cursor, before: datetime, present: list[str]) -> None:
    """Drop the names of journals sealed before ``before`` of which no file is left: none has that name again."""
    cursor.execute(
        "DELETE FROM catalogue.sealed_journals WHERE sealed_at < ? AND NOT list_contains(?::VARCHAR[], name)",
        [before, present],
    )


def record_delivered(cursor: Cursor, marks: list[ExportMark], forget_before_us: int) -> None:
    """Add the kept digests of a journal; forget those of exports (never of imports) before the moment."""
    for table, wanted in (("delivered", False), ("import_digests", True)):
        chosen = [mark for mark in marks if (mark.source in IMPORT_SOURCES) == wanted]
        if not chosen:
            continue
        incoming = pa.table(
            {
                "digest": [mark.digest for mark in chosen],
                "received": pa.array([mark.received_us for mark in chosen], pa.timestamp("us")),
            }
        )
        with arrow_relations(cursor, incoming=incoming):
            cursor.execute(f"INSERT INTO catalogue.{table} SELECT digest::uuid, received FROM incoming")
    cursor.execute("DELETE FROM catalogue.delivered WHERE epoch_us(received) < ?", [forget_before_us])


def utc_now() -> datetime:
    """Now, in UTC, without a zone: as DuckDB's TIMESTAMP holds it."""
    return datetime.now(UTC).replace(tzinfo=None)
