"""Envoy's and Istio's text access logs: lines → fields, without Python per line.

Nothing in these lines is escaped: a user agent, a path or a request id may hold quotes. So the fast
way is only for lines with exactly the quotes, tokens and numbers of a known shape; everything else goes
to `access_log_oddities`, which reads from both ends. What must stay true: a line that the fast way
accepts means the same as it would there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode.access_log_fields import Lines, ParsedLines, Reject, fields_table, join_fields
from collector.decode.access_log_oddities import parse_odd_line

_NUMBERS = ("received", "sent", "duration", "service_time")
_PLACES = ("cluster", "upstream_local", "downstream_local", "downstream_remote", "sni", "route")
_FLAGS = r"^(?:-|[A-Z][A-Z0-9_]*(?:,[A-Z][A-Z0-9_]*)*)?$"
_TIME = r"^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z?\] $"


@dataclass(frozen=True)
class Shape:
    """One format as it looks when split at the quotes; segment 0 is the time, 1 the request line."""

    family: str  # 'istio' | 'envoy'
    quotes: int
    tokens: dict[int, tuple[str, ...]]  # segment → its fields, separated by single blanks
    texts: dict[int, str]  # segment → the field it holds whole
    edges: dict[int, tuple[bool, bool]]  # segment → begins with a blank, ends with one


def _shape(family: str, head: tuple[str, ...], quoted: tuple[str, ...], head_numbers: bool) -> Shape:
    """``head``: tokens after the request line; ``quoted``: texts between them and the counts."""
    tokens: dict[int, tuple[str, ...]] = {2: head + (_NUMBERS if head_numbers else ())}
    texts = {3 + 2 * position: name for position, name in enumerate(quoted)}
    position = 3 + 2 * len(quoted)
    if not head_numbers:
        tokens[position - 1] = _NUMBERS
    for name in ("forwarded_for", "user_agent", "request_id", "authority", "upstream_host"):
        texts[position] = name
        position += 2
    edges = dict.fromkeys(tokens, (True, True))
    if family == "istio":
        tokens[position - 1] = _PLACES
        edges[position - 1] = (True, False)
    return Shape(family, position - 1, tokens, texts, edges)


SHAPES = (
    _shape("istio", ("code", "flags", "details", "termination"), ("failure",), False),
    _shape("istio", ("code", "flags"), ("failure",), False),
    _shape("istio", ("code", "flags"), ("mixer", "failure"), False),
    _shape("envoy", ("code", "flags"), (), True),
    _shape("envoy", ("code", "flags", "details"), (), True),
)

Mask = npt.NDArray[np.bool_]


def parse_text(texts: pa.StringArray, lines: Lines, families: frozenset[str]) -> ParsedLines:
    """Lines of 'istio' and 'envoy' text (``families``: which of them may be), prefixes already taken off."""
    quotes = _quotes(texts)
    left = np.arange(len(texts))
    pieces: list[pa.Table] = []
    for shape in SHAPES:
        if shape.family not in families:
            continue
        chosen = left[quotes[left] == shape.quotes]
        if not len(chosen):
            continue
        columns, fits = _columns(texts.take(pa.array(chosen)), shape)
        if fits.any():
            pieces.append(fields_table(columns, lines[chosen[fits]]))
            left = np.setdiff1d(left, chosen[fits], assume_unique=True)
    odd, rejects = _odd_lines(texts, lines, left, families)
    return ParsedLines(join_fields([*pieces, *odd]), rejects)


def _quotes(texts: pa.StringArray) -> npt.NDArray[np.int64]:
    """How many quotes each line has; Arrow's own count takes three times as long."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset :][: len(texts) + 1]
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[: offsets[-1]]
    return np.diff(np.searchsorted(np.flatnonzero(data == ord('"')), offsets))


def _columns(texts: pa.StringArray, shape: Shape) -> tuple[dict[str, pa.Array], Mask]:
    """The fields of the lines that fit ``shape``, and which do."""
    width = shape.quotes + 1
    segments = pc.split_pattern(texts, '"').flatten()
    fits = _blanks_fit(segments, width, shape)
    taken = {0: 1, 1: 1, **dict.fromkeys(shape.tokens, 1), **dict.fromkeys(shape.texts, 1)}
    parts = {number: _column(segments, number, width) for number in taken}
    fits &= _true(pc.match_substring_regex(parts[0], _TIME))
    lists = {number: pc.split_pattern(parts[number], " ") for number in shape.tokens}
    for number, names in shape.tokens.items():
        wanted = len(names) + sum(shape.edges[number])
        fits &= _true(pc.equal(pc.list_value_length(lists[number]), wanted))
    request, request_fits = _request_line(parts[1])
    fits &= request_fits
    if not fits.any():
        return {}, fits
    keep = None if fits.all() else pa.array(fits)
    columns = {"time": pc.utf8_trim(_kept(parts[0], keep), characters="[] ")}
    columns |= {name: _kept(values, keep) for name, values in request.items()}
    for number, names in shape.tokens.items():
        values = _kept(lists[number], keep).flatten()
        before, after = shape.edges[number]
        step = len(names) + before + after
        for position, name in enumerate(names):
            columns[name] = _column(values, position + before, step)
    columns |= {name: _kept(parts[number], keep) for number, name in shape.texts.items()}
    sound = _tokens_sound(columns)
    if not sound.all():
        columns = {name: values.filter(pa.array(sound)) for name, values in columns.items()}
        fits[np.flatnonzero(fits)[~sound]] = False
    return columns, fits


