"""An Arrow table as JSON, CSV, Arrow IPC or Parquet bytes. Pure.

What must stay true: times are RFC 3339 in UTC, null stays null, a number that JSON cannot hold is null.
"""

from __future__ import annotations

import csv
import io
import json
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq


def encode(table: pa.Table, format: str) -> bytes:
    """``format``: 'json' (a list of objects), 'csv' (with a header row), 'arrow' (IPC stream), 'parquet'."""
    return {"json": _json, "csv": _csv, "arrow": _arrow, "parquet": _parquet}[format](table)


def _json(table: pa.Table) -> bytes:
    rows = [dict(zip(table.column_names, row, strict=True)) for row in _rows(table)]
    return json.dumps(rows, ensure_ascii=False, allow_nan=False).encode()


def _csv(table: pa.Table) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.column_names)
    for row in _rows(table):
        writer.writerow(["" if value is None else _cell(value) for value in row])
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _rows(table: pa.Table) -> list[tuple[Any, ...]]:
    columns = [[plain(value) for value in column.to_pylist()] for column in table.columns]
    return list(zip(*columns, strict=True)) if columns else []


def plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case datetime():
            text = value.isoformat()
            return text.replace("+00:00", "Z") if value.tzinfo else text + "Z"
        case date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case UUID():
            return str(value)
        case bytes():
            return value.hex()
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list():
            if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
                return {str(key): plain(item) for key, item in value}  # a map, as Arrow gives it
            return [plain(item) for item in value]
        case tuple():
            return [plain(item) for item in value]
        case _:
            return str(value)


def _arrow(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()
