"""How long answers took, over time: the median and the slow tail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.figures.style import AMBER, BLUE, VIOLET, calm_figure, gaps, points_frame, tick_times

# Field, label, colour, dash: told apart by the dash as well as by the colour.
_LINES = (
    ("p50_ms", "p50", BLUE, "solid"),
    ("p95_ms", "p95", VIOLET, "dash"),
    ("p99_ms", "p99", AMBER, "dot"),
)


def latency_figure(points: Sequence[dict[str, Any]], *, keep: str | None = None) -> go.Figure:
    """Points of one view of `/api/timeseries` → p50, p95 and p99 in ms; null steps are gaps."""
    frame = points_frame(points, *(field for field, *_ in _LINES))
    times = frame["time"].tolist()
    figure = calm_figure(
        [
            go.Scatter(
                x=times,
                y=gaps(frame[field]),
                name=label,
                mode="lines+markers",
                line={"color": colour, "width": 1.6, "dash": dash},
                marker={"size": 3, "color": colour},
                connectgaps=False,
                hovertemplate="%{y:.4~g} ms<extra>" + label + "</extra>",
            )
            for field, label, colour, dash in _LINES
        ],
        height_px=118,
        keep=keep,
    )
    figure.update_xaxes(tickformat=tick_times(times), range=[times[0], times[-1]] if times else None)
    figure.update_yaxes(ticksuffix=" ms", tickformat="~s")
    return figure
