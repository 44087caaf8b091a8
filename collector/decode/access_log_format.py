"""A user's own Envoy format string → one regular expression → fields (`--format-string`).

Each operator (``%DURATION%``, ``%REQ(X?Y):Z%``) is a group; what no field is made of becomes an attribute
named after its operator. What must stay true: lines are matched whole by RE2 in one vectorised call (its
time is linear in the line), and a format that cannot give a request's start and code is refused with the
operator that is missing. Operators: Envoy's substitution_formatter.rst.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import chain, repeat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode.access_log_fields import (
    FIELDS,
    TIMES_MS,
    TIMES_US,
    Lines,
    ParsedLines,
    Reject,
    fields_table,
    join_fields,
    reject,
    text_map,
)
from collector.decode.access_log_operators import OPERATOR, name_of
from collector.decode.access_log_template import BadTemplate, Path, template_leaves, values_at
from collector.decode.json_objects import EXTRA_KEYS_MAX, Vocabulary, as_text, read_objects
from store.schema import MOMENT

_UNFIT = "the line does not fit --format-string"
_LENGTH_MAX = 16_384
_EXPLAINED_MAX = 20  # of a chunk's lines that do not fit
_SHOWN_MAX = 80
_OPERATORS_MAX = 100

_STARTS = ("START_TIME", "START_TIME_LOCAL")
_NUMBERS = (
    "code",
    "received",
    "sent",
    "duration",
    "service_time",
    "attempts",
    "duration_us",
    *TIMES_US,
    *TIMES_MS,
)
_TIME_PARTS = {
    "Y": ("year", r"\d{4}"), "m": ("month", r"\d\d"), "d": ("day", r"\d\d"), "H": ("hour", r"\d\d"),
    "M": ("minute", r"\d\d"), "S": ("second", r"\d\d"), "f": ("fraction", r"\d{1,9}"),
    "z": ("zone", r"(?:Z|[+-]\d\d:?\d\d)"),
    "s": ("epoch", r"\d{1,10}"), "b": ("month", "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"),
    **{f"{digits}f": ("fraction", rf"\d{{{digits}}}") for digits in range(1, 10)},
}  # fmt: skip
_MONTHS = pa.array(["", *_TIME_PARTS["b"][1].split("|")])
_TIME_SHORT = {"F": "%Y-%m-%d", "T": "%H:%M:%S", "Ez": "%z"}
_TIME_SHORT |= {f"E{digits}S": f"%S.%{digits}f" for digits in range(1, 10)}
_LOCAL_DEFAULT = "%Y-%m-%dT%H:%M:%S.%3f%z"


class BadFormat(ValueError):
    """A sentence: what in the format string cannot be read, and where."""


@dataclass(frozen=True)
class LineFormat:
    """``pattern``: RE2 with a group ``gN`` per operator; ``names``: the field or attribute of each group;
    ``time``: the groups of the start's parts. Of a JSON format ``keys`` are where each group stands, and the
    pattern is of the start alone, which stands at ``keys['time']``."""

    text: str
    pattern: str
    names: dict[str, str]
    time: dict[str, str]
    keys: dict[str, Path] = field(default_factory=dict)
    # The pattern in pieces, and for each operator how many of them reach to its end. With the text that follows it
    # (an operator may stand for nothing) they tell where a line breaks.
    pieces: tuple[str, ...] = ()
    ends: tuple[tuple[str, int], ...] = ()

    def breaks_at_once(self, told: Reject) -> bool:
        """Whether a line was refused for its first operator."""
        return bool(self.ends) and told.reason == _expected(self.ends[0][0])


def compile_format(text: str) -> LineFormat:
    """Raises BadFormat."""
    if len(text) > _LENGTH_MAX:
        raise BadFormat(f"The format string has {len(text)} characters, at most {_LENGTH_MAX} are read.")
    if text.lstrip().startswith("{"):
        return _compile_json(text)
    text = text.removesuffix("\n").removesuffix("\\n")
    for written, meant in (("\\t", "\t"), ('\\"', '"')):  # as a quoted YAML or JSON text has them
        text = text.replace(written, meant)
    if "\n" in text or "\\n" in text:
        raise BadFormat(
            "The format string has a newline within it: only one line for each request can be read."
        )
    pieces = ["^"]
    names: dict[str, str] = {}
    time: dict[str, str] = {}
    ends: list[tuple[str, int]] = []
    position = 0
    while position < len(text):
        at = text.find("%", position)
        if at < 0:
            pieces.append(re.escape(text[position:]))
            break
        pieces.append(re.escape(text[position:at]))
        if text.startswith("%%", at):
            pieces.append("%")
            position = at + 2
            continue
        found = OPERATOR.match(text, at)
        if found is None:
            raise BadFormat(
                f"At character {at + 1}: {text[at : at + 40]!r} is no operator; %NAME% or %NAME(X)% is."
            )
        if len(names) >= _OPERATORS_MAX:
            raise BadFormat(f"The format string has more than {_OPERATORS_MAX} operators.")
        position = found.end()
        group = f"g{len(names) + len(time)}"
        if found["name"] in _STARTS and not time:
            pieces.append(_time_pattern(found["name"], found["argument"], time, at))
            ends.append((found[0], len(pieces)))
            continue
        name = name_of(found["name"], found["argument"])
        names[group] = name
        pieces.append(
            f"(?P<{group}>{_value_pattern(name, text[at - 1 : at], text[position : position + 1])})"
        )
        ends.append((found[0], len(pieces)))
    _require(time, names)
    pattern = "".join([*pieces, "$"])
    return LineFormat(text, pattern, names, time, pieces=tuple(pieces), ends=tuple(ends))


def _compile_json(text: str) -> LineFormat:
    """A key whose text is one operator is that operator's field; of any other text an attribute under its keys."""
    try:
        leaves = template_leaves(text)
    except BadTemplate as error:
        raise BadFormat(str(error)) from error
    if len(leaves) > _OPERATORS_MAX:
        raise BadFormat(f"The format string has more than {_OPERATORS_MAX} operators.")
    names: dict[str, str] = {}
    time: dict[str, str] = {}
    keys: dict[str, Path] = {}
    pattern = ""
    for path, written in leaves:
        found = OPERATOR.fullmatch(written)
        if found and found["name"] in _STARTS and not time:
            pattern = f"^{_time_pattern(found['name'], found['argument'], time, text.find(written))}$"
            keys["time"] = path
            continue
        name = name_of(found["name"], found["argument"]) if found else ""
        group = f"g{len(names)}"
        names[group] = name if name in FIELDS else ".".join(path)
        keys[group] = path
    _require(time, names)
    return LineFormat(text, pattern, names, time, keys)


