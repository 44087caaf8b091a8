"""ztunnel's access logs (Istio ambient), text and JSON: lines → fields, without Python per line.

    TIME⇥LEVEL⇥access⇥connection complete⇥src.addr=IP:PORT src.workload="POD" ... error="..."
    {"level":..,"time":..,"scope":"access","message":"connection complete","src.addr":"IP:PORT",...}

Fields stand in any order, quoted or not, and a version may add some. Only ``error`` holds blanks, so it is taken out
before the rest is split at them. What must stay true: what opened has not ended and is only counted; a line that
does not name both addresses and a direction is refused with its number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode.access_log_fields import Lines, Reject, reject, text_map
from collector.decode.access_log_values import address, mask
from collector.decode.json_objects import EXTRA_KEYS_MAX, Vocabulary, as_text, read_objects
from collector.decode.text import null_if_empty, take

ENDS = tuple(
    f"{side}.{name}"
    for side in ("src", "dst")
    for name in ("addr", "workload", "namespace", "identity", "cluster")
)
TOLD = (*ENDS, "dst.hbone_addr", "dst.service", "direction", "bytes_sent", "bytes_recv", "duration", "error")
FIELDS = ("time", "message", *TOLD)
TEXT_MARK = "\taccess\tconnection "
JSON_MARK = r'"(?:scope|target)"\s*:\s*"access"'
_EITHER_MARK = re.compile(rb'access[\t"]')

_MESSAGES = pa.array(["connection complete", "connection failed"])
_OPENED = "connection opened"
_HEAD = {"time": 0, "scope": 2, "message": 3, "rest": 4}  # between tabs; 1 is the level
_ERROR = r'(?s)^(?P<before>.*?) error="(?P<error>(?:[^"\\]|\\.)*)"(?P<after>(?: .*)?)$'
# Early versions name the time and the scope in JSON as their tracing library does.
_JSON_KEYS = {"time": ("time", "timestamp"), "message": ("message",), **{name: (name,) for name in TOLD}}
_JSON_HEAD = {"level", "scope", "target"}
_NOT_A_LINE = (
    "not a ztunnel access-log line: expected TIME LEVEL access connection complete (or failed, opened) "
    "and fields as src.addr=IP:PORT"
)
_NO_ENDS = "expected src.addr=IP:PORT, dst.addr=IP:PORT and direction=inbound or outbound"
_VOCABULARY = Vocabulary(
    frozenset(key for keys in _JSON_KEYS.values() for key in keys) | _JSON_HEAD,
    frozenset({"bytes_sent", "bytes_recv"}),
    _NOT_A_LINE,
)


@dataclass
class ZtunnelLines:
    """``fields``: a text column for each of FIELDS, ``line``, and ``extra`` (map<string, string>): one row per
    connection that ended; ``opened``: lines of connections that only began."""

    fields: pa.Table
    opened: int = 0
    rejects: list[Reject] = field(default_factory=list)


def is_ztunnel(texts: pa.StringArray) -> npt.NDArray[np.bool_]:
    """Which lines say that they are of ztunnel's access log."""
    if pc.all(pc.starts_with(texts, "[")).as_py():  # Envoy's text, nearly always: not worth a look inside
        return np.zeros(len(texts), bool)
    if _EITHER_MARK.search(memoryview(texts.buffers()[2])) is None:  # an eighth of asking each line
        return np.zeros(len(texts), bool)
    found = mask(pc.match_substring(texts, TEXT_MARK))
    like_json = pc.match_substring(texts, '"access"')
    if pc.any(like_json).as_py():
        found |= mask(pc.and_(pc.match_substring_regex(texts, JSON_MARK), pc.starts_with(texts, "{")))
    return found


def parse_ztunnel(texts: pa.StringArray, lines: Lines) -> ZtunnelLines:
    """Lines of either form, prefixes already taken off."""
    is_json = mask(pc.starts_with(texts, "{"))
    rejects: list[Reject] = []
    pieces: list[pa.Table] = []
    if is_json.any():
        objects, rejects = read_objects(texts.filter(pa.array(is_json)), lines[is_json], _VOCABULARY)
        for piece in objects:
            _keep(_json_columns(piece.columns, len(piece.lines)), piece.texts, piece.lines, pieces, rejects)
    if not is_json.all():
        plain, numbers = texts.filter(pa.array(~is_json)), lines[~is_json]
        parts = pc.split_pattern(plain, "\t", max_splits=4)
        whole = mask(pc.equal(pc.list_value_length(parts), 5))
        if not whole.all():
            _refuse(~whole, plain, numbers, _NOT_A_LINE, rejects)
            parts, plain, numbers = (
                parts.filter(pa.array(whole)),
                plain.filter(pa.array(whole)),
                numbers[whole],
            )
        if len(plain):
            columns, fits = _text_columns(parts)
            if not fits.all():
                _refuse(~fits, plain, numbers, _NOT_A_LINE, rejects)
            keep = pa.array(fits)
            _keep(columns, plain.filter(keep), numbers[fits], pieces, rejects)
    table = pa.concat_tables(pieces).combine_chunks() if pieces else _table({}, np.empty(0, np.int64))
    opened = mask(pc.equal(table["message"], _OPENED))
    rejects.sort(key=lambda one: one.line)
    return ZtunnelLines(table.filter(pa.array(~opened)), int(opened.sum()), rejects)


