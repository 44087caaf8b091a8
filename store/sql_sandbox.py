"""The inside of a SQL worker: databases opened, the door locked, the statement run.

Kept apart from ``sql_worker`` so that the asking side imports no DuckDB. What must stay true is said
there; the order here matters: everything of ours is opened *before* external access is switched off
and the configuration locked.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from store.answer_formats import encode
from store.catalogue import read_delivered, read_sealed_journals, read_segments
from store.database import (
    SELECTING,
    Cursor,
    Database,
    Error,
    Interrupted,
    arrow_relations,
    statement_kinds,
)
from store.digests import DeliveredBook
from store.errors import BadQuery
from store.frames import Batch
from store.hot import Slice
from store.journal_files import JournalFile, list_journals
from store.loader import load_batches
from store.physical import ROLLED_UP, ROW_TABLES
from store.published import make_relations
from store.registry import RESOLVED, refresh_instances
from store.relations import empty_arrow, rows_sql
from store.settings import StoreSettings
from store.sql_worker import SqlLimits, too_slow
from store.statements import literal, sql

_ADDRESS_SPACE = 4 << 30
_TRIES = 5
_EXPLAIN = re.compile(r"^(?:\s|--[^\n]*\n|/\*.*?\*/)*explain\s+(?:analyze\s+)?(?:\([^)]*\)\s*)?", re.I | re.S)


def main() -> int:
    """Read a request from stdin, write the answer to stdout: a JSON line, then the encoded table."""
    request = json.loads(sys.stdin.buffer.read())
    limits = SqlLimits(**request["limits"])
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
        os.nice(5)
    try:
        body = answer(Path(request["data_dir"]), request["sql"], request["format"], limits)
        head: dict[str, Any] = {"ok": True}
    except BadQuery as error:
        head, body = error.as_json(), b""
    except MemoryError:
        head, body = _too_big(limits).as_json(), b""
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + body)
    sys.stdout.buffer.flush()
    return 0


def answer(data_dir: Path, statement: str, format: str, limits: SqlLimits) -> bytes:
    """The statement's answer over the folder as it is now. Raises BadQuery."""
    check_statement(statement)
    settings = StoreSettings(data_dir=data_dir, sql_memory_limit=limits.memory)
    for _ in range(_TRIES):
        scratch = settings.temporary / f"sql-{os.getpid()}"
        scratch.mkdir(parents=True, exist_ok=True)
        database = Database(memory_limit=limits.memory, threads=2, temporary=scratch)
        try:
            with contextlib.closing(database.cursor()) as cursor:
                if open_folder(database, cursor, settings, scratch):
                    lock_the_door(cursor, settings)
                    return encode(_run(cursor, statement, limits), format)
        finally:
            database.close()
            shutil.rmtree(scratch, ignore_errors=True)
    raise BadQuery("busy", "The data folder kept changing while it was opened.", "Ask again.")


def check_statement(statement: str) -> None:
    """Raises BadQuery unless it is one SELECT, or one EXPLAIN of a SELECT."""
    try:
        kinds = statement_kinds(statement)
        if kinds == ["EXPLAIN"]:
            kinds = statement_kinds(_EXPLAIN.sub("", statement, count=1))
    except Error as error:
        raise _as_bad_query(error) from None
    if not kinds:
        raise BadQuery("no_statement", "There is no statement.", "Try SELECT count(*) FROM requests.")
    if len(kinds) > 1:
        raise BadQuery("many_statements", "There is more than one statement.", "Send one at a time.")
    if kinds[0] not in SELECTING:
        raise BadQuery(
            "not_a_query",
            f"{kinds[0]} is not allowed: the data is read-only here.",
            "Use SELECT, FROM, DESCRIBE, SHOW or EXPLAIN. A PIVOT must name its values with IN (...).",
        )


def open_folder(database: Database, cursor: Cursor, settings: StoreSettings, scratch: Path) -> bool:
    """The published file with the journals' tail added, as the cursor's current database.

    The tail goes into a copy of our own: its views and macros need not be made again. False: the
    published file was replaced meanwhile, so a journal read here may have been sealed; try again.
    """
    before = _identity(settings.published)
    own = scratch / settings.published.name
    if before is not None:
        shutil.copyfile(settings.published, own)
    database.attach(own, "sidelight")
    database.attach(None, "hot")
    cursor.execute(sql("load/macros"))
    cursor.execute(sql("macros/background_of"))
    if before is None:
        database.attach(None, "catalogue")
        cursor.execute(sql("schema/catalogue", known="catalogue"))
    cursor.execute(sql("schema/hot", known="catalogue" if before is None else "sidelight"))
    for table in ROW_TABLES:
        with arrow_relations(cursor, incoming=empty_arrow(table)):
            cursor.execute(f"CREATE TABLE hot.empty_{table} AS FROM incoming")
    refresh_instances(cursor)
    cursor.execute("USE sidelight")
    if before is None:
        make_relations(cursor)
    cursor.execute("USE memory")
    tail = _load_tail(cursor, settings)
    cursor.execute("USE sidelight")
    _add_tail(cursor, settings, tail)
    return _identity(settings.published) == before