def _require(time: dict[str, str], names: dict[str, str]) -> None:
    """Raises BadFormat where a request would have no start or no code."""
    if not time:
        raise BadFormat(
            "There is no %START_TIME% in the format string: without it a request has no place in time."
        )
    if "code" not in names.values():
        raise BadFormat(
            "There is no %RESPONSE_CODE% in the format string: without it success cannot be told."
        )


def parse_lines(texts: pa.StringArray, lines: Lines, form: LineFormat) -> ParsedLines:
    """Lines (prefixes taken off) by the user's own format; those that do not fit it are rejected."""
    if form.keys:
        return _parse_json_lines(texts, lines, form)
    found, fits = _matched(texts, form)
    unfit = np.flatnonzero(~fits)
    reasons = _why_not(texts.take(pa.array(unfit[:_EXPLAINED_MAX])), form)
    rejects = [
        reject(lines[at], reason, texts[at].as_py())
        for at, reason in zip(unfit.tolist(), chain(reasons, repeat(_UNFIT)), strict=False)
    ]
    return ParsedLines(_fields(found, form, lines[fits], {}), rejects)


def _parse_json_lines(texts: pa.StringArray, lines: Lines, form: LineFormat) -> ParsedLines:
    top = {path[0]: group for group, path in form.keys.items() if len(path) == 1}
    numbers = frozenset(key for key, group in top.items() if form.names.get(group) in _NUMBERS)
    pieces, rejects = read_objects(texts, lines, Vocabulary(frozenset(top), numbers, _UNFIT))
    known = {path[0] for path in form.keys.values()}
    nowhere = f"{_UNFIT}: no start time as it has it under {'.'.join(form.keys['time'])[:_SHOWN_MAX]!r}"
    tables = []
    for piece in pieces:
        found, fits = _matched(values_at(piece, form.keys["time"]), form)
        for at in np.flatnonzero(~fits).tolist():
            rejects.append(reject(piece.lines[at], nowhere, piece.texts[at].as_py()))
        keep = pa.array(fits)
        groups = {
            group: values_at(piece, path).filter(keep) for group, path in form.keys.items() if group != "time"
        }
        others = {
            key: _said(as_text(values.filter(keep)))
            for key, values in list(piece.columns.items())[: len(known) + EXTRA_KEYS_MAX]
            if key not in known
        }
        tables.append(_fields(found | groups, form, piece.lines[fits], others))
    return ParsedLines(join_fields(tables), sorted(rejects, key=lambda one: one.line))


def _matched(texts: pa.StringArray, form: LineFormat) -> tuple[dict[str, pa.Array], np.ndarray]:
    """The pattern's groups of the texts that fit it, and which do."""
    found = pc.extract_regex(texts, form.pattern)
    fits = found.is_valid().to_numpy(zero_copy_only=False)
    if not fits.all():
        found = found.filter(pa.array(fits))
    return {one.name: pc.struct_field(found, index) for index, one in enumerate(found.type)}, fits


def _expected(operator: str) -> str:
    return f"{_UNFIT}: expected {operator[:_SHOWN_MAX]} after what comes before it there"


