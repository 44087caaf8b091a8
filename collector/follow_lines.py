"""From the bytes that wait in a followed log to the lines that can be taken now. Pure.

What must stay true: a line is taken whole or not at all (its newline has come, or nothing will ever come), a line
that a container runtime cut in parts too; the same range gives the same lines when it is read again after a
crash; a line without end costs neither memory nor its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from collector.decode.line_parts import unfinished_parts
from collector.follow_positions import Position
from collector.followed_file import HEAD_BYTES, TAIL_BYTES, digest_of

READ_BYTES = 2 << 20
LINE_TOO_LONG = f"the line is longer than {READ_BYTES} bytes"


@dataclass(frozen=True)
class Lines:
    """``data``: whole lines, the first of them number ``first_line``; ``long_line``: the number of one that was
    passed over for its length, if one begins here."""

    data: bytes
    first_line: int
    long_line: int | None = None


def end_of_lines(position: Position, data: bytes, ended: bool) -> int:
    """How many bytes of ``data`` (at most READ_BYTES from ``position`` on) can be taken. ``ended``: they are the
    last ones, and their last line will not grow."""
    end = data.rfind(b"\n") + 1
    if ended or (not end and (len(data) >= READ_BYTES or position.in_long_line)):
        return len(data)
    return unfinished_parts(data, end) if end else 0


def lines_of(position: Position, data: bytes) -> Lines:
    """The lines of a range that begins at ``position``."""
    first_line = position.lines + 1
    if position.in_long_line:
        cut = data.find(b"\n") + 1
        if not cut:
            return Lines(b"", first_line)
        data, first_line = data[cut:], first_line + 1
    elif len(data) >= READ_BYTES and b"\n" not in data:
        return Lines(b"", first_line, first_line)
    return Lines(data if data.endswith(b"\n") or not data else data + b"\n", first_line)


def window_start(position: Position) -> int:
    """From where to read: far enough back that one piece of bytes proves what was read and says what follows.
    (Two reads could be of two files: a log may be truncated at any moment.)"""
    return 0 if position.head_bytes < HEAD_BYTES else position.offset - position.tail_bytes


def goes_on(position: Position, window: bytes) -> bool:
    """Whether ``window``, read from its start on, has what was read before ``position``."""
    behind = position.offset - window_start(position)
    tail = window[behind - position.tail_bytes : behind]
    return len(window) >= behind and (not position.offset or digest_of(tail) == position.tail)


def position_behind(position: Position, window: bytes, size: int, ended: bool) -> Position:
    """The position ``size`` bytes further."""
    start = window_start(position)
    behind = position.offset - start
    data, tail = window[behind : behind + size], window[: behind + size][-TAIL_BYTES:]
    end = position.offset + size
    head = window[: min(HEAD_BYTES, end)]
    is_cut = bool(data) and not data.endswith(b"\n")
    return replace(
        position,
        offset=end,
        lines=position.lines + data.count(b"\n") + (ended and is_cut),
        head=position.head if start else digest_of(head),
        head_bytes=position.head_bytes if start else len(head),
        tail=digest_of(tail),
        tail_bytes=len(tail),
        in_long_line=is_cut and not ended,
    )