def _text_columns(parts: pa.ListArray) -> tuple[dict[str, pa.Array], npt.NDArray[np.bool_]]:
    """The fields of the lines that could be split, and which could; five parts each: TIME LEVEL access MESSAGE
    FIELDS."""
    values = parts.flatten()
    head = {name: values.take(pa.array(np.arange(at, len(values), 5))) for name, at in _HEAD.items()}
    fits = mask(pc.equal(head.pop("scope"), "access"))
    rest, errors = _without_error(head.pop("rest"))
    tokens = pc.split_pattern(rest, " ")
    sizes = pc.list_value_length(tokens).to_numpy(zero_copy_only=False)
    rows = np.repeat(np.arange(len(rest)), sizes)
    odd = ~mask(pc.greater(pc.find_substring(tokens.flatten(), "="), 0))
    fits[rows[odd]] = False
    keep = pa.array(fits)
    tokens, sizes = tokens.filter(keep), sizes[fits]
    pairs = pc.split_pattern(tokens.flatten(), "=", max_splits=1).flatten()
    at = np.arange(0, len(pairs), 2)
    keys, told = pairs.take(pa.array(at)), pc.ascii_trim(pairs.take(pa.array(at + 1)), '"')
    columns = {name: column.filter(keep) for name, column in head.items()}
    columns |= _by_key(keys, told, np.repeat(np.arange(len(sizes)), sizes), len(sizes))
    columns["error"] = errors.filter(keep)
    return columns, fits


def _without_error(rest: pa.StringArray) -> tuple[pa.StringArray, pa.StringArray]:
    """The fields without ``error``, and what it says; Rust writes it with escaped quotes."""
    nothing = pa.scalar(None, pa.string())
    has_error = pc.match_substring(rest, ' error="')
    if not pc.any(has_error).as_py():
        return pc.utf8_trim(rest, " "), pa.nulls(len(rest), pa.string())
    found = pc.extract_regex(pc.if_else(has_error, rest, nothing), _ERROR)
    before, error, after = (pc.struct_field(found, name) for name in ("before", "error", "after"))
    error = pc.replace_substring_regex(error, r"\\(.)", r"\1")
    others = pc.coalesce(pc.binary_join_element_wise(before, after, ""), rest)
    return pc.utf8_trim(others, " "), error


def _by_key(
    keys: pa.StringArray, values: pa.StringArray, rows: npt.NDArray[np.int64], count: int
) -> dict[str, pa.Array]:
    """For each known key the value of each row (null: not told; told twice: the last), the others as maps."""
    codes = pc.fill_null(pc.index_in(keys, pa.array(TOLD)), -1).to_numpy(zero_copy_only=False)
    columns: dict[str, pa.Array] = {}
    for code, name in enumerate(TOLD):
        told = np.flatnonzero(codes == code)
        positions = np.full(count, -1)
        positions[rows[told]] = told
        columns[name] = take(values, positions)
    others = np.flatnonzero(codes < 0)
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(np.bincount(rows[others], minlength=count), out=offsets[1:])
    chosen = pa.array(others)
    columns["extra"] = pa.MapArray.from_arrays(pa.array(offsets), keys.take(chosen), values.take(chosen))
    return columns


def _json_columns(objects: dict[str, pa.Array], count: int) -> dict[str, pa.Array]:
    columns: dict[str, pa.Array] = {}
    for name, keys in _JSON_KEYS.items():
        found = [as_text(objects[key]) for key in keys if key in objects]
        if found:
            columns[name] = pc.coalesce(*found)
    others = [name for name in objects if name not in _VOCABULARY.keys][:EXTRA_KEYS_MAX]
    columns["extra"] = text_map({name: as_text(objects[name]) for name in others}, count)
    return columns


def _keep(
    columns: dict[str, pa.Array],
    texts: pa.StringArray,
    lines: Lines,
    pieces: list[pa.Table],
    rejects: list[Reject],
) -> None:
    """Lines that tell the end of a connection, or that one was opened; the others are refused."""
    table = _table(columns, lines)
    opened = mask(pc.equal(table["message"], _OPENED))
    ended = mask(pc.is_in(table["message"], _MESSAGES))
    sound = mask(pc.is_in(table["direction"], pa.array(["inbound", "outbound"])))
    for name in ("src.addr", "dst.addr"):
        sound &= mask(pc.is_valid(address(table[name].combine_chunks())))
    if not (opened | ended).all():
        _refuse(~(opened | ended), texts, lines, _NOT_A_LINE, rejects)
    if not sound[ended].all():
        _refuse(ended & ~sound, texts, lines, _NO_ENDS, rejects)
    pieces.append(table.filter(pa.array(opened | ended & sound)))


def _table(columns: dict[str, pa.Array], lines: Lines) -> pa.Table:
    """All of FIELDS, those without a column null."""
    count = len(lines)
    arrays = [columns.get(name) for name in FIELDS]
    filled = [pa.nulls(count, pa.string()) if one is None else null_if_empty(one) for one in arrays]
    extra = columns.get("extra")
    if extra is None:
        extra = text_map({}, count)
    return pa.table([*filled, pa.array(lines, pa.int64()), extra], names=[*FIELDS, "line", "extra"])


def _refuse(
    wrong: npt.NDArray[np.bool_], texts: pa.StringArray, lines: Lines, reason: str, rejects: list[Reject]
) -> None:
    for at in np.flatnonzero(wrong).tolist():
        rejects.append(reject(lines[at], reason, texts[at].as_py()))
