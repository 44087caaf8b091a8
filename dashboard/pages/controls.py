"""The graph's toolbar: its components, and what a change of one of them means for the view.

`reconcile` is pure: view and what was touched in, view out. The callbacks that carry it are in
`pages/graph.py`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dash import dcc, html

from dashboard.view_state import LABELS, SUCCESS, TYPES, WINDOWS, ViewState, parse_moment

WINDOW, START, END, TYPE, NAMESPACES = "window", "start", "end", "type", "namespaces"
LABEL, FIND, OPTIONS, SUCCESS_FROM = "label", "find", "options", "success"
# FIND is a store; the box itself is made by assets/graph_find.js in this slot.
FIND_SLOT = "find-slot"
LIVE, THEME = "live", "theme"

CUSTOM = "custom"
SWITCHES = ("traffic", "locks", "background")
LABEL_NAMES = {
    "rate": "Rate",
    "error": "Errors",
    "p50": "p50",
    "p95": "p95",
    "p99": "p99",
    "throughput": "Bytes",
    "off": "Off",
}
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def window_options(current: str) -> list[dict[str, str]]:
    """The usual windows, the current one if it is unusual, and custom times."""
    names = [*WINDOWS, *([current] if current not in WINDOWS else [])]
    return [{"label": name, "value": name} for name in names] + [{"label": "Custom", "value": CUSTOM}]


def segments(ident: str, options: list[Any], value: str, label: str) -> html.Div:
    """A row of buttons of which one is chosen; a radio group to the keyboard and to screen readers."""
    radio = dcc.RadioItems(options, value, id=ident, className="segments", inline=True)
    return html.Div(
        [html.Span(label, className="control-label", id=f"{ident}-label"), radio], className="control"
    )


def toolbar(state: ViewState) -> html.Div:
    """Everything above the graph."""
    custom = html.Div(
        [
            dcc.Input(id=START, type="text", debounce=True, placeholder="from, UTC", className="moment"),
            html.Span("to", className="muted"),
            dcc.Input(id=END, type="text", debounce=True, placeholder="to, UTC", className="moment"),
        ],
        id="custom-time",
        className="control custom-time",
        hidden=True,
    )
    return html.Div(
        [
            segments(WINDOW, window_options(state.window), state.window, "Last"),
            custom,
            segments(TYPE, [{"label": t.capitalize(), "value": t} for t in TYPES], state.type, "By"),
            segments(LABEL, [{"label": LABEL_NAMES[n], "value": n} for n in LABELS], state.label, "Edges"),
            html.Span(className="gap"),
            html.Div(
                dcc.Dropdown(
                    [], [], id=NAMESPACES, multi=True, placeholder="All namespaces", className="namespaces"
                ),
                className="control",
            ),
            html.Div(id=FIND_SLOT),
            dcc.Store(id=FIND, data=state.find),
        ],
        className="toolbar",
        role="toolbar",
    )


def switches(state: ViewState) -> html.Div:
    """The display switches that stand with the legend."""
    return html.Div(
        [
            dcc.Checklist(
                [
                    {"label": "Moving traffic", "value": "traffic"},
                    {"label": "mTLS locks", "value": "locks"},
                    {"label": "Probes and scrapes", "value": "background"},
                ],
                chosen_options(state),
                id=OPTIONS,
                className="switches",
            ),
            segments(SUCCESS_FROM, [{"label": s, "value": s} for s in SUCCESS], state.success, "Errors from"),
        ]
    )


def chosen_options(state: ViewState) -> list[str]:
    """The switches that are on."""
    return [name for name in SWITCHES if getattr(state, name)]


def reconcile(
    view: ViewState, touched: str, values: dict[str, Any], now: datetime | None = None
) -> ViewState:
    """The view after the control ``touched`` got its value in ``values`` (by control id)."""
    value = values.get(touched)
    if touched == WINDOW and value == CUSTOM:
        end = (now or datetime.now(UTC)).replace(microsecond=0)
        if view.start:
            return view
        start = end - timedelta(**{UNITS[view.window[-1]]: int(view.window[:-1])})
        return replace(view, start=_text(start), end=_text(end))
    if touched == WINDOW and value:
        return replace(view, window=str(value), start=None, end=None)
    if touched in (START, END):
        start_, end_ = parse_moment(values.get(START)), parse_moment(values.get(END))
        return replace(view, start=start_, end=end_) if start_ and end_ and start_ < end_ else view
    if touched == NAMESPACES:
        return replace(view, namespaces=tuple(value or ()))
    if touched == OPTIONS:
        chosen: Any = {name: name in (value or []) for name in SWITCHES}
        return replace(view, **chosen)
    if touched == LIVE:
        return replace(view, live=not view.live)
    if touched in (TYPE, LABEL, FIND, SUCCESS_FROM):
        changed: Any = {touched: str(value or "")}
        return replace(view, **changed)
    return view


def reread(view: ViewState, values: dict[str, Any]) -> ViewState:
    """The view with what its plain controls say now: its stored copy is older than they are while an
    answer about another control is on its way."""
    for name in (TYPE, LABEL, FIND, OPTIONS, SUCCESS_FROM):
        if values.get(name) is not None:
            view = reconcile(view, name, values)
    return view


def shown(view: ViewState) -> list[Any]:
    """The values of the controls for a view, in the order of `VALUES`."""
    return [
        CUSTOM if view.start else view.window,
        view.start or "",
        view.end or "",
        view.type,
        list(view.namespaces),
        view.label,
        view.find,
        chosen_options(view),
        view.success,
    ]


VALUES = (WINDOW, START, END, TYPE, NAMESPACES, LABEL, FIND, OPTIONS, SUCCESS_FROM)
PROPERTIES = [(name, "data" if name == FIND else "value") for name in VALUES]


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
