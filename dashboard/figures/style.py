"""The calm look all figures share: no background, thin grid, muted text.

A figure is drawn once for light and dark: its colours are mid-tones that read on both, and
`assets/figures.css` retints text, grid and hover boxes from the page's colour variables. So a
change of theme needs no answer from the server.

Danger: plotly reads labels and hover texts as pseudo-HTML. No text from telemetry may ever enter a
figure's text, name, hovertext or hovertemplate; such things travel as `customdata` only, and only to be
given back on a click.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

BLUE = "#3d7fc4"
BLUE_FILL = "rgba(61,127,196,0.20)"
RED = "#d1495b"
RED_FILL = "rgba(209,73,91,0.45)"
GREEN = "#2f9467"
AMBER = "#c07a1c"
VIOLET = "#8a63c9"
MUTED = "#7a8696"
GRID = "rgba(128,140,160,0.22)"

FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif"

# What dcc.Graph gets as `config` with these figures: no toolbar, follows its box.
GRAPH_CONFIG: Any = {
    "displayModeBar": False,
    "responsive": True,
    "displaylogo": False,
    "doubleClick": "reset",
}


def calm_figure(traces: Sequence[Any], *, height_px: int, keep: str | None = None) -> go.Figure:
    """A figure of `traces` in the house style; zoom survives while `keep` stays the same."""
    figure = go.Figure(list(traces))
    figure.update_layout(
        height=height_px,
        margin={"l": 42, "r": 8, "t": 6, "b": 22},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 11, "color": MUTED},
        showlegend=False,
        hovermode="x unified",
        hoverlabel={"font": {"family": FONT, "size": 11}, "bgcolor": "#232b38", "bordercolor": "#232b38"},
        hoverlabel_font_color="#ffffff",
        uirevision=keep,
        transition={"duration": 0},
        dragmode="zoom",
    )
    figure.update_xaxes(
        type="date",
        showgrid=False,
        zeroline=False,
        showline=True,
        linecolor=GRID,
        ticks="",
        nticks=5,
        tickformat="%H:%M:%S",
        hoverformat="%H:%M:%S UTC",
        fixedrange=False,
    )
    figure.update_yaxes(
        gridcolor=GRID,
        gridwidth=1,
        zeroline=False,
        showline=False,
        ticks="",
        nticks=4,
        fixedrange=True,
        rangemode="tozero",
    )
    return figure


def points_frame(points: Sequence[dict[str, Any]], *fields: str) -> pd.DataFrame:
    """Points of an answer as columns: ``time`` as sent, ``fields`` as numbers, what is not known as NaN."""
    frame = pd.DataFrame(list(points)).reindex(columns=["time", *fields])
    frame[list(fields)] = frame[list(fields)].apply(pd.to_numeric, errors="coerce")
    return frame


def gaps(values: pd.Series) -> list[Any]:
    """A column as plotly draws it: None, a gap, where nothing is known."""
    return values.astype(object).where(values.notna(), None).tolist()


def tick_times(times: Sequence[str]) -> str:
    """The axis format that fits a window: seconds only for windows under ten minutes."""
    from dashboard.wording import moment

    first, last = (moment(times[0]), moment(times[-1])) if times else (None, None)
    if first is None or last is None:
        return "%H:%M:%S"
    seconds = (last - first).total_seconds()
    if seconds <= 600:
        return "%H:%M:%S"
    return "%H:%M" if seconds <= 36 * 3600 else "%b %d %H:%M"
