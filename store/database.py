"""The one file that imports duckdb: how databases are opened, limited and asked.

What must stay true: every database opened here has its memory and temporary folder bounded, and
no extension is fetched from anywhere. One ``Database`` is one DuckDB instance; ``cursor()`` gives
each thread a connection of its own to it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from store.errors import StoreFailed, StoreLocked
from store.statements import identifier, literal

Cursor = duckdb.DuckDBPyConnection
Error = duckdb.Error

_LOCKED = "Could not set lock"
"""Not just "lock": what is wrong with a damaged file is said of its blocks."""
_DAMAGED = (
    duckdb.IOException,
    duckdb.InternalException,
    duckdb.SerializationException,
    duckdb.FatalException,
)
_FATAL = ("database has been invalidated", "Corrupt database file")
_UNREADABLE = re.compile(rf"\.duckdb\W.*{os.strerror(errno.EIO)}", re.DOTALL)
"""A database file lies on a bad sector."""
_GONE = "Detached database"
"""A copy that could not be finished, on a full disk: invalidated, and no longer attached."""
_OF_THE_MACHINE = tuple(  # of which a file is none the worse
    os.strerror(number)
    for number in (
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS),
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),
    )
)

NOT_OF_FILES = (
    duckdb.InterruptException,
    duckdb.OutOfMemoryException,
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
)
"""What a statement may fail with although every file can be read."""

Interrupted = duckdb.InterruptException
SELECTING = ("SELECT",)
"""Kinds of statement that only read (FROM, DESCRIBE, SHOW, SUMMARIZE parse as SELECT)."""

_TOLD_BY_ARROW = {
    "INTERRUPT Error": duckdb.InterruptException,
    "Out of Memory Error": duckdb.OutOfMemoryException,
    "IO Error": duckdb.IOException,
    "INTERNAL Error": duckdb.InternalException,
    "FATAL Error": duckdb.FatalException,
}

_WAL_BYTES = 16 << 20
_CHECKPOINT_ROOM = 16 << 20

DUCKDB_VERSION: str = duckdb.__version__


class Database:
    """An in-memory DuckDB with bounded resources, to which files are attached."""

    def __init__(
        self,
        *,
        memory_limit: str,
        threads: int,
        temporary: Path | None = None,
        kept_memory: str | None = None,
    ) -> None:
        """``kept_memory``: this much of the limit, once used, is kept for the next question."""
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory_limit,
            "threads": threads,
            # A checkpoint rewrites an in-memory database too, all of it with every 16 MB that are committed: half
            # of a loader's time. `checkpoint` is for files.
            "checkpoint_threshold": "1TB",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
        }
        if temporary is not None:
            config["temp_directory"] = str(temporary)
        self._threads = threads
        self._connection = duckdb.connect(":memory:", config=config)
        self._connection.execute("SET TimeZone = 'UTC'")
        if kept_memory is not None:
            with contextlib.suppress(duckdb.CatalogException):  # a DuckDB that has no such setting
                self._connection.execute(f"SET block_allocator_memory = {literal(kept_memory)}")

    def cursor(self) -> Cursor:
        """A connection of its own, for one thread at a time; close it."""
        cursor = self._connection.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        return cursor

    def attach(self, path: Path | None, alias: str, *, read_only: bool = False) -> None:
        """Attach a database file, or an in-memory database for None. Raises StoreLocked."""
        target = literal(":memory:" if path is None else str(path))
        suffix = " (READ_ONLY)" if read_only else ""
        try:
            with contextlib.closing(
                self.cursor()
            ) as cursor:  # the sealer and a job may attach at the same time
                cursor.execute(f"ATTACH {target} AS {identifier(alias)}{suffix}")
        except duckdb.IOException as error:
            if _LOCKED in str(error):
                raise StoreLocked(
                    f"{path} is open in another process: ask the running server, or stop it first"
                ) from error
            raise

    def detach(self, alias: str) -> None:
        with contextlib.closing(self.cursor()) as cursor:
            cursor.execute(f"DETACH {identifier(alias)}")

    def checkpoint(self, path: Path, alias: str) -> None:
        """Write what the WAL of an attached file holds into the file, once that is worth it."""
        if _wal_bytes(path) >= _WAL_BYTES and has_room_to_checkpoint(path):
            with (
                contextlib.closing(self.cursor()) as cursor,
                contextlib.suppress(duckdb.TransactionException),
            ):
                cursor.execute(f"CHECKPOINT {identifier(alias)}")  # another one is writing: next time

    def use_threads(self, threads: int) -> None:
        """How many threads statements have from now on."""
        if threads != self._threads:
            self._threads = threads
            with contextlib.closing(self.cursor()) as cursor:
                cursor.execute(f"SET threads = {threads:d}")

    def interrupt(self) -> None:
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()


def has_room_to_checkpoint(path: Path) -> bool:
    """Is there room for what the WAL of ``path`` holds? DuckDB gives a file up whose checkpoint finds the disk full."""
    return shutil.disk_usage(path.parent).free >= _wal_bytes(path) + _CHECKPOINT_ROOM


def _wal_bytes(path: Path) -> int:
    try:
        return path.with_name(f"{path.name}.wal").stat().st_size
    except FileNotFoundError:
        return 0


@contextlib.contextmanager
def transaction(
    cursor: Cursor, commit: Callable[[Callable[[], None]], None] | None = None
) -> Iterator[Cursor]:
    """BEGIN … COMMIT around the block, ROLLBACK when it raises. StoreFailed where DuckDB gave up.

    ``commit(do_commit)`` may wrap the COMMIT itself, to change something else together with it.
    """

    def do_commit() -> None:
        cursor.execute("COMMIT")

    cursor.execute("BEGIN TRANSACTION")
    try:
        yield cursor
        if commit is None:
            do_commit()
        else:
            commit(do_commit)
    except BaseException as error:
        with contextlib.suppress(duckdb.Error):
            cursor.execute("ROLLBACK")
        raise_if_fatal(error)
        raise


def is_damage(error: BaseException) -> bool:
    """Does the error speak of a database file's bytes, and not of a disk that is full or may not be written?"""
    return isinstance(error, _DAMAGED) and not any(reason in str(error) for reason in _OF_THE_MACHINE)