def _blanks_fit(segments: pa.StringArray, width: int, shape: Shape) -> Mask:
    """Between two quoted fields stands one blank; after the last one of Envoy's format, nothing."""
    offsets = np.frombuffer(segments.buffers()[1], np.int32)[segments.offset :][: len(segments) + 1]
    data = np.frombuffer(segments.buffers()[2] or b"\0", np.uint8)
    sizes = np.diff(offsets).reshape(-1, width)
    starts = offsets[:-1].reshape(-1, width)
    used = {0, 1, *shape.tokens, *shape.texts}
    fits = np.ones(len(sizes), bool)
    for number in range(width):
        if number in used:
            continue
        if number == width - 1:
            fits &= sizes[:, number] == 0
        else:
            blank = data[np.minimum(starts[:, number], len(data) - 1)] == 0x20
            fits &= (sizes[:, number] == 1) & blank
    for number, (before, after) in shape.edges.items():
        first = np.minimum(starts[:, number], len(data) - 1)
        last = np.minimum(starts[:, number] + np.maximum(sizes[:, number], 1) - 1, len(data) - 1)
        fits &= sizes[:, number] > 0
        if before:
            fits &= data[first] == 0x20
        if after:
            fits &= data[last] == 0x20
    return fits


def _request_line(texts: pa.StringArray) -> tuple[dict[str, pa.Array], Mask]:
    """``METHOD PATH PROTOCOL``; the path may hold blanks."""
    front = pc.split_pattern(texts, " ", max_splits=1)
    fits = _true(pc.equal(pc.list_value_length(front), 2))
    if not fits.all():  # keep the positions: what does not fit is dropped later, by its mask
        front = pc.split_pattern(pc.if_else(pa.array(fits), texts, "- - -"), " ", max_splits=1)
    halves = front.flatten()
    method, rest = _column(halves, 0, 2), _column(halves, 1, 2)
    back = pc.split_pattern(rest, " ", max_splits=1, reverse=True)
    two = _true(pc.equal(pc.list_value_length(back), 2))
    if not two.all():
        back = pc.split_pattern(pc.if_else(pa.array(two), rest, "- -"), " ", max_splits=1, reverse=True)
    halves = back.flatten()
    path, protocol = _column(halves, 0, 2), _column(halves, 1, 2)
    known = pc.or_(pc.starts_with(protocol, "HTTP/"), pc.is_in(protocol, pa.array(["-", ""])))
    return {"method": method, "path": path, "protocol": protocol}, fits & two & _true(known)


def _tokens_sound(columns: dict[str, pa.Array]) -> Mask:
    """Whether the numbers are numbers and the flags look like flags."""
    codes = columns["flags"].dictionary_encode()
    like_flags = _true(pc.match_substring_regex(codes.dictionary, _FLAGS))
    sound = like_flags[codes.indices.to_numpy(zero_copy_only=False)]
    for name in ("code", *_NUMBERS):
        values = columns[name]
        number = pc.and_(pc.ascii_is_decimal(values), pc.less(pc.binary_length(values), 19))
        if name == "duration":
            number = pc.or_(number, pc.match_substring_regex(values, r"^-\d{1,18}$"))
        sound &= _true(pc.or_(number, pc.is_in(values, pa.array(["-", ""]))))
    return sound


def _odd_lines(
    texts: pa.StringArray, lines: Lines, chosen: npt.NDArray[np.int64], families: frozenset[str]
) -> tuple[list[pa.Table], list[Reject]]:
    rows: list[dict[str, str | None]] = []
    numbers: list[int] = []
    rejects: list[Reject] = []
    for position, text in zip(chosen.tolist(), texts.take(pa.array(chosen)).to_pylist(), strict=True):
        found = parse_odd_line(text, int(lines[position]), families)
        if isinstance(found, Reject):
            rejects.append(found)
        else:
            rows.append(found)
            numbers.append(int(lines[position]))
    if not rows:
        return [], rejects
    names = {name for row in rows for name in row}
    columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
    return [fields_table(columns, np.array(numbers, np.int64))], rejects


def _column(values: pa.Array, position: int, width: int) -> pa.Array:
    """Every ``width``-th value, beginning at ``position``."""
    return values.take(pa.array(np.arange(position, len(values), width)))


def _kept(values: pa.Array, keep: pa.Array | None) -> pa.Array:
    return values if keep is None else values.filter(keep)


def _true(values: pa.Array) -> Mask:
    return values.to_numpy(zero_copy_only=False).astype(bool)
