"""Requests a second over time, the failed ones marked as a filled band below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.figures.style import (
    BLUE,
    BLUE_FILL,
    RED,
    RED_FILL,
    calm_figure,
    gaps,
    points_frame,
    tick_times,
)


def rate_figure(points: Sequence[dict[str, Any]], *, step_s: float, keep: str | None = None) -> go.Figure:
    """Points of one view of `/api/timeseries` → rate and error rate, both per second.

    A step whose count is not known is a gap; an empty step is 0, because that is known.
    """
    frame = points_frame(points, "rate", "requests", "errors")
    times = frame["time"].tolist()
    step = step_s if step_s > 0 else float("nan")
    rates = frame["rate"].fillna(frame["requests"] / step)
    # An empty step has no errors either, whether or not the answer says so.
    errors = (frame["errors"] / step).mask(rates == 0, 0.0)
    figure = calm_figure(
        [
            go.Scatter(
                x=times,
                y=gaps(rates),
                name="all",
                mode="lines",
                line={"color": BLUE, "width": 1.6, "shape": "linear"},
                fill="tozeroy",
                fillcolor=BLUE_FILL,
                hovertemplate="%{y:.3~s}/s<extra>all</extra>",
            ),
            go.Scatter(
                x=times,
                y=gaps(errors),
                name="errors",
                mode="lines",
                line={"color": RED, "width": 1.4, "dash": "dot"},
                fill="tozeroy",
                fillcolor=RED_FILL,
                hovertemplate="%{y:.3~s}/s<extra>errors</extra>",
            ),
        ],
        height_px=118,
        keep=keep,
    )
    figure.update_xaxes(tickformat=tick_times(times))
    top = rates.max() if rates.notna().any() else 0
    figure.update_yaxes(tickformat="~s", range=[0, top * 1.12 if top else 1])
    return figure
