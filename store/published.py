"""``sidelight.duckdb``: views, macros, comments and small tables over the sealed segments, for anyone.

What must stay true: the file under its final name is whole and nobody's: it is built beside and
renamed into place, and never opened for writing again. Its views name the segment files by their
absolute paths. A journal file is unlinked only after the file that lists its segments is in place,
so that a reader of both misses and doubles nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path

from store.catalogue import VERSION, Segment, utc_now
from store.database import DUCKDB_VERSION, Cursor, Database, Error, transaction
from store.descriptions import comment_statements
from store.physical import ROLLED_UP, ROLLUPS, ROW_TABLES, STORED
from store.registry import RESOLVED
from store.relations import parquet_sql, rows_sql, shown_sql
from store.segments import sync
from store.settings import StoreSettings
from store.statements import digest_of_all, in_order, source

log = logging.getLogger(__name__)

_FROM_CATALOGUE = (
    "peers", "series", "activity", "merged_minutes", "dropped_minutes", "identity_facts", "stints", "resources_stored",
    "segments", "sealed_journals", "delivered", "import_digests"
)  # fmt: skip


class Publisher:
    """Builds ``sidelight.duckdb`` again and again for one store.

    Tables, views, macros and comments are made once, in a template without rows that outlives the process;
    each publishing copies that file and fills it (binding some forty macros costs more than all their small
    tables' rows). Its name tells what it was made from, so another version makes its own.
    """

    def __init__(self, database: Database, settings: StoreSettings) -> None:
        self._database = database
        self._settings = settings
        self._folder = settings.temporary / "publish"
        self._template = self._folder / f"template-{VERSION}-{DUCKDB_VERSION}-{_made_from()}.duckdb"

    def publish(self, segments: list[Segment], step: Callable[[str], None]) -> None:
        """Put a new ``sidelight.duckdb`` over ``segments`` in place."""
        built = self._folder / self._settings.published.name
        if not self._template.exists():
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True)
            with self._writing(built) as cursor:
                make_relations(cursor)
            sync(built)
            built.rename(self._template)
        # A store that was killed here left its log, which is not this copy's.
        built.with_name(f"{built.name}.wal").unlink(missing_ok=True)
        shutil.copyfile(self._template, built)
        with self._writing(built) as cursor:
            _fill(cursor, self._settings, segments)
        sync(built)
        step("published_built")
        os.rename(built, self._settings.published)
        sync(self._settings.data_dir)
        step("published")

    @contextlib.contextmanager
    def _writing(self, path: Path) -> Iterator[Cursor]:
        with contextlib.closing(self._database.cursor()) as cursor:
            self._database.attach(path, "sidelight")
            try:
                cursor.execute("USE sidelight")
                yield cursor
            finally:
                with contextlib.suppress(Error):  # of a statement that failed in its own transaction
                    cursor.execute("ROLLBACK")
                cursor.execute("USE memory")
                self._database.detach("sidelight")


def _made_from() -> str:
    """Changes with any statement and any stored column."""
    columns = "\0".join(f"{name}\0{STORED[name]}" for name in ROW_TABLES)
    return blake2b(f"{digest_of_all()}\0{columns}".encode(), digest_size=8).hexdigest()


def make_relations(cursor: Cursor) -> None:
    """Every table, view, macro and comment in the cursor's current database, without a row."""
    cursor.execute("BEGIN TRANSACTION")
    cursor.execute("CREATE TABLE about (key VARCHAR, value VARCHAR)")
    for name in _FROM_CATALOGUE:
        cursor.execute(f"CREATE TABLE {name} AS FROM catalogue.{name} LIMIT 0")
    for name in ROLLUPS:
        cursor.execute(f"CREATE TABLE {name}_recent AS FROM catalogue.{name} LIMIT 0")
        cursor.execute(f"CREATE VIEW {name}_stored AS FROM {name}_recent")
        cursor.execute(f"CREATE VIEW {name} AS FROM {name}_stored")
    for name in RESOLVED:
        cursor.execute(f"CREATE TABLE {name} AS FROM hot.{name} LIMIT 0")
    cursor.execute(f"CREATE VIEW resources AS {shown_sql('resources', 'FROM resources_stored')}")
    for table in ROW_TABLES:
        cursor.execute(f"CREATE TABLE empty_{table} AS FROM hot.empty_{table} LIMIT 0")
        cursor.execute(f"CREATE VIEW {table}_stored AS {rows_sql(table, [], [], f'empty_{table}')}")
        cursor.execute(f"CREATE VIEW {table}_raw AS {shown_sql(table, f'FROM {table}_stored')}")
        if table in ROLLED_UP:
            cursor.execute(f"CREATE VIEW {table}_unsealed AS {rows_sql(table, [], [], f'empty_{table}')}")
    cursor.execute("COMMIT")
    install_for_users(cursor)


def _fill(cursor: Cursor, settings: StoreSettings, segments: list[Segment]) -> None:
    cursor.execute("BEGIN TRANSACTION")
    cursor.execute(f"CREATE OR REPLACE MACRO exact_window_s() AS {settings.exact_window_s:f}")
    cursor.execute(
        "INSERT INTO about VALUES ('schema_version', ?), ('published_at', ?)", [str(VERSION), f"{utc_now()}Z"]
    )
    for name in _FROM_CATALOGUE:
        cursor.execute(f"INSERT INTO {name} FROM catalogue.{name}")
    for name in RESOLVED:
        cursor.execute(f"INSERT INTO {name} FROM hot.{name}")
    listed = {
        table: [str(settings.data_dir / one.path) for one in segments if one.table == table]
        for table in (*ROW_TABLES, *ROLLUPS)
    }
    for name in ROLLUPS:
        cursor.execute(f"INSERT INTO {name}_recent FROM catalogue.{name}")
        if files := listed[name]:
            cursor.execute(
                f"CREATE OR REPLACE VIEW {name}_stored AS FROM {name}_recent UNION ALL FROM {parquet_sql(files)}"
            )
    for table in ROW_TABLES:
        if files := listed[table]:
            cursor.execute(f"CREATE OR REPLACE VIEW {table}_stored AS {rows_sql(table, [], files, '')}")
    cursor.execute("COMMIT")


def install_for_users(cursor: Cursor) -> None:
    """Views and macros users meet, over the relations of the current database, and their comments.

    One that cannot be made is left out and logged: the others are of use without it. All in one
    transaction (each statement by itself would be a write and an fsync), begun anew without what failed.
    """
    wanted = [name for folder in ("macros", "published") for name in in_order(folder)]
    while True:
        name = ""
        try:
            with transaction(cursor):
                for name in wanted:
                    cursor.execute(source(name))
            break
        except Error as error:
            log.error("%s cannot be installed: %s", name, error)
            wanted.remove(name)
    with transaction(cursor):
        cursor.execute(";\n".join(comment_statements(cursor)))
