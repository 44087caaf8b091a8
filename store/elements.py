"""Which element of the graph an id names: ids of different grains never meet, so asking finds out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from store.asking import ask_rows
from store.query_types import GRAINS, Window


@dataclass(frozen=True)
class Element:
    """An edge or node of the graph at ``grain``. ``is_called``: traffic in the window goes along or into it;
    what is not called is a node that only calls."""

    number: int
    grain: str
    is_called: bool


def find_element(cursor: Any, window: Window, number: int) -> Element | None:
    """The edge or node of this number; None if the window holds none."""
    for grain in GRAINS:
        values = {"from_time": window.from_time, "to_time": window.to_time, "grain": grain, "number": number}
        told = ask_rows(cursor, "element", values)[0]
        if told["is_known"]:
            return Element(number, grain, told["is_called"])
    return None
