"""What the graph page shows, as one value: URL ⇄ state ⇄ query parameters. Pure.

The URL is the single source of truth; a parameter that has its default value is left out, so a
shared link is short. Reading never fails: whatever the URL holds, an unknown name or bad value is
ignored, because the page must open. What must stay true: ``from_search(s.to_search()) == s``.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

WINDOWS = ("30s", "1m", "5m", "15m", "1h")
TYPES = ("version", "workload", "app", "service")
LABELS = ("rate", "error", "p50", "p95", "p99", "throughput", "off")
THEMES = ("auto", "light", "dark")
SUCCESS = ("5xx", "4xx")

_WINDOW = re.compile(r"[1-9]\d{0,5}(s|m|h|d)")
_ID = re.compile(r"[\w:.|/@-]{1,128}")
MAX_FIND = 200
MAX_NAMESPACES = 50


@dataclass(frozen=True)
class ViewState:
    """``start`` and ``end`` (RFC 3339 UTC, whole seconds) are set together and win over ``window``.

    ``node`` and ``edge`` are ids of the selection; at most one is set.
    """

    window: str = "5m"
    start: str | None = None
    end: str | None = None
    type: str = "version"
    namespaces: tuple[str, ...] = ()
    label: str = "rate"
    find: str = ""
    live: bool = True
    success: str = "5xx"
    locks: bool = True
    traffic: bool = False
    background: bool = False
    theme: str = "auto"
    node: str | None = None
    edge: str | None = None

    # -- URL ---------------------------------------------------------------------------------
    @classmethod
    def from_search(cls, search: str) -> ViewState:
        """The state of ``?window=1m&namespace=a&namespace=b``."""
        pairs = parse_qsl(search.lstrip("?"), keep_blank_values=False)
        one = dict(reversed(pairs))  # the first of a repeated name wins
        start, end = parse_moment(one.get("from")), parse_moment(one.get("to"))
        if start is None or end is None or start >= end:
            start = end = None
        namespaces = tuple(dict.fromkeys(v[:253] for k, v in pairs if k == "namespace"))
        node = _matching(one.get("node"))
        return cls(
            window=one["window"] if _WINDOW.fullmatch(one.get("window", "")) else cls.window,
            start=start,
            end=end,
            type=_choice(one, "type", TYPES),
            namespaces=namespaces[:MAX_NAMESPACES],
            label=_choice(one, "label", LABELS),
            find=one.get("find", "")[:MAX_FIND],
            live=one.get("live") != "0",
            success=_choice(one, "success", SUCCESS),
            locks=one.get("locks") != "0",
            traffic=one.get("traffic") == "1",
            background=one.get("background") == "1",
            theme=_choice(one, "theme", THEMES),
            node=node,
            edge=None if node else _matching(one.get("edge")),
        )

    def to_search(self) -> str:
        """``""`` for the default state, else ``?…`` in the order of the fields."""
        pairs: list[tuple[str, str]] = []
        for name, value in asdict(self).items():
            if value == getattr(DEFAULT, name):
                continue
            if name == "namespaces":
                pairs += [("namespace", each) for each in value]
            elif isinstance(value, bool):
                pairs.append((name, "1" if value else "0"))
            else:
                pairs.append(({"start": "from", "end": "to"}.get(name, name), value))
        return "?" + urlencode(pairs) if pairs else ""

    # -- dcc.Store ---------------------------------------------------------------------------
    def to_json(self) -> dict[str, Any]:
        """A JSON object with every field."""
        return asdict(self) | {"namespaces": list(self.namespaces)}

    @classmethod
    def from_json(cls, value: dict[str, Any] | None) -> ViewState:
        """The inverse of `to_json`; what comes back from a browser is read as carefully as a URL."""
        if not isinstance(value, dict):
            return DEFAULT
        known = {f.name for f in fields(cls)}
        text = (str, bool, type(None))
        plain = {k: v for k, v in value.items() if k in known and isinstance(v, text)}
        names = value.get("namespaces")
        namespaces = tuple(n for n in names if isinstance(n, str)) if isinstance(names, list) else ()
        stated: Any = plain | {"namespaces": namespaces}
        return cls.from_search(replace(DEFAULT, **stated).to_search())

    # -- questions ---------------------------------------------------------------------------
    def graph_params(self) -> dict[str, Any]:
        """The parameters of ``/api/graph`` for this view."""
        when = {"from": self.start, "to": self.end} if self.start else {"window": self.window}
        params: dict[str, Any] = when | {"type": self.type, "success": self.success}
        if self.namespaces:
            params["namespace"] = list(self.namespaces)
        return params | ({"background": "1"} if self.background else {})

    @property
    def selection(self) -> dict[str, str] | None:
        """``{"kind": "node" | "edge", "id": …}`` or None."""
        if self.node:
            return {"kind": "node", "id": self.node}
        return {"kind": "edge", "id": self.edge} if self.edge else None

    def select(self, selection: dict[str, str] | None) -> ViewState:
        """This view with another selection."""
        kind, ident = (selection or {}).get("kind"), _matching((selection or {}).get("id"))
        return replace(self, node=ident if kind == "node" else None, edge=ident if kind == "edge" else None)


def parse_moment(text: str | None) -> str | None:
    """A time as people type it (``2026-11-21 12:00``, RFC 3339, epoch seconds) → ``…T12:00:00Z``; else None.

    Without an offset it is UTC.
    """
    if not text:
        return None
    text = text.strip()
    try:
        if re.fullmatch(r"\d{9,10}(\.\d+)?", text):
            moment = datetime.fromtimestamp(float(text), UTC)
        else:
            moment = datetime.fromisoformat(text)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.replace(microsecond=0).isoformat().replace("+00:00", "Z")


def _choice(one: dict[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = one.get(name, "")
    return value if value in allowed else str(getattr(ViewState, name))


def _matching(value: str | None) -> str | None:
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


DEFAULT = ViewState()