def is_fatal(error: BaseException) -> bool:
    """Can no retry in this process mend it? A broken block of a file is one: a start finds it, and rebuilds."""
    if isinstance(error, StoreFailed | duckdb.FatalException):
        return True
    is_of_one_that_is_gone = _GONE in str(error) and not is_damage(error)
    return (
        isinstance(error, Error) and any(text in str(error) for text in _FATAL) and not is_of_one_that_is_gone
    )


def raise_if_fatal(error: BaseException) -> None:
    """Turn what no retry in this process can mend into StoreFailed."""
    if is_fatal(error):
        raise StoreFailed(f"the database gave up and must be opened again: {error}") from error


@contextlib.contextmanager
def arrow_relations(cursor: Cursor, **tables: pa.Table) -> Iterator[Cursor]:
    """Arrow tables as relations of these names, for the length of the block, without a copy."""
    try:
        for name, table in tables.items():
            cursor.register(name, table)
        yield cursor
    finally:
        for name in tables:
            with contextlib.suppress(duckdb.Error):
                cursor.unregister(name)


def to_arrow(cursor: Cursor) -> pa.Table:
    """The whole answer of the statement just executed, as one Arrow table."""
    fetch = getattr(cursor, "to_arrow_table", None) or cursor.fetch_arrow_table  # the older name until 1.5
    return fetch()


def read_batches(cursor: Cursor, rows: int) -> Iterator[pa.RecordBatch]:
    """The answer of the statement just executed, ``rows`` at a time while DuckDB goes on. Raises duckdb errors."""
    try:
        yield from (getattr(cursor, "to_arrow_reader", None) or cursor.fetch_record_batch)(rows)
    except (OSError, pa.ArrowException) as error:
        # Arrow hands DuckDB's errors on as its own; the text begins with what they were.
        kinds = (kind for text, kind in _TOLD_BY_ARROW.items() if str(error).startswith(text))
        raise next(kinds, duckdb.Error)(str(error)) from error


def one(cursor: Cursor) -> tuple:
    """The single row of the answer. LookupError if there is none."""
    row = cursor.fetchone()
    if row is None:
        raise LookupError("the statement answered no row")
    return row


def statement_kinds(text: str) -> list[str]:
    """The kinds ('SELECT', 'EXPLAIN', 'COPY' …) of the statements in ``text``, which is only parsed."""
    with contextlib.closing(duckdb.connect(":memory:")) as parser:
        return [statement.type.name for statement in parser.extract_statements(text)]
