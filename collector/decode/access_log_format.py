"""A user's own Envoy format string → one regular expression → fields (`--format-string`).

Each operator (``%DURATION%``, ``%REQ(X?Y):Z%``) is a group; what no field is made of becomes an attribute
named after its operator. What must stay true: lines are matched whole by RE2 in one vectorised call (its
time is linear in the line), and a format that cannot give a request's start and code is refused with the
operator that is missing. Operators: Envoy's substitution_formatter.rst.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode.access_log_fields import FIELDS, Lines, ParsedLines, fields_table, reject, text_map
from store.schema import MOMENT

_OPERATOR = re.compile(
    r"%(?P<name>[A-Z0-9_]+)(?:\((?P<argument>(?:[^()]|\([^()]*\))*)\))?(?::(?P<length>\d+))?%"
)
_LENGTH_MAX = 16_384
_OPERATORS_MAX = 100

_FIELD_OF = {
    "PROTOCOL": "protocol",
    "RESPONSE_CODE": "code",
    "RESPONSE_FLAGS": "flags",
    "RESPONSE_CODE_DETAILS": "details",
    "CONNECTION_TERMINATION_DETAILS": "termination",
    "UPSTREAM_TRANSPORT_FAILURE_REASON": "failure",
    "BYTES_RECEIVED": "received",
    "BYTES_SENT": "sent",
    "DURATION": "duration",
    "UPSTREAM_HOST": "upstream_host",
    "UPSTREAM_REMOTE_ADDRESS": "upstream_host",
    "UPSTREAM_CLUSTER": "cluster",
    "UPSTREAM_CLUSTER_RAW": "cluster",
    "UPSTREAM_LOCAL_ADDRESS": "upstream_local",
    "DOWNSTREAM_LOCAL_ADDRESS": "downstream_local",
    "DOWNSTREAM_REMOTE_ADDRESS": "downstream_remote",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS": "downstream_remote",
    "REQUESTED_SERVER_NAME": "sni",
    "ROUTE_NAME": "route",
    "GRPC_STATUS": "grpc_status",
    "GRPC_STATUS_NUMBER": "grpc_status",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": "attempts",
    "TRACE_ID": "trace_id",
    "SPAN_ID": "span_id",
    "ACCESS_LOG_TYPE": "log_type",
}
_HEADER_FIELD = {
    ":method": "method",
    ":path": "path",
    "x-envoy-original-path": "path",
    ":authority": "authority",
    "host": "authority",
    "user-agent": "user_agent",
    "x-request-id": "request_id",
    "x-forwarded-for": "forwarded_for",
    "traceparent": "traceparent",
    "x-b3-traceid": "trace_id",
    "x-b3-spanid": "span_id",
    "x-envoy-upstream-service-time": "service_time",
    "grpc-status": "grpc_status",
}
_HEADERS = ("REQ", "RESP", "TRAILER")
_NUMBERS = ("code", "received", "sent", "duration", "service_time", "attempts")
_TIME_PARTS = {
    "Y": ("year", r"\d{4}"), "m": ("month", r"\d\d"), "d": ("day", r"\d\d"), "H": ("hour", r"\d\d"),
    "M": ("minute", r"\d\d"), "S": ("second", r"\d\d"), "f": ("fraction", r"\d{1,9}"), "3f": ("fraction", r"\d{3}"),
    "6f": ("fraction", r"\d{6}"), "9f": ("fraction", r"\d{9}"), "z": ("zone", r"(?:Z|[+-]\d\d:?\d\d)"),
    "s": ("epoch", r"\d{1,12}"),
}  # fmt: skip
_TIME_SHORT = {"F": "%Y-%m-%d", "T": "%H:%M:%S"}


class BadFormat(ValueError):
    """A sentence: what in the format string cannot be read, and where."""


@dataclass(frozen=True)
class LineFormat:
    """``pattern``: RE2 with a group ``gN`` per operator; ``names``: the field or attribute of each group;
    ``time``: the groups of the start's parts."""

    text: str
    pattern: str
    names: dict[str, str]
    time: dict[str, str]


