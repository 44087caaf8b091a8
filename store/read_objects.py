"""The macros behind every answer, made once in the server's database: the text is that of `sidelight.duckdb`.

A macro is bound to the relations that exist when it is made and looks their names up again when it is
called. So the macros are made beside empty tables of the relations' names; a reader's temporary views
carry the same names and come first, and the macros answer from them.
"""

from __future__ import annotations

import contextlib
from typing import Any

from store.registry import RESOLVED
from store.statements import identifier, in_order, source

RELATIONS = (
    "observations_raw", "observations_stored", "observations_unsealed", "spans_raw", "spans_stored", "spans_unsealed",
    "metric_points_raw", "edges_1m", "edges_merged", "merged_minutes", "dropped_minutes", "peers", "series",
    "activity", *RESOLVED,
)  # fmt: skip
"""What the macros read."""


def install_macros(store: Any) -> None:
    """Make the macros in ``store.database``; ``store`` also gives ``reader(from, to)``."""
    with store.reader(None, None) as reader:
        shapes = {name: reader.execute(f"describe {identifier(name)}").fetchall() for name in RELATIONS}
    with contextlib.closing(store.database.cursor()) as cursor:
        for name, columns in shapes.items():
            listed = ", ".join(f"{identifier(column[0])} {column[1]}" for column in columns)
            cursor.execute(f"create table if not exists {identifier(name)} ({listed})")
        for name in in_order("macros"):
            cursor.execute(source(name))
