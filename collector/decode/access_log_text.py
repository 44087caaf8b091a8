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
import pyarrow.csv

from collector.decode.access_log_fields import (
    CODED,
    OWN_FIELDS,
    Lines,
    ParsedLines,
    Reject,
    fields_table,
    join_fields,
)
from collector.decode.access_log_oddities import parse_odd_line
from collector.decode.access_log_values import Mask, mask, whole
from collector.decode.text import offsets_of

_NUMBERS = ("received", "sent", "duration", "service_time")
_PLACES = ("cluster", "upstream_local", "downstream_local", "downstream_remote", "sni", "route")
_TIME = r"^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z?\]$"
_USUAL_TIME = np.frombuffer(b"[0000-00-00T00:00:00.000Z]", np.uint8)
_COUNT = r"^\d{1,18}$"
_TOKENS = {
    "flags": r"^[A-Z][A-Z0-9_]*(?:,[A-Z][A-Z0-9_]*)*$",
    **dict.fromkeys(("code", *_NUMBERS), _COUNT),
    "duration": r"^-?\d{1,18}$",
}


@dataclass(frozen=True)
class Shape:
    """One format as it looks when split at the quotes; segment 0 is the time, 1 the request line."""

    family: str  # 'istio' | 'envoy'
    quotes: int
    tokens: dict[int, tuple[str, ...]]  # segment → its fields, separated by single blanks
    texts: dict[int, str]  # segment → the field it holds whole

    def names(self) -> list[str]:
        """The fields in their order."""
        inner = (self.tokens.get(number) or (self.texts.get(number),) for number in range(2, self.quotes + 1))
        return ["time", "request", *(name for names in inner for name in names if name)]


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
    if family == "istio":
        tokens[position - 1] = _PLACES
    return Shape(family, position - 1, tokens, texts)


SHAPES = (
    _shape("istio", ("code", "flags", "details", "termination"), ("failure",), False),
    _shape("istio", ("code", "flags"), ("failure",), False),
    _shape("istio", ("code", "flags"), ("mixer", "failure"), False),
    _shape("envoy", ("code", "flags"), (), True),
    _shape("envoy", ("code", "flags", "details"), (), True),
)


def parse_text(texts: pa.StringArray, lines: Lines, families: frozenset[str]) -> ParsedLines:
    """Lines of 'istio' and 'envoy' text (``families``: which of them may be), prefixes already taken off.

    The columns are dictionaries, but for those that differ from line to line: what is asked of an address or a
    cluster later is asked once of each.
    """
    marks = _Quotes.of(texts)
    counts = marks.counts()
    left = np.arange(len(texts))
    pieces: list[pa.Table] = []
    for shape in SHAPES:
        if shape.family not in families:
            continue
        chosen = left[counts[left] == shape.quotes]
        if not len(chosen):
            continue
        columns, read = _columns(texts, chosen, marks, shape)
        if len(read):
            pieces.append(fields_table(columns, lines[read]))
            left = np.setdiff1d(left, read, assume_unique=True)
    odd, rejects = _odd_lines(texts, lines, left, families)
    return ParsedLines(join_fields([*pieces, *odd]), rejects)


@dataclass(frozen=True)
class _Quotes:
    """Where lines and their quotes lie in the bytes."""

    data: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int32]  # of the lines, and behind the last of them its end
    at: npt.NDArray[np.int32]  # the quotes
    blanks: npt.NDArray[np.uint8]  # from each quote to the next
    first: npt.NDArray[np.int64]  # of each line: its first one's place in ``at``
    broken: npt.NDArray[np.int64]  # lines with a newline within: a container's JSON may hold one

    @classmethod
    def of(cls, texts: pa.StringArray) -> _Quotes:
        starts = offsets_of(texts)
        data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[: starts[-1]]
        is_one = np.empty(len(data), bool)  # of a kind of byte, and then of another
        at = np.flatnonzero(np.equal(data, ord('"'), out=is_one)).astype(np.int32)
        at = at[np.searchsorted(at, starts[0]) :]
        blanks = np.equal(data, ord(" "), out=is_one).view(np.uint8)
        blanks = np.add.reduceat(blanks, at, dtype=np.uint8) if len(at) else np.empty(0, np.uint8)
        control = np.flatnonzero(np.less(data, ord(" "), out=is_one))
        newlines = control[np.isin(data[control], (ord("\n"), ord("\r")))]
        broken = np.searchsorted(starts, newlines, side="right") - 1
        return cls(data, starts, at, blanks, np.searchsorted(at, starts), broken)

    def counts(self) -> npt.NDArray[np.int64]:
        return np.diff(self.first)

    def stand_right(self, chosen: npt.NDArray[np.int64], shape: Shape) -> Mask:
        """Whether lines that have the shape's number of quotes have them where it has: each opens after a blank
        and closes before one, with the right number of blanks from one quoted field to the next."""
        places = self.first[chosen][:, None] + np.arange(shape.quotes)
        at, blanks = self.at[places], self.blanks[places]
        opens, closes, ends = at[:, ::2], at[:, 1::2], self.starts[chosen + 1]
        fits = (opens[:, 0] > self.starts[chosen]) & (self.data[opens - 1] == ord(" ")).all(axis=1)
        fits &= (self.data[closes[:, :-1] + 1] == ord(" ")).all(axis=1)
        after = closes[:, -1] + 1
        if shape.quotes in shape.tokens:
            fits &= (after < ends) & (self.data[np.minimum(after, len(self.data) - 1)] == ord(" "))
        else:
            fits &= after == ends
        for number in range(2, shape.quotes, 2):
            fits &= blanks[:, number - 1] == len(shape.tokens.get(number, ())) + 1
        return fits & ~np.isin(chosen, self.broken) if len(self.broken) else fits


