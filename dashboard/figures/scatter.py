"""Traces as points: when they began, how long they took, how many spans they have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.figures.style import BLUE, RED, calm_figure


def duration_scatter(traces: Sequence[dict[str, Any]], *, keep: str | None = None) -> go.Figure:
    """Traces of `/api/traces` → a point each; `customdata` is `[trace_id]`, for the click.

    Traces with errors are red diamonds, so colour alone does not carry it. The axis is logarithmic when
    durations span more than a factor of twenty. No name from telemetry is in the figure.
    """
    known = [trace for trace in traces if trace.get("duration_ms") is not None]
    durations = [trace["duration_ms"] for trace in known if trace["duration_ms"] > 0]
    wide = bool(durations) and max(durations) > 20 * min(durations)
    groups = (
        ("ok", BLUE, "circle", [trace for trace in known if not trace.get("errors")]),
        ("errors", RED, "diamond", [trace for trace in known if trace.get("errors")]),
    )
    figure = calm_figure([_points(*group, wide) for group in groups], height_px=190, keep=keep)
    figure.update_layout(hovermode="closest", dragmode=False, clickmode="event")
    figure.update_xaxes(nticks=8, tickformat="%H:%M:%S")
    figure.update_yaxes(ticksuffix=" ms", tickformat="~s", type="log" if wide else "linear", nticks=5)
    if wide:
        figure.update_yaxes(dtick=1, rangemode="normal")
    return figure


def _points(label: str, colour: str, symbol: str, traces: Sequence[dict[str, Any]], wide: bool) -> go.Scatter:
    # A duration of nothing has no place on a logarithmic axis: half a microsecond stands for it.
    lowest = 0.0005 if wide else 0.0
    return go.Scatter(
        x=[trace["time"] for trace in traces],
        y=[max(trace["duration_ms"], lowest) for trace in traces],
        customdata=[[trace["trace_id"], trace.get("spans")] for trace in traces],
        name=label,
        mode="markers",
        cliponaxis=False,
        marker={
            "color": colour,
            "symbol": symbol,
            "opacity": 0.72,
            "size": [min(22.0, 6 + 2 * math.log2(1 + (trace.get("spans") or 0))) for trace in traces],
            "line": {"width": 0},
        },
        hovertemplate="%{y:.4~g} ms · %{customdata[1]} spans<br>%{x|%H:%M:%S.%L} UTC<extra>"
        + label
        + "</extra>",
    )
