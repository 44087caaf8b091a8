"""Which kind of graph an id comes from: ids of different grains never meet, so asking finds out."""

from __future__ import annotations

from typing import Any

from store.asking import ask_rows
from store.metric_facts import has_series
from store.query_types import GRAINS, Window


def find_grain(cursor: Any, window: Window, number: int) -> str | None:
    """The grain at which an edge or node of this number exists in the window; None if at none."""
    questions = ["grain_known", "metric_grain_known"] if has_series(cursor) else ["grain_known"]
    for grain in GRAINS:
        for question in questions:
            values = {"from_time": window.from_time, "to_time": window.to_time, "grain": grain}
            if ask_rows(cursor, question, values | {"number": number})[0]["known"]:
                return grain
    return None
