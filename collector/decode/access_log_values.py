"""Text of access-log lines → typed columns: moments, numbers, addresses.

What must stay true: what cannot be read as its type is null (a line's time: a reject), and no value is longer
than the limit.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode import limits
from collector.decode.access_log_fields import Reject, reject
from store.schema import MOMENT

_ADDRESS = r"^(?:\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[[0-9a-fA-F:.%]+\])(?::\d{1,5})?$"
_EPOCH = r"^(?P<seconds>[1-8][0-9]{8,9})\.?(?P<fraction>[0-9]{0,9})$"
_INT32_MAX = 2**31 - 1

Mask = npt.NDArray[np.bool_]


def with_moments(fields: pa.Table) -> tuple[pa.Table, list[Reject], pa.Array]:
    """``fields`` without the lines whose ``time`` cannot be read, those as rejects, and the moments (UTC, µs)."""
    texts = whole(fields["time"])
    if not pa.types.is_string(texts.type):
        texts = texts.cast(pa.string())
    try:
        moments = pc.utf8_rtrim(texts, "Z").cast(MOMENT)
    except pa.ArrowInvalid:
        moments = _epochs(texts)
        left = moments.is_null().to_numpy(zero_copy_only=False)
        said = pa.array([_moment(text) for text in texts.filter(pa.array(left)).to_pylist()], MOMENT)
        moments = pc.replace_with_mask(moments, pa.array(left), said)
    if not moments.null_count:
        return fields, [], moments
    unread = np.flatnonzero(moments.is_null().to_numpy(zero_copy_only=False)).tolist()
    rejects = [reject(fields["line"][at].as_py(), "the time cannot be read", str(texts[at])) for at in unread]
    keep = moments.is_valid()
    return fields.filter(keep), rejects, moments.filter(keep)


def _epochs(texts: pa.Array) -> pa.Array:
    """Seconds since 1970 with or without a fraction, or milli-, micro- or nanoseconds; null for anything else."""
    parts = pc.extract_regex(texts, _EPOCH)
    fraction = pc.utf8_slice_codeunits(pc.utf8_rpad(pc.struct_field(parts, 1), 6, "0"), 0, 6)
    micros = pc.binary_join_element_wise(pc.struct_field(parts, 0), fraction, "")
    return micros.cast(pa.int64()).cast(MOMENT)


def _moment(text: str | None) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromisoformat(text or "")
        if moment.tzinfo is not None:
            moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return moment if 1970 <= moment.year < 2262 else None


def by_value(ask: Callable[[pa.Array], pa.Array], values: pa.Array) -> pa.Array:
    """``ask(values)``, where they are a dictionary asked of each of its values once. ``ask`` must look at one value
    at a time, and answer null for null."""
    if not isinstance(values, pa.DictionaryArray):
        return ask(values)
    return ask(values.dictionary).take(values.indices)


def plain(values: pa.Array) -> pa.Array:
    """Text out of its dictionary."""
    return values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values


def address(values: pa.Array) -> pa.Array:
    """IP:PORT; old ``tcp://IP:PORT`` and a waypoint's ``envoy://NAME/IP:PORT`` too; anything else is null."""
    return by_value(_address, values)


def _address(values: pa.Array) -> pa.Array:
    if mask(pc.match_substring(values, "://")).any():
        values = pc.replace_substring_regex(values, r"^[a-z]+://(?:[^/]*/)?", "")
    good = pc.match_substring_regex(values, _ADDRESS)
    return values if pc.all(good).as_py() else pc.if_else(good, values, pa.scalar(None, pa.string()))


def number(values: pa.Array) -> pa.Array:
    """int64; text that is no number, and numbers beyond it, are null."""
    return by_value(_number, values)


def _number(values: pa.Array) -> pa.Array:
    if pa.types.is_int64(values.type):
        return values
    if pa.types.is_string(values.type):
        try:
            return values.cast(pa.int64())
        except pa.ArrowInvalid:
            like_number = pc.match_substring_regex(values, r"^-?\d{1,15}(?:\.\d{1,9})?$")
            values = pc.if_else(like_number, values, pa.scalar(None, pa.string())).cast(pa.float64())
    in_range = pc.less(pc.abs(values), 2.0**53)
    return pc.if_else(in_range, pc.round(values), pa.scalar(None, pa.float64())).cast(pa.int64())


def non_negative(values: pa.Array) -> pa.Array:
    sound = pc.and_(pc.greater_equal(values, 0), pc.less(values, 2**53))
    return pc.if_else(sound, values, pa.scalar(None, pa.int64()))


def small(values: pa.Array) -> pa.Array:
    sound = pc.and_(pc.greater_equal(values, 0), pc.less(values, _INT32_MAX))
    return pc.if_else(sound, values, pa.scalar(None, pa.int64())).cast(pa.int32())


def typed(values: pa.Array | None, one: pa.Field, count: int) -> pa.Array:
    if values is None:
        return pa.nulls(count, one.type)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if one.type == pa.string():
        is_text = pa.types.is_string(values.type) or pa.types.is_dictionary(values.type)
        return by_value(cut, values if is_text else values.cast(pa.string()))
    return values if values.type == one.type else values.cast(one.type)


def cut(values: pa.Array, limit_bytes: int = limits.TEXT_BYTES) -> pa.Array:
    """Telemetry is written by strangers: no value is longer than the limit."""
    longest = pc.max(pc.binary_length(values)).as_py() or 0
    return values if longest <= limit_bytes else pc.utf8_slice_codeunits(values, 0, limit_bytes // 4)


def whole(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def mask(values: pa.Array) -> Mask:
    return pc.fill_null(values, False).to_numpy(zero_copy_only=False).astype(bool)