def _columns(
    texts: pa.StringArray, chosen: npt.NDArray[np.int64], marks: _Quotes, shape: Shape
) -> tuple[dict[str, pa.Array], npt.NDArray[np.int64]]:
    """The fields of those of the ``chosen`` lines that are of ``shape``, and which lines these are."""
    fits = marks.stand_right(chosen, shape)
    chosen = chosen[fits]
    if not len(chosen):
        return {}, chosen
    table, skipped = _read_blank_separated(texts.take(pa.array(chosen)), shape.names())
    chosen = np.delete(chosen, skipped)
    if not len(chosen):
        return {}, chosen
    columns = {name: whole(table[name]) for name in table.column_names}
    # Nothing but the time stands before the first quote: the other fields are where the quotes say.
    time = columns.pop("time")
    fits = marks.at[marks.first[chosen]] - marks.starts[chosen] == np.diff(offsets_of(time)) + 1
    fits &= _are_times(time)
    request, request_fits = _request_line(pc.fill_null(columns.pop("request"), ""))
    fits &= request_fits & _tokens_sound(columns)
    columns |= request | {"time": time}
    if not fits.all():
        chosen, keep = chosen[fits], pa.array(fits)
        columns = {name: values.filter(keep) for name, values in columns.items()}
    columns["time"] = pc.utf8_slice_codeunits(columns["time"], 1, -1)
    return columns, chosen


def _read_blank_separated(texts: pa.StringArray, names: list[str]) -> tuple[pa.Table, list[int]]:
    """The lines as ``names``, "-" and "" as null, and the positions of those that do not have so many fields."""
    body = pc.binary_join(pa.ListArray.from_arrays([0, len(texts)], texts), "\n")[0].as_buffer()
    skipped: list[int] = []

    def skip(row: pa.csv.InvalidRow) -> str:
        skipped.append(row.number - 1)
        return "skip"

    table = pa.csv.read_csv(
        pa.BufferReader(body),
        pa.csv.ReadOptions(use_threads=False, block_size=body.size + 1, column_names=names),
        pa.csv.ParseOptions(
            delimiter=" ", double_quote=False, ignore_empty_lines=False, invalid_row_handler=skip
        ),
        pa.csv.ConvertOptions(
            check_utf8=False,  # the lines are valid
            column_types={name: pa.string() if name in OWN_FIELDS else CODED for name in names},
            null_values=["-", ""],
            strings_can_be_null=True,
        ),
    )
    return table, skipped


def _are_times(texts: pa.StringArray) -> Mask:
    offsets = offsets_of(texts)
    width = offsets[1] - offsets[0]
    if width == len(_USUAL_TIME) and (np.diff(offsets) == width).all():
        bytes_of = np.frombuffer(texts.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].reshape(-1, width)
        # Where the usual time has a digit any digit may stand.
        usual = np.where((bytes_of >= ord("0")) & (bytes_of <= ord("9")), ord("0"), bytes_of) == _USUAL_TIME
        if usual.all():
            return np.ones(len(texts), bool)
    return mask(pc.match_substring_regex(texts, _TIME))


def _request_line(texts: pa.StringArray) -> tuple[dict[str, pa.Array], Mask]:
    """``METHOD PATH PROTOCOL``; the path may hold blanks."""
    front = pc.split_pattern(texts, " ", max_splits=1)
    fits = mask(pc.equal(pc.list_value_length(front), 2))
    if not fits.all():  # keep the positions: what does not fit is dropped later, by its mask
        front = pc.split_pattern(pc.if_else(pa.array(fits), texts, "- - -"), " ", max_splits=1)
    halves = front.flatten()
    method, rest = _column(halves, 0, 2), _column(halves, 1, 2)
    back = pc.split_pattern(rest, " ", max_splits=1, reverse=True)
    two = mask(pc.equal(pc.list_value_length(back), 2))
    if not two.all():
        back = pc.split_pattern(pc.if_else(pa.array(two), rest, "- -"), " ", max_splits=1, reverse=True)
    halves = back.flatten()
    path, protocol = _column(halves, 0, 2), _column(halves, 1, 2)
    known = pc.or_(pc.starts_with(protocol, "HTTP/"), pc.is_in(protocol, pa.array(["-", ""])))
    return {"method": method, "path": path, "protocol": protocol}, fits & two & mask(known)


def _tokens_sound(columns: dict[str, pa.Array]) -> Mask:
    """Whether the numbers are numbers and the flags look like flags; null is both."""
    sound = np.ones(len(columns["flags"]), bool)
    for name, pattern in _TOKENS.items():
        values = columns[name]
        unlike = pc.invert(pc.match_substring_regex(values.dictionary, pattern))
        if pc.any(unlike).as_py():
            sound &= ~mask(unlike.take(values.indices))
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
    table = fields_table(columns, np.array(numbers, np.int64))
    for name in names - OWN_FIELDS:
        table = table.set_column(table.column_names.index(name), name, table[name].cast(CODED))
    return [table], rejects


def _column(values: pa.Array, position: int, width: int) -> pa.Array:
    """Every ``width``-th value, beginning at ``position``."""
    return values.take(pa.array(np.arange(position, len(values), width)))
