"""The text lines that do not look usual: quotes in a header, blanks in a field, a lost or extra field.

Read from both ends, so that what a client wrote into its user agent cannot move the fields after it:
the *last* quoted tail wins. What must stay true: work is linear in the line's length (these lines are
written by whoever calls), and a line that leaves a doubt about its fields is refused, not guessed.
"""

from __future__ import annotations

import re

from collector.decode.access_log_fields import Reject, reject

_HEAD = re.compile(r'(?:\[(?P<time>\d{4}-\d\d-\d\dT[\d:.]+Z?)\]? )?"(?P<method>[^ "]*) ')
_REQUEST_END = re.compile(
    r'(?P<protocol>HTTP/[\d.]+|-)" (?P<code>\d+|-) (?P<flags>-|[A-Z][A-Z0-9_]*(?:,[A-Z][A-Z0-9_]*)*) '
)
_COUNTS = r'(?P<received>\d+|-) (?P<sent>\d+|-) (?P<duration>-?\d+|-) (?P<service_time>\d+|-) "'
_MIDDLES = {
    "istio": re.compile(
        r'(?:(?P<details>[^ "]+) (?P<termination>[^"]*) )?(?:"(?P<mixer>[^"]*)" )?"(?P<failure>[^"]*)" '
        + _COUNTS
    ),
    "envoy": re.compile(r"(?:(?P<details>[a-z][^ ]*) )?" + _COUNTS),
}
_PLACES = ("cluster", "upstream_local", "downstream_local", "downstream_remote", "sni", "route")
_REQUEST_ENDS_TRIED = 8
_MAX_DIGITS = 18

NOT_A_LINE = 'not an access-log line: expected [TIME] "METHOD PATH PROTOCOL" CODE FLAGS ...'

Row = dict[str, str | None]


def parse_odd_line(text: str, line: int, families: frozenset[str]) -> Row | Reject:
    """The fields of one line, or why it was refused."""
    head = _HEAD.search(text)
    if head is None:
        return reject(line, NOT_A_LINE, text)
    reason = NOT_A_LINE
    start = head.end()
    for _ in range(_REQUEST_ENDS_TRIED):
        end = _REQUEST_END.search(text, start)
        if end is None:
            break
        found = _after_request(text, end, families)
        if isinstance(found, dict):
            found |= head.groupdict() | {"path": text[head.end() : end.start()].removesuffix(" ")}
            if found["time"] is None:
                return reject(line, "no start time in the line", text)
            return found
        reason = found
        start = end.start() + 1
    return reject(line, reason, text)


def _after_request(text: str, end: re.Match[str], families: frozenset[str]) -> Row | str:
    reason = NOT_A_LINE
    for family in ("istio", "envoy"):
        middle = _MIDDLES[family].match(text, end.end()) if family in families else None
        if middle is None:
            continue
        tail = _quoted_tail(text[middle.end() :])
        if tail is None:
            reason = "cut short: the quoted fields after the byte counts are not all there"
            continue
        fields, rest = tail
        places = _places(rest) if family == "istio" else ({} if not rest.strip() else None)
        if places is None:
            reason = _what_follows(family, rest)
            continue
        row: Row = {**end.groupdict(), **middle.groupdict(), **fields, **places}
        if any(len(row[name] or "") > _MAX_DIGITS for name in ("code", "received", "sent", "duration")):
            return "a number is too long"
        row.pop("mixer", None)
        return row
    return reason


def _quoted_tail(text: str) -> tuple[Row, str] | None:
    """``XFF" "UA" "REQUEST-ID" "AUTHORITY" "HOST"REST``, the user agent taking all the quotes it can."""
    forwarded_for, separator, text = text.partition('" "')
    if not separator or '"' in forwarded_for:
        return None
    text, quote, rest = text.rpartition('"')
    text, host_quote, host = text.rpartition('" "')
    text, authority_quote, authority = text.rpartition('" "')
    user_agent, agent_quote, request_id = text.rpartition('" "')
    if not (quote and host_quote and authority_quote and agent_quote) or '"' in host + authority:
        return None
    fields: Row = {
        "forwarded_for": forwarded_for,
        "user_agent": user_agent,
        "request_id": request_id,
        "authority": authority,
        "upstream_host": host,
    }
    return fields, rest


def _places(text: str) -> Row | None:
    """The six fields after the upstream host; the route may be empty, formats with more are read too."""
    tokens = text.split(" ")
    if tokens[0] or len(tokens) < 6 or "" in tokens[1:6]:
        return None
    return dict(zip(_PLACES, [*tokens[1:], ""][:6], strict=True))


def _what_follows(family: str, rest: str) -> str:
    if family == "envoy":
        return "unexpected text after the upstream host"
    return f"cut short: {len(rest.split())} of 6 fields after the upstream host"
