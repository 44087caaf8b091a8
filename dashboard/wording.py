"""Numbers and moments as people read them.

Plain functions from a JSON value to a short text. What must stay true: a value that is not known
(null) reads as a dash, never as 0, and 0 reads as 0.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

UNKNOWN = "–"  # an en dash: what is not known


def is_known(value: Any) -> bool:
    """Whether `value` is a real, finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def count(value: float | None) -> str:
    """1234567 → `1,234,567`."""
    return f"{round(value):,}" if value is not None and is_known(value) else UNKNOWN


def rate(value: float | None) -> str:
    """Requests a second: 0.333 → `0.33/s`, 1234.5 → `1,234/s`."""
    if value is None or not is_known(value):
        return UNKNOWN
    if value >= 100:
        return f"{value:,.0f}/s"
    return f"{value:.2f}".rstrip("0").rstrip(".") + "/s"


def percent(share: float | None) -> str:
    """0.9973 → `99.7 %`. Only exactly 1 reads as 100 % and only exactly 0 as 0 %."""
    if share is None or not is_known(share):
        return UNKNOWN
    if share in (0, 1):
        return f"{share * 100:.0f} %"
    value = min(max(share * 100, 0.01), 99.99)
    for digits in (1, 2):
        text = f"{value:.{digits}f}"
        if text not in ("0.0", "100.0"):
            return f"{text} %"
    return f"{value:.2f} %"


def milliseconds(value: float | None) -> str:
    """A duration given in ms: 0.0123 → `12 µs`, 12.34 → `12.3 ms`, 61000 → `1 m 1 s`."""
    if value is None or not is_known(value):
        return UNKNOWN
    if value < 0:
        return "−" + milliseconds(-value)
    if value == 0:
        return "0 ms"
    if value < 1:
        return f"{value * 1000:.0f} µs" if value >= 0.001 else f"{value * 1e6:.0f} ns"
    if value < 1000:
        return f"{value:.3g} ms" if value < 999.5 else "1 s"
    seconds = value / 1000
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest} s"
    return f"{minutes // 60} h {minutes % 60} m"


def size(value: float | None) -> str:
    """Bytes: 1536 → `1.5 kB` (thousands, as networks count)."""
    if value is None or not is_known(value):
        return UNKNOWN
    number = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def moment(text: str | None) -> datetime | None:
    """An RFC 3339 text as an aware UTC datetime; None where it is none."""
    if not text:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def clock(text: str | None) -> str:
    """The time of day in UTC with milliseconds, `14:03:07.125`."""
    value = moment(text)
    return f"{value:%H:%M:%S}.{value.microsecond // 1000:03d}" if value else UNKNOWN


def day_and_clock(text: str | None) -> str:
    """`2026-11-21 14:03:07.125 UTC`."""
    value = moment(text)
    return f"{value:%Y-%m-%d} {clock(text)} UTC" if value else UNKNOWN


def plural(number: float, one: str, many: str | None = None) -> str:
    """`1 retry`, `3 retries`: the count with the right form of the word."""
    return f"{count(number)} {one if round(number) == 1 else many or one + 's'}"


GRPC_NAMES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)


def grpc_name(code: str | int | None) -> str:
    """The name of a gRPC status, `14` → `UNAVAILABLE`; "" where it has none."""
    text = str(code)
    return GRPC_NAMES[int(text)] if text.isdigit() and int(text) < len(GRPC_NAMES) else ""