def _add_tail(cursor: Cursor, settings: StoreSettings, tail: Slice) -> None:
    cursor.execute("BEGIN TRANSACTION")
    cursor.execute(sql("seal/dictionaries", known="sidelight"))
    for name in RESOLVED:
        cursor.execute(f"DELETE FROM {name}")
        cursor.execute(f"INSERT INTO {name} FROM hot.{name}")
    if "activity" in tail.tables:
        cursor.execute(sql("seal/activity", known="sidelight", activity=tail.relation("activity")))
    segments = read_segments(cursor, "sidelight")
    for table in tail.tables.keys() & set(ROW_TABLES):
        files = [str(settings.data_dir / one.path) for one in segments if one.table == table]
        stored = rows_sql(table, [tail.relation(table)], files, f"empty_{table}")
        cursor.execute(f"CREATE OR REPLACE VIEW {table}_stored AS {stored}")
        if table in ROLLED_UP:
            unsealed = rows_sql(table, [tail.relation(table)], [], "")
            cursor.execute(f"CREATE OR REPLACE VIEW {table}_unsealed AS {unsealed}")
    cursor.execute("COMMIT")


def _load_tail(cursor: Cursor, settings: StoreSettings) -> Slice:
    """The rows of every journal that is not sealed, as one slice: it is read once and sealed by nobody."""
    book = DeliveredBook(settings.delivered_memory_s)
    read_delivered(cursor, book, "sidelight")
    sealed = read_sealed_journals(cursor, "sidelight")
    tail = Slice("tail", 1)
    for batches in _tail_batches(settings, sealed):
        load_batches(cursor, tail, batches, book, contextlib.nullcontext(), _nothing)
    return tail


def _tail_batches(settings: StoreSettings, sealed: set[str]) -> Iterator[list[Batch]]:
    """The batches of the unsealed journals in order, about ``tick_bytes`` at a time, across files."""
    waiting: list[Batch] = []
    size = 0
    for name in list_journals(settings.journal):
        if name in sealed:
            continue
        file = JournalFile(settings.journal / name)
        with contextlib.suppress(FileNotFoundError):  # sealed meanwhile: the published file has changed too
            while True:
                before = file.offset
                batches, after = file.read(settings.tick_bytes)
                if not batches:
                    break
                file.advance(after)
                waiting += batches
                size += after - before
                if size >= settings.tick_bytes:
                    yield waiting
                    waiting, size = [], 0
        file.close()
    if waiting:
        yield waiting


def _nothing() -> None:
    """There is no offset to keep: the worker reads a journal once."""


def lock_the_door(cursor: Cursor, settings: StoreSettings) -> None:
    """From here on: our segments and nothing else, and no way to change that."""
    cursor.execute(f"SET allowed_directories = [{literal(str(settings.segments) + '/')}]")
    cursor.execute("SET max_temp_directory_size = '1GB'")
    cursor.execute("SET enable_external_access = false")
    cursor.execute("SET lock_configuration = true")


def _run(cursor: Cursor, statement: str, limits: SqlLimits) -> pa.Table:
    watchdog = threading.Timer(limits.time_s, cursor.interrupt)
    watchdog.daemon = True
    watchdog.start()
    try:
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        reader = cursor.execute(statement).fetch_record_batch(10_000)
        batches: list[pa.RecordBatch] = []
        rows = size = 0
        for batch in reader:
            batches.append(batch)
            rows += batch.num_rows
            size += batch.nbytes
            if rows > limits.rows or size > limits.bytes:
                raise BadQuery(
                    "too_many_rows",
                    f"The answer is over {limits.rows:,} rows or {limits.bytes:,} bytes.",
                    "Add a LIMIT, or aggregate.",
                )
        return pa.Table.from_batches(batches, reader.schema)
    except Interrupted:
        raise too_slow(limits) from None
    except Error as error:
        raise _as_bad_query(error, limits) from None
    finally:
        watchdog.cancel()


def _as_bad_query(error: Exception, limits: SqlLimits | None = None) -> BadQuery:
    text = str(error)
    if limits is not None and ("Out of Memory" in text or "bad_alloc" in text or "bad allocation" in text):
        return _too_big(limits)
    kind = text.split(" Error:")[0]
    hints = {
        "Catalog": "SHOW TABLES lists what there is; DESCRIBE requests lists the columns of one.",
        "Binder": "DESCRIBE TABLE_NAME lists the columns there are.",
        "Permission": "Only the tables of this store can be read; files, network and settings are closed.",
        "Parser": "It is DuckDB's dialect of SQL: https://duckdb.org/docs/stable/sql/introduction",
    }
    codes = {"Permission": "not_allowed", "Parser": "bad_sql"}
    return BadQuery(codes.get(kind, "bad_sql"), text, hints.get(kind, "Correct the statement and ask again."))


def _too_big(limits: SqlLimits) -> BadQuery:
    return BadQuery(
        "too_much_memory",
        f"The statement needs more than {limits.memory} of memory.",
        "Restrict it by time, or aggregate before sorting.",
    )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns
