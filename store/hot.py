"""Hot slices: the rows of journals that are not sealed yet, in memory, one slice per journal file.

What must stay true: a slice's tables hold exactly the kept rows of its journal's frames up to the
offset that was committed with them; a slice that is being read is not dropped under its reader
(``retain`` / ``release``). Not thread-safe by itself: the engine's lock guards it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from store.database import Cursor, Database, arrow_relations
from store.physical import ROW_TABLES
from store.relations import empty_arrow, shown_sql
from store.statements import sql

Span = tuple[datetime | None, datetime | None]


@dataclass
class HotTable:
    """One table of a slice; ``rows`` is 0 until it is created with its first rows."""

    relation: str
    rows: int = 0
    earliest: datetime | None = None
    latest: datetime | None = None

    def widen(self, rows: int, earliest: datetime | None, latest: datetime | None) -> None:
        self.rows += rows
        if earliest is not None and (self.earliest is None or earliest < self.earliest):
            self.earliest = earliest
        if latest is not None and (self.latest is None or latest > self.latest):
            self.latest = latest

    def overlaps(self, from_time: datetime | None, to_time: datetime | None) -> bool:
        return overlaps(self.earliest, self.latest, from_time, to_time)


@dataclass
class Slice:
    """The hot rows of one journal file."""

    journal: str
    number: int
    tables: dict[str, HotTable] = field(default_factory=dict)
    readers: int = 0
    sealed: bool = False

    def relation(self, table: str) -> str:
        """The name of the slice's DuckDB table (also of ``activity``)."""
        return f"hot.slice_{self.number}_{table}"

    def rows(self) -> int:
        return sum(table.rows for name, table in self.tables.items() if name != "activity")


class HotSlices:
    """All slices by journal name, and those that are sealed but still read."""

    def __init__(self) -> None:
        self._slices: dict[str, Slice] = {}
        self._leaving: list[Slice] = []
        self._next_number = 1

    def of_journal(self, journal: str) -> Slice:
        """The journal's slice, made if there is none yet."""
        found = self._slices.get(journal)
        if found is None:
            found = self._slices[journal] = Slice(journal, self._next_number)
            self._next_number += 1
        return found

    def all(self) -> list[Slice]:
        return list(self._slices.values())

    def rows(self) -> int:
        return sum(one.rows() for one in self.all())

    def leave(self, journal: str) -> None:
        """The journal is sealed: no new reader sees its slice; ``droppable`` gives it out when unread."""
        found = self._slices.pop(journal, None)
        if found is not None:
            found.sealed = True
            self._leaving.append(found)

    def retain(self) -> list[Slice]:
        held = self.all()
        for one in held:
            one.readers += 1
        return held

    @staticmethod
    def release(held: list[Slice]) -> None:
        for one in held:
            one.readers -= 1

    def droppable(self) -> list[Slice]:
        """Sealed slices nobody reads any more, each given out once."""
        ready = [one for one in self._leaving if one.readers == 0]
        self._leaving = [one for one in self._leaving if one.readers > 0]
        return ready


def make_hot(database: Database, cursor: Cursor) -> None:
    """Attach the memory that slices lie in, with the catalogue's dictionaries and an empty table of each kind."""
    database.attach(None, "hot")
    cursor.execute(sql("schema/hot", known="catalogue"))
    for table in ROW_TABLES:
        with arrow_relations(cursor, incoming=empty_arrow(table)):
            cursor.execute(f"CREATE TABLE hot.empty_{table} AS FROM incoming")
        shown = shown_sql(table, f"FROM hot.empty_{table}")
        cursor.execute(f"CREATE TABLE hot.empty_{table}_shown AS {shown}")


def drop_slice(cursor: Cursor, slice_: Slice) -> None:
    for table in slice_.tables.values():
        cursor.execute(f"DROP TABLE IF EXISTS {table.relation}")


def overlaps(
    earliest: datetime | None, latest: datetime | None, from_time: datetime | None, to_time: datetime | None
) -> bool:
    """Does [earliest, latest] meet [from_time, to_time)? Unknown ends are open."""
    if latest is not None and from_time is not None and latest < from_time:
        return False
    return not (earliest is not None and to_time is not None and earliest >= to_time)
