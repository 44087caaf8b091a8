"""Which kind of graph an id comes from: ids of different grains never meet, so asking finds out."""

from __future__ import annotations

from typing import Any

from store.asking import ask_rows
from store.query_types import GRAINS, Window


def find_grain(cursor: Any, window: Window, number: int) -> str | None:
    """The grain at which an edge or node of this number exists in the window; None if at none."""
    for grain in GRAINS:
        values = {"from_time": window.from_time, "to_time": window.to_time, "grain": grain, "number": number}
        if ask_rows(cursor, "grain_known", values)[0]["known"]:
            return grain
    return None
