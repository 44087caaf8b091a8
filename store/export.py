"""``sidelight export``: a window's rows of the tables users know, as Parquet files or one DuckDB file.

What must stay true: it reads ``sidelight.duckdb`` like anyone, so rows, names and counts are those of the same
statement asked there; a file or folder under its final name is whole, and nothing is overwritten.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from store.database import Cursor, Database, Error, one
from store.descriptions import comment_statements
from store.errors import StoreError
from store.query_types import Window
from store.seal_now import Tell
from store.segments import UNFINISHED, sync
from store.settings import StoreSettings
from store.statements import identifier, literal, sql

FORMATS = ("parquet", "duckdb")
_MEMORY = "512MB"
_TIMES = {
    "observations": "time",
    "requests": "time",
    "spans": "time",
    "logs": "time",
    "metric_points": "time",
    "rejects": "time",
    "edges_1m": "minute",
}
TABLES = (*_TIMES, "peers", "workloads")
"""`workloads` whole: what is learned today names the addresses of last week. `peers`: those `edges_1m` names."""


class CannotExport(StoreError):
    """The place is taken, or a table cannot be read."""


def check_out(out: Path) -> None:
    """Raises CannotExport unless ``out`` is nothing yet, or an empty folder."""
    if out.is_symlink() or out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise CannotExport(f"{out} is there already: name a new file or folder, or remove it.")


def export_window(data_dir: Path, out: Path, window: Window, format: str, tell: Tell) -> dict[str, int]:
    """Write the sealed rows of ``window`` to ``out`` (format of FORMATS); rows per table. Raises CannotExport."""
    check_out(out)
    settings = StoreSettings(data_dir=data_dir)
    if not settings.published.exists():
        raise CannotExport(f"{settings.published} is not there: nothing was sealed in this folder yet.")
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f"{out.name}{UNFINISHED}")
    scratch = out.with_name(f"{out.name}.tmp")
    _remove(unfinished)
    try:
        with _asked(settings, scratch) as (database, cursor):
            write = _write_parquet if format == "parquet" else _write_duckdb
            rows = write(database, cursor, unfinished, window, tell)
        if out.is_dir() and unfinished.is_file():
            out.rmdir()
        os.rename(unfinished, out)
        sync(out.parent)
        return rows
    except OSError as error:
        raise CannotExport(
            f"{error.filename or out}: {error.strerror}. Make room, or name another place."
        ) from error
    except Error as error:
        raise CannotExport(
            f"The rows cannot be read or written: {str(error).splitlines()[0]} Try again; if it stays, "
            "run sidelight store verify."
        ) from error
    finally:
        _remove(unfinished)
        _remove(scratch)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _asked(settings: StoreSettings, scratch: Path) -> Iterator[tuple[Database, Cursor]]:
    database = Database(memory_limit=_MEMORY, threads=settings.threads, temporary=scratch)
    try:
        database.attach(settings.published, "sidelight", read_only=True)
        with contextlib.closing(database.cursor()) as cursor:
            cursor.execute("SET preserve_insertion_order = false")  # else whole tables would wait in memory
            cursor.execute("USE sidelight")
            yield database, cursor
    finally:
        database.close()


def _write_parquet(_: Database, cursor: Cursor, folder: Path, window: Window, tell: Tell) -> dict[str, int]:
    folder.mkdir()

    def write(table: str, rows: str) -> int:
        path = folder / f"{table}.parquet"
        (count,) = one(cursor.execute(sql("export/to_parquet", rows=rows, path=literal(str(path)))))
        sync(path)
        return count

    counts = _write_all(window, tell, write)
    sync(folder)
    return counts


def _write_duckdb(
    database: Database, cursor: Cursor, file: Path, window: Window, tell: Tell
) -> dict[str, int]:
    database.attach(file, "exported")

    def write(table: str, rows: str) -> int:
        (count,) = one(cursor.execute(sql("export/to_table", table=identifier(table), rows=rows)))
        return count

    counts = _write_all(window, tell, write)
    cursor.execute("USE exported")
    cursor.execute(";\n".join(comment_statements(cursor)))
    cursor.execute("USE sidelight")
    cursor.execute("CHECKPOINT exported")
    database.detach("exported")
    sync(file)
    return counts


def _write_all(window: Window, tell: Tell, write: Callable[[str, str], int]) -> dict[str, int]:
    within = {"start": literal(str(window.from_time)), "end": literal(str(window.to_time))}
    counts = {}
    for number, table in enumerate(TABLES):
        tell(number, len(TABLES), f"exporting {table}")
        if table in _TIMES:
            rows = sql("export/window", table=identifier(table), time=identifier(_TIMES[table]), **within)
        else:
            rows = sql("export/peers", **within) if table == "peers" else "FROM workloads"
        counts[table] = write(table, rows)
    return counts
