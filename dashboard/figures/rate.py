"""Requests a second over time, the failed ones marked as a filled band below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.figures.style import BLUE, BLUE_FILL, RED, RED_FILL, calm_figure, column, tick_times


def rate_figure(points: Sequence[dict[str, Any]], *, step_s: float, keep: str | None = None) -> go.Figure:
    """Points of one view of `/api/timeseries` → rate and error rate, both per second.

    A step whose count is not known is a gap; an empty step is 0, because that is known.
    """
    times = column(points, "time")
    errors = [_per_second(point.get("errors"), step_s) for point in points]
    rates = [
        point["rate"] if point.get("rate") is not None else _per_second(point.get("requests"), step_s)
        for point in points
    ]
    # An empty step has no errors either, whether or not the answer says so.
    errors = [0.0 if total == 0 else bad for total, bad in zip(rates, errors, strict=True)]
    figure = calm_figure(
        [
            go.Scatter(
                x=times,
                y=rates,
                name="all",
                mode="lines",
                line={"color": BLUE, "width": 1.6, "shape": "linear"},
                fill="tozeroy",
                fillcolor=BLUE_FILL,
                hovertemplate="%{y:.3~s}/s<extra>all</extra>",
            ),
            go.Scatter(
                x=times,
                y=errors,
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
    top = max((value for value in rates if value is not None), default=0)
    figure.update_yaxes(tickformat="~s", range=[0, top * 1.12 if top else 1])
    return figure


def _per_second(number: float | None, step_s: float) -> float | None:
    return number / step_s if number is not None and step_s > 0 else None
