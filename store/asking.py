"""How questions are put: statements of `store/sql/ask` with bound values, answers as Arrow or rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from store.database import to_arrow
from store.statements import source

Row = dict[str, Any]


def ask_table(cursor: Any, name: str, values: Mapping[str, Any]) -> pa.Table:
    """The answer of ``store/sql/ask/NAME.sql``."""
    return to_arrow(cursor.execute(source(f"ask/{name}"), dict(values)))


def ask_rows(cursor: Any, name: str, values: Mapping[str, Any]) -> list[Row]:
    """The same as one mapping a row, made column by column (rows of Arrow are slow to walk)."""
    columns = ask_table(cursor, name, values).to_pydict()
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
