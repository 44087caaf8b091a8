"""Figures: plain functions from a JSON answer to a plotly figure. No I/O, no clock, no callbacks."""

from dashboard.figures.latency import latency_figure
from dashboard.figures.rate import rate_figure
from dashboard.figures.scatter import duration_scatter
from dashboard.figures.success import success_figure

__all__ = ["duration_scatter", "latency_figure", "rate_figure", "success_figure"]
