"""Which series a metric's point belongs to, and what new series say: the loader's part of metric edges.

What must stay true: per point only what is cheap (one hash); labels are taken apart once per series
(``series``, see ``load/new_series.sql``). Increments are made when read, from the points as they were
reported, so that no state has to survive anything.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from store.database import Cursor, arrow_relations, one, to_arrow
from store.physical import WIRE
from store.statements import sql

_TOLD = WIRE["identities"].remove(WIRE["identities"].get_field_index("export"))


def add_series_keys(cursor: Cursor, points: pa.Table) -> tuple[pa.Table, pa.Table]:
    """``points`` with `series_key`, and what their labels teach the registry (`identities` without export)."""
    with arrow_relations(cursor, incoming=points):
        keys = to_arrow(cursor.execute(sql("load/series_keys")))
    keyed = points.append_column("series_key", keys["series_key"])
    told = _TOLD.empty_table()
    with arrow_relations(cursor, incoming=keyed):
        unknown = one(cursor.execute(sql("load/unknown_series", series="hot.series")))[0]
        if unknown:
            new = to_arrow(cursor.execute(_new_series("hot.series", "incoming", "hot.resources")))
            with arrow_relations(cursor, new_series=new):
                cursor.execute("INSERT INTO hot.series FROM new_series")
                moment = pc.max(points["time"]).as_py()
                told = to_arrow(cursor.execute(sql("load/series_identities"), {"moment": moment}))
    return keyed, told.cast(_TOLD)


def count_again(cursor: Cursor, stored: str) -> None:
    """The series of an adopted segment's points, from the relation ``stored`` into the catalogue."""
    new = _new_series("catalogue.series", stored, "catalogue.resources_stored")
    cursor.execute(f"INSERT INTO catalogue.series {new}")


def _new_series(series: str, rows: str, resources: str) -> str:
    return sql("load/new_series", series=series, rows=rows, resources=resources)
