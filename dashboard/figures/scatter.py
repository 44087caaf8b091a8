"""Traces as points: when they began, how long they took, how many spans they have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures.style import BLUE, RED, calm_figure, gaps, points_frame


def duration_scatter(traces: Sequence[dict[str, Any]], *, keep: str | None = None) -> go.Figure:
    """Traces of `/api/traces` → a point each; `customdata` is `[trace_id]`, for the click.

    Traces with errors are red diamonds, so colour alone does not carry it. The axis is logarithmic when
    durations span more than a factor of twenty. No name from telemetry is in the figure.
    """
    frame = points_frame(traces, "duration_ms", "errors", "spans")
    frame["trace_id"] = [trace.get("trace_id") for trace in traces]
    frame = frame[frame["duration_ms"].notna()]
    timed = frame.loc[frame["duration_ms"] > 0, "duration_ms"]
    wide = bool(len(timed)) and timed.max() > 20 * timed.min()
    failed = frame["errors"].fillna(0) > 0
    groups = (
        ("ok", BLUE, "circle", frame[~failed]),
        ("errors", RED, "diamond", frame[failed]),
    )
    figure = calm_figure([_points(*group, wide) for group in groups], height_px=190, keep=keep)
    figure.update_layout(hovermode="closest", dragmode=False, clickmode="event")
    figure.update_xaxes(nticks=8, tickformat="%H:%M:%S")
    figure.update_yaxes(ticksuffix=" ms", tickformat="~s", type="log" if wide else "linear", nticks=5)
    if wide:
        figure.update_yaxes(dtick=1, rangemode="normal")
    return figure


def _points(label: str, colour: str, symbol: str, frame: pd.DataFrame, wide: bool) -> go.Scatter:
    # A duration of nothing has no place on a logarithmic axis: half a microsecond stands for it.
    lowest = 0.0005 if wide else 0.0
    return go.Scatter(
        x=frame["time"].tolist(),
        y=frame["duration_ms"].clip(lower=lowest).tolist(),
        customdata=[list(pair) for pair in zip(frame["trace_id"], gaps(frame["spans"]), strict=True)],
        name=label,
        mode="markers",
        cliponaxis=False,
        marker={
            "color": colour,
            "symbol": symbol,
            "opacity": 0.72,
            "size": (6 + 2 * np.log2(1 + frame["spans"].fillna(0))).clip(upper=22.0).tolist(),
            "line": {"width": 0},
        },
        hovertemplate="%{y:.4~g} ms · %{customdata[1]} spans<br>%{x|%H:%M:%S.%L} UTC<extra>"
        + label
        + "</extra>",
    )
