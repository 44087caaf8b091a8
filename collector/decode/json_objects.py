"""Lines that are JSON objects → columns by key, many lines at once.

A chunk is read at once with types taken from its first lines. Where that fails (a broken line, a number
where others have text) the chunk is halved until the trouble is alone; only what is left then is read
line by line. What must stay true: one line is one object, whatever it holds, and a broken line costs its
neighbours nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from collector.decode.access_log_fields import Lines, Reject, reject

EXTRA_KEYS_MAX = 128
_ALONE = 16  # lines read one by one once halving has come down to this
_LOOKED_AT = 8  # lines whose types are taken for the chunk's


@dataclass(frozen=True)
class Vocabulary:
    """The keys a form is known by, those of them that are numbers, and what a line is not that is no object."""

    keys: frozenset[str]
    numbers: frozenset[str]
    not_a_line: str


@dataclass(frozen=True)
class Objects:
    """Objects of one form: for each key its values, null where an object has it not; ``texts`` and ``lines`` are
    theirs."""

    columns: dict[str, pa.Array]
    texts: pa.StringArray
    lines: Lines


def read_objects(
    texts: pa.StringArray, lines: Lines, vocabulary: Vocabulary
) -> tuple[list[Objects], list[Reject]]:
    """Lines that begin with ``{``."""
    reading = _Reading(vocabulary)
    is_whole = pc.and_(pc.starts_with(texts, "{"), pc.ends_with(texts, "}"))
    if not pc.all(is_whole).as_py():
        keep = is_whole.to_numpy(zero_copy_only=False)
        torn = np.flatnonzero(~keep)
        reading.one_by_one(texts.take(pa.array(torn)), lines[torn])
        texts, lines = texts.filter(is_whole), lines[keep]
    reading.read(texts, lines)
    return reading.pieces, reading.rejects


class _Reading:
    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.pieces: list[Objects] = []
        self.rejects: list[Reject] = []

    def read(self, texts: pa.StringArray, lines: Lines) -> None:
        if not len(texts):
            return
        if len(texts) <= _ALONE:
            self.one_by_one(texts, lines)
            return
        table = self._read_whole(texts)
        if table is None:
            half = len(texts) // 2
            self.read(texts[:half], lines[:half])
            self.read(texts[half:], lines[half:])
            return
        columns = {name: table[name].combine_chunks() for name in table.column_names}
        self.pieces.append(Objects(columns, texts, lines))

    def one_by_one(self, texts: pa.StringArray, lines: Lines) -> None:
        records: list[dict[str, Any]] = []
        kept: list[int] = []
        for position, text in enumerate(texts.to_pylist()):
            record, reason = load_object(text, self._vocabulary.not_a_line)
            if reason:
                self.rejects.append(reject(lines[position], reason, text))
            else:
                records.append(record)
                kept.append(position)
        if not records:
            return
        names = list(dict.fromkeys(key for record in records for key in record))
        columns = {name: pa.array([_text(one.get(name)) for one in records], pa.string()) for name in names}
        self.pieces.append(Objects(columns, texts.take(pa.array(kept)), lines[kept]))

    def _read_whole(self, texts: pa.StringArray) -> pa.Table | None:
        """All lines at once, or None if they are not all of one form."""
        body = pc.binary_join(pa.ListArray.from_arrays([0, len(texts)], texts), "\n")[0].as_buffer()
        read = pa.json.ReadOptions(use_threads=False, block_size=len(body) + 64)
        parse = pa.json.ParseOptions(explicit_schema=self._schema(texts[:_LOOKED_AT].to_pylist()))
        try:
            table = pa.json.read_json(pa.BufferReader(body), read, parse)
        except (pa.ArrowException, OverflowError):
            return None
        fits = (
            table.num_rows == len(texts) and table.num_columns <= len(self._vocabulary.keys) + EXTRA_KEYS_MAX
        )
        return table if fits else None

    def _schema(self, samples: list[str]) -> pa.Schema:
        """Types of the known keys as the first lines have them; a number without a value there may be either."""
        types: dict[str, pa.DataType] = {}
        found = (load_object(sample, "")[0] for sample in samples)
        for key, value in ((key, value) for record in found for key, value in record.items()):
            if key not in self._vocabulary.keys or isinstance(value, bool | dict | list):
                continue
            if isinstance(value, int | float):
                types[key] = pa.int64() if isinstance(value, int) else pa.float64()
            elif value is not None or key not in self._vocabulary.numbers:
                types.setdefault(key, pa.string())
        return pa.schema(list(types.items()))


def load_object(text: str, not_a_line: str) -> tuple[dict[str, Any], str]:
    """The object, or why it is none."""
    try:
        record = json.loads(text)
        if "\\ud" in text or "\\uD" in text:  # half a surrogate pair has no UTF-8, in keys as in values
            whole = json.dumps(record, ensure_ascii=False).encode("utf-16", "surrogatepass")
            record = json.loads(whole.decode("utf-16", "replace"))
    except (ValueError, RecursionError) as error:
        return {}, f"not JSON: {error}"
    return (record, "") if isinstance(record, dict) else ({}, not_a_line)


def scalar(values: pa.Array) -> pa.Array:
    """Text and numbers as they are; anything else as text."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_int64(kind) or pa.types.is_float64(kind):
        return values
    return as_text(values)


def as_text(values: pa.Array) -> pa.Array:
    """Values of any type as text, nested ones as JSON."""
    kind = values.type
    if pa.types.is_string(kind):
        return values
    if pa.types.is_nested(kind) or pa.types.is_temporal(kind):
        return pa.array([_text(_plain(value)) for value in values.to_pylist()], pa.string())
    return values.cast(pa.string())


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False)
    return value


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return str(value)