def _why_not(texts: pa.StringArray, form: LineFormat) -> list[str]:
    """For lines that do not fit: the first operator that they have no place for."""
    reasons = [f"{_UNFIT}: there is more after its end"] * len(texts)
    left = np.arange(len(texts))
    for operator, pieces in form.ends:
        if not len(left):
            break
        fits = pc.match_substring_regex(texts.take(pa.array(left)), "".join(form.pieces[: pieces + 1]))
        reached = fits.to_numpy(zero_copy_only=False)
        for at in left[~reached].tolist():
            reasons[at] = _expected(operator)
        left = left[reached]
    return reasons


def _fields(
    groups: dict[str, pa.Array], form: LineFormat, lines: Lines, extra: dict[str, pa.Array]
) -> pa.Table:
    fields: dict[str, pa.Array] = {"time": _start(groups, form.time, len(lines))}
    for group, name in form.names.items():
        into = fields if name in FIELDS else extra
        said = _said(groups[group])
        into[name] = pc.coalesce(into[name], said) if name in into else said
    return fields_table(fields, lines, text_map(extra, len(lines)) if extra else None)


def _said(values: pa.StringArray) -> pa.StringArray:
    nothing = pc.or_(pc.equal(values, "-"), pc.equal(values, ""))
    return pc.if_else(nothing, pa.scalar(None, pa.string()), values)


def _value_pattern(name: str, before: str, after: str) -> str:
    if name in _NUMBERS:
        return r"-?\d{1,18}|-|"
    if name == "flags":
        return r"[A-Z0-9_,]+|-|"
    # Nothing is escaped in these lines: only what is followed by a blank can be known to hold none.
    return r"\S*?" if after == " " and before != '"' and name != "termination" else ".*?"


def _time_pattern(operator: str, argument: str | None, time: dict[str, str], at: int) -> str:
    """The start's expression; fills ``time`` with the group of each part."""
    if operator == "START_TIME_LOCAL":
        argument = argument or _LOCAL_DEFAULT
    if not argument:
        time["iso"] = "t_iso"
        return r"(?P<t_iso>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z?)"
    for short, long in _TIME_SHORT.items():
        argument = argument.replace(f"%{short}", long)
    pieces: list[str] = []
    position = 0
    for found in re.finditer(r"%(\d?[A-Za-z])", argument):
        part = _TIME_PARTS.get(found[1])
        if part is None:
            raise BadFormat(
                f"At character {at + 1}: %{found[1]} in START_TIME is not read; "
                f"these are: {' '.join('%' + key for key in (*_TIME_PARTS, *_TIME_SHORT))}."
            )
        name, pattern = part
        pieces.append(re.escape(argument[position : found.start()]))
        position = found.end()
        if name in time:
            pieces.append(pattern)
            continue
        time[name] = f"t_{name}"
        pieces.append(f"(?P<t_{name}>{pattern})")
    pieces.append(re.escape(argument[position:]))
    if "epoch" not in time and not {"year", "month", "day", "hour", "minute", "second"} <= time.keys():
        raise BadFormat(f"At character {at + 1}: START_TIME needs %s, or date and time to the second.")
    if operator == "START_TIME_LOCAL" and not {"epoch", "zone"} & time.keys():
        raise BadFormat(f"At character {at + 1}: START_TIME_LOCAL needs %z, its zone is not known here.")
    return "".join(pieces)


def _start(groups: dict[str, pa.Array], time: dict[str, str], count: int) -> pa.StringArray:
    """The start as ISO text, which `access_log_rows` reads."""
    if "iso" in time:
        return groups[time["iso"]]

    def part(name: str, absent: str) -> pa.Array:
        return groups[time[name]] if name in time else pa.repeat(absent, count)

    fraction = pc.utf8_slice_codeunits(part("fraction", "0"), 0, 6)
    if "epoch" in time:
        seconds = groups[time["epoch"]].cast(pa.int64()).cast(pa.timestamp("s")).cast(pa.string())
        return pc.binary_join_element_wise(seconds, fraction, ".")
    month = part("month", "")
    named = pc.index_in(month, _MONTHS)
    month = pc.coalesce(pc.utf8_lpad(named.cast(pa.string()), 2, "0"), month)
    date = pc.binary_join_element_wise(part("year", ""), month, part("day", ""), "-")
    clock = pc.binary_join_element_wise(part("hour", ""), part("minute", ""), part("second", ""), ":")
    start = pc.binary_join_element_wise(date, clock, "T")
    whole = pc.binary_join_element_wise(start, fraction, ".")
    if "zone" not in time:
        return whole
    zoned = pc.binary_join_element_wise(whole, groups[time["zone"]], "")
    try:
        return zoned.cast(pa.timestamp("us", "UTC")).cast(MOMENT).cast(pa.string())
    except pa.ArrowInvalid:  # a date that does not exist: the reader says which
        return zoned
