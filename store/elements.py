"""Which element of the graph an id names: ids of different grains never meet, so asking finds out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from store.asking import ask_rows
from store.metric_facts import has_series
from store.query_types import GRAINS, Window


@dataclass(frozen=True)
class Element:
    """An edge or node of the graph at ``grain``. ``is_called``: traffic in the window goes along or into it;
    what is not called is a node that only calls."""

    number: int
    grain: str
    is_called: bool


def find_element(cursor: Any, window: Window, number: int) -> Element | None:
    """The edge or node of this number, for a cursor whose `ends` are kept; None if the window holds none."""
    questions = ["element", "metric_element"] if has_series(cursor) else ["element"]
    for grain in GRAINS:
        values = {"from_time": window.from_time, "to_time": window.to_time, "grain": grain, "number": number}
        told = [ask_rows(cursor, question, values)[0] for question in questions]
        if any(one["is_known"] for one in told):
            return Element(number, grain, any(one["is_called"] for one in told))
    return None
