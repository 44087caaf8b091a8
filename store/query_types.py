"""What may be asked of the store: frozen questions made from text parameters, checked when made.

``from_params`` takes a mapping of text (or lists of text) as a URL's query string gives it and raises
``BadQuery`` with a sentence for what it cannot read. What must stay true: every window is UTC, naive,
microseconds, ``from < to``; unknown parameters are refused, so that a typing error is never silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from store.errors import BadQuery

GRAINS = ("version", "workload", "app", "service", "instance")
MAX_WINDOW = timedelta(days=31)
MAX_STEPS = 2000
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$")
_ID = re.compile(r"^[0-9a-f]{16}$")
_TIME_NAMES = ("from", "to", "window")

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Window:
    """[from_time, to_time) on start time, naive UTC."""

    from_time: datetime
    to_time: datetime

    @property
    def seconds(self) -> float:
        return (self.to_time - self.from_time).total_seconds()

    @property
    def microseconds(self) -> int:
        return (self.to_time - self.from_time) // timedelta(microseconds=1)


@dataclass(frozen=True)
class GraphQuery:
    """`/api/graph`."""

    window: Window
    type: str = "version"
    namespaces: tuple[str, ...] = ()
    success: str = "5xx"
    exact: bool = False
    background: bool = False

    @classmethod
    def from_params(cls, params: Params) -> GraphQuery:
        _only(params, *_TIME_NAMES, "type", "namespace", "success", "exact", "background")
        return cls(
            window=read_window(params),
            type=_choice(params, "type", "version", GRAINS),
            namespaces=_texts(params, "namespace"),
            success=_choice(params, "success", "5xx", ("5xx", "4xx")),
            exact=_flag(params, "exact"),
            background=_flag(params, "background"),
        )


@dataclass(frozen=True)
class TimeseriesQuery:
    """`/api/timeseries`: one edge or one node, in steps of ``step_s`` seconds."""

    window: Window
    step_s: int
    edge: str | None = None
    node: str | None = None
    success: str = "5xx"
    background: bool = False
    exact: bool = False

    @classmethod
    def from_params(cls, params: Params) -> TimeseriesQuery:
        _only(params, *_TIME_NAMES, "edge", "node", "step", "success", "type", "exact", "background")
        window = read_window(params)
        step_s = _integer(params, "step", max(1, round(window.seconds / 60)), 1, 86400)
        if window.seconds / step_s > MAX_STEPS:
            raise BadQuery(
                "too_many_steps",
                f"step={step_s} cuts the window into more than {MAX_STEPS} steps.",
                f"Use a step of at least {int(window.seconds // MAX_STEPS) + 1} seconds.",
            )
        edge, node = _element(params, required=True)
        success = _choice(params, "success", "5xx", ("5xx", "4xx"))
        return cls(window, step_s, edge, node, success, _flag(params, "background"), _flag(params, "exact"))


@dataclass(frozen=True)
class RequestsQuery:
    """`/api/requests`: the rows behind an edge or a node, newest first."""

    window: Window
    edge: str | None = None
    node: str | None = None
    view: str = "client"
    outcome: str | None = None
    trace_id: str | None = None
    limit: int = 100
    before: str | None = None
    success: str = "5xx"
    background: bool = False

    @classmethod
    def from_params(cls, params: Params) -> RequestsQuery:
        _only(
            params,
            *_TIME_NAMES,
            "edge",
            "node",
            "view",
            "outcome",
            "trace_id",
            "limit",
            "before",
            "success",
            "type",
            "background",
        )
        edge, node = _element(params, required=False)
        trace_id = _text(params, "trace_id")
        return cls(
            window=read_window(params),
            edge=edge,
            node=node,
            view=_choice(params, "view", "client", ("client", "server")),
            outcome=_choice(params, "outcome", None, ("ok", "error", "client_gone", "unknown")),
            trace_id=read_trace_id(trace_id) if trace_id else None,
            limit=_integer(params, "limit", 100, 1, 1000),
            before=_text(params, "before"),
            success=_choice(params, "success", "5xx", ("5xx", "4xx")),
            background=_flag(params, "background"),
        )


@dataclass(frozen=True)
class TracesQuery:
    """`/api/traces`: newest first."""

    window: Window
    service: str | None = None
    edge: str | None = None
    node: str | None = None
    errors: bool = False
    min_duration_ms: float = 0.0
    limit: int = 50
    before: str | None = None
    background: bool = False

    @classmethod
    def from_params(cls, params: Params) -> TracesQuery:
        _only(
            params,
            *_TIME_NAMES,
            "service",
            "edge",
            "node",
            "errors",
            "min_duration_ms",
            "limit",
            "before",
            "type",
            "background",
        )
        edge, node = _element(params, required=False)
        return cls(
            window=read_window(params),
            service=_text(params, "service"),
            edge=edge,
            node=node,
            errors=_flag(params, "errors"),
            min_duration_ms=_number(params, "min_duration_ms", 0.0),
            limit=_integer(params, "limit", 50, 1, 1000),
            before=_text(params, "before"),
            background=_flag(params, "background"),
        )


def read_window(params: Params) -> Window:
    """``from``/``to`` or ``window`` (default the last 5 minutes). Raises BadQuery."""
    start, end, span = (_text(params, name) for name in _TIME_NAMES)
    if span and start:
        raise BadQuery("bad_window", "window and from are both given.", "Give window, or from and to.")
    to_time = read_time("to", end) if end else _now()
    from_time = read_time("from", start) if start else to_time - read_duration(span or "5m")
    if from_time >= to_time:
        raise BadQuery("bad_window", "from is not before to.", "Times are UTC; `to` is excluded.")
    if to_time - from_time > MAX_WINDOW:
        raise BadQuery("window_too_long", "The window is over 31 days.", "Ask for a shorter one.")
    return Window(from_time, to_time)


def read_duration(text: str) -> timedelta:
    """'30s', '5m', '24h' → timedelta. Raises BadQuery."""
    match = _DURATION.match(text.strip())
    seconds = float(match[1]) * _UNITS[match[2]] if match and len(text) < 20 else 0.0
    if not 0 < seconds <= MAX_WINDOW.total_seconds():
        raise BadQuery("bad_window", f"window={text[:40]!r} is no length of time.", "Examples: 30s, 5m, 24h.")
    return timedelta(seconds=seconds)


def read_time(name: str, text: str) -> datetime:
    """RFC 3339 (no zone: UTC) or epoch seconds → naive UTC. Raises BadQuery."""
    try:
        if re.fullmatch(r"-?\d+(\.\d+)?", text):
            return datetime.fromtimestamp(float(text), UTC).replace(tzinfo=None)
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return (moment.astimezone(UTC) if moment.tzinfo else moment).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        raise BadQuery(
            "bad_time", f"{name}={text[:40]!r} is no time.", "Examples: 2026-11-21T12:00:00Z, 1795262400."
        ) from None


def read_trace_id(text: str) -> str:
    """32 (or 16, as Zipkin writes them) hexadecimal digits → 32 lower-case ones. Raises BadQuery."""
    digits = text.strip().lower().replace("-", "")
    if not re.fullmatch(r"[0-9a-f]{32}|[0-9a-f]{16}", digits):
        raise BadQuery("bad_trace_id", f"{text[:64]!r} is no trace id.", "Give its 32 hexadecimal digits.")
    return digits.rjust(32, "0")


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _only(params: Params, *names: str) -> None:
    unknown = sorted(set(params) - set(names))
    if unknown:
        raise BadQuery(
            "unknown_parameter",
            f"There is no parameter {unknown[0][:40]!r} here.",
            f"Known: {', '.join(names)}.",
        )


def _text(params: Params, name: str) -> str | None:
    value = params.get(name)
    if isinstance(value, list | tuple):
        if len(value) > 1:
            raise BadQuery("repeated_parameter", f"{name} is given {len(value)} times.", "Give it once.")
        value = value[0] if value else None
    return None if value is None or value == "" else str(value)


def _texts(params: Params, name: str) -> tuple[str, ...]:
    value = params.get(name) or ()
    values = (value,) if isinstance(value, str) else tuple(value)
    return tuple(dict.fromkeys(str(one) for one in values if one))


def _choice(params: Params, name: str, default: Any, choices: tuple[str, ...]) -> Any:
    value = _text(params, name)
    if value is None:
        return default
    if value not in choices:
        raise BadQuery(f"bad_{name}", f"{name}={value[:40]!r} is unknown.", f"One of {', '.join(choices)}.")
    return value


def _flag(params: Params, name: str) -> bool:
    return (_text(params, name) or "0").lower() in ("1", "true", "yes")


def _integer(params: Params, name: str, default: int, least: int, most: int) -> int:
    value = _text(params, name)
    if value is None:
        return default
    if not re.fullmatch(r"\d{1,9}", value) or not least <= int(value) <= most:
        raise BadQuery(
            f"bad_{name}", f"{name}={value[:40]!r} does not fit.", f"A number from {least} to {most}."
        )
    return int(value)


def _number(params: Params, name: str, default: float) -> float:
    value = _text(params, name)
    if value is None:
        return default
    if not re.fullmatch(r"\d{1,12}(\.\d{1,6})?", value):
        raise BadQuery(f"bad_{name}", f"{name}={value[:40]!r} is no number.", "A number of at least 0.")
    return float(value)


def _element(params: Params, *, required: bool) -> tuple[str | None, str | None]:
    edge, node = _text(params, "edge"), _text(params, "node")
    if edge and node:
        raise BadQuery("bad_element", "edge and node are both given.", "Give one of them.")
    for name, value in (("edge", edge), ("node", node)):
        if value and not _ID.match(value):
            raise BadQuery(f"bad_{name}", f"{name}={value[:40]!r} is no id.", "Take it from /api/graph.")
    if required and not edge and not node:
        raise BadQuery("no_element", "Neither edge nor node is given.", "Take an id from /api/graph.")
    return edge, node
