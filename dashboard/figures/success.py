"""The share of requests that succeeded, over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.figures.style import GREEN, calm_figure, gaps, points_frame, tick_times


def success_figure(points: Sequence[dict[str, Any]], *, keep: str | None = None) -> go.Figure:
    """Points of one view of `/api/timeseries` → success in percent; steps without one are gaps.

    The axis never hides that 100 is the top, and shows at least the last five percent, so that a dip of
    a tenth of a percent does not look like an outage.
    """
    frame = points_frame(points, "success_rate")
    times, shares = frame["time"].tolist(), 100 * frame["success_rate"]
    lowest = shares.min() if shares.notna().any() else 100.0
    floor = min(95.0, max(0.0, math.floor((lowest - 0.5) / 5) * 5))
    figure = calm_figure(
        [
            go.Scatter(
                x=times,
                y=gaps(shares),
                name="success",
                mode="lines+markers",
                line={"color": GREEN, "width": 1.6},
                marker={"size": 3, "color": GREEN},
                connectgaps=False,
                hovertemplate="%{y:.2f} %<extra>success</extra>",
            )
        ],
        height_px=96,
        keep=keep,
    )
    figure.update_xaxes(tickformat=tick_times(times), range=[times[0], times[-1]] if times else None)
    figure.update_yaxes(range=[floor, 100 + (100 - floor) * 0.06], ticksuffix=" %", nticks=3)
    return figure
