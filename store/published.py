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
from pathlib import Path

from store.catalogue import VERSION, Segment, utc_now
from store.database import Cursor, Database, Error
from store.descriptions import comment_statements
from store.physical import ROW_TABLES
from store.relations import rows_sql, shown_sql
from store.segments import sync
from store.settings import StoreSettings
from store.statements import in_order, source

log = logging.getLogger(__name__)

_FROM_CATALOGUE = (
    "peers", "activity", "edges_1m", "identity_facts", "stints", "sealed_journals", "delivered", "import_digests"
)  # fmt: skip


def publish(
    database: Database, settings: StoreSettings, segments: list[Segment], step: Callable[[str], None]
) -> None:
    """Build and put in place a new ``sidelight.duckdb`` over ``segments``."""
    folder = settings.temporary / "publish"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    built = folder / settings.published.name
    cursor = database.cursor()
    try:
        database.attach(built, "sidelight")
        try:
            with _using(cursor, "sidelight"):
                _fill(cursor, settings, segments)
        finally:
            database.detach("sidelight")
    finally:
        cursor.close()
    sync(built)
    step("published_built")
    os.rename(built, settings.published)
    sync(settings.data_dir)
    step("published")


@contextlib.contextmanager
def _using(cursor: Cursor, alias: str) -> Iterator[None]:
    cursor.execute(f"USE {alias}")
    try:
        yield
    finally:
        cursor.execute("USE memory")


def _fill(cursor: Cursor, settings: StoreSettings, segments: list[Segment]) -> None:
    cursor.execute("BEGIN TRANSACTION")
    cursor.execute("CREATE TABLE about (key VARCHAR, value VARCHAR)")
    cursor.execute(
        "INSERT INTO about VALUES ('schema_version', ?), ('published_at', ?)", [str(VERSION), f"{utc_now()}Z"]
    )
    for name in _FROM_CATALOGUE:
        cursor.execute(f"CREATE TABLE {name} AS FROM catalogue.{name}")
    cursor.execute("CREATE TABLE instances AS FROM hot.instances")
    cursor.execute("CREATE TABLE resources_stored AS FROM catalogue.resources")
    cursor.execute(f"CREATE VIEW resources AS {shown_sql('resources', 'FROM resources_stored')}")
    for table in ROW_TABLES:
        cursor.execute(f"CREATE TABLE empty_{table} AS FROM hot.empty_{table} LIMIT 0")
        files = [str(settings.data_dir / one.path) for one in segments if one.table == table]
        stored = rows_sql(table, [], files, f"empty_{table}")
        cursor.execute(f"CREATE VIEW {table}_stored AS {stored}")
        cursor.execute(f"CREATE VIEW {table}_raw AS {shown_sql(table, f'FROM {table}_stored')}")
    cursor.execute("COMMIT")
    install_for_users(cursor)


def install_for_users(cursor: Cursor) -> None:
    """Views and macros users meet, over the relations of the current database, and their comments.

    One that cannot be made is left out and logged: the others are of use without it.
    """
    for folder in ("macros", "published"):
        for name in in_order(folder):
            try:
                cursor.execute(source(name))
            except Error as error:
                log.error("%s cannot be installed: %s", name, error)
    for statement in comment_statements(cursor):
        with contextlib.suppress(Error):
            cursor.execute(statement)