def compile_format(text: str) -> LineFormat:
    """Raises BadFormat."""
    text = text.removesuffix("\n").removesuffix("\\n")
    if text.lstrip().startswith("{"):
        raise BadFormat("This is a JSON format: --format json reads its lines by their keys.")
    if len(text) > _LENGTH_MAX:
        raise BadFormat(f"The format string has {len(text)} characters, at most {_LENGTH_MAX} are read.")
    pieces = ["^"]
    names: dict[str, str] = {}
    time: dict[str, str] = {}
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
        found = _OPERATOR.match(text, at)
        if found is None:
            raise BadFormat(
                f"At character {at + 1}: {text[at : at + 40]!r} is no operator; %NAME% or %NAME(X)% is."
            )
        if len(names) >= _OPERATORS_MAX:
            raise BadFormat(f"The format string has more than {_OPERATORS_MAX} operators.")
        position = found.end()
        group = f"g{len(names) + len(time)}"
        if found["name"] == "START_TIME" and not time:
            pieces.append(_time_pattern(found["argument"], time, at))
            continue
        name = _name_of(found["name"], found["argument"])
        names[group] = name
        pieces.append(
            f"(?P<{group}>{_value_pattern(name, text[at - 1 : at], text[position : position + 1])})"
        )
    if not time:
        raise BadFormat(
            "There is no %START_TIME% in the format string: without it a request has no place in time."
        )
    if "code" not in names.values():
        raise BadFormat(
            "There is no %RESPONSE_CODE% in the format string: without it success cannot be told."
        )
    return LineFormat(text, "".join([*pieces, "$"]), names, time)


def parse_lines(texts: pa.StringArray, lines: Lines, form: LineFormat) -> ParsedLines:
    """Lines (prefixes taken off) by the user's own format; those that do not fit it are rejected."""
    found = pc.extract_regex(texts, form.pattern)
    fits = found.is_valid().to_numpy(zero_copy_only=False)
    rejects = [
        reject(lines[at], "the line does not fit --format-string", texts[at].as_py())
        for at in np.flatnonzero(~fits).tolist()
    ]
    if not fits.all():
        found, lines = found.filter(pa.array(fits)), lines[fits]
    groups = {found.type[index].name: pc.struct_field(found, index) for index in range(found.type.num_fields)}
    fields: dict[str, pa.Array] = {"time": _start(groups, form.time, len(lines))}
    extra: dict[str, pa.Array] = {}
    for group, name in form.names.items():
        into = fields if name in FIELDS else extra
        said = _said(groups[group])
        into[name] = pc.coalesce(into[name], said) if name in into else said
    table = fields_table(fields, lines, text_map(extra, len(lines)) if extra else None)
    return ParsedLines(table, rejects)


def _said(values: pa.StringArray) -> pa.StringArray:
    nothing = pc.or_(pc.equal(values, "-"), pc.equal(values, ""))
    return pc.if_else(nothing, pa.scalar(None, pa.string()), values)


def _name_of(operator: str, argument: str | None) -> str:
    """The field an operator gives, else the attribute's name: 'OPERATOR' or 'operator.argument', lower case."""
    if operator in _HEADERS:
        headers = [one.strip().lower() for one in (argument or "").split("?")]
        known = [_HEADER_FIELD[one] for one in headers if one in _HEADER_FIELD]
        return known[0] if known else headers[0] or operator.lower()
    if operator in _FIELD_OF:
        return _FIELD_OF[operator]
    return f"{operator.lower()}.{argument}" if argument else operator.lower()


def _value_pattern(name: str, before: str, after: str) -> str:
    if name in _NUMBERS:
        return r"-?\d{1,18}|-|"
    if name == "flags":
        return r"[A-Z0-9_,]+|-|"
    # Nothing is escaped in these lines: only what is followed by a blank can be known to hold none.
    return r"\S*?" if after == " " and before != '"' and name != "termination" else ".*?"


def _time_pattern(argument: str | None, time: dict[str, str], at: int) -> str:
    """The start's expression; fills ``time`` with the group of each part."""
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
    date = pc.binary_join_element_wise(part("year", ""), part("month", ""), part("day", ""), "-")
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
