"""Figures: plain functions from an answer to a plotly figure, with no text of telemetry in them."""

from __future__ import annotations

import json
from typing import Any

import plotly.graph_objects as go
import pytest

from dashboard.figures import duration_scatter, latency_figure, rate_figure, success_figure
from tests.dashboard.answers import point, timeseries, traces

POINTS = timeseries()["client"]
HOSTILE = "<img src=x onerror=alert(1)>"


def every_figure(points: list[dict[str, Any]]) -> list[go.Figure]:
    return [rate_figure(points, step_s=5), success_figure(points), latency_figure(points)]


def test_empty_steps_are_zero_requests_but_no_success_and_no_latency() -> None:
    """A step without requests is a rate of 0, and a gap where there is nothing to divide or to time."""
    empty = point(4)
    rate, success, latency = every_figure([point(3), empty, point(5)])
    assert rate.data[0].y[1] == 0
    assert rate.data[1].y[1] == 0
    assert success.data[0].y[1] is None
    assert [line.y[1] for line in latency.data] == [None, None, None]


def test_unknown_counts_stay_gaps() -> None:
    """A step of which nothing is known is a gap, never 0."""
    nothing = dict.fromkeys(point(1)) | {"time": point(1)["time"]}
    for figure in every_figure([point(0), nothing]):
        for line in figure.data:
            assert line.y[1] is None


def test_errors_are_per_second_like_the_rate() -> None:
    """Errors are divided by the step's length, so that they can be read against the rate."""
    figure = rate_figure([point(7)], step_s=5)
    assert figure.data[1].y == (pytest.approx(2 / 5),)


@pytest.mark.parametrize(
    ("lowest", "floor"), [(1.0, 95), (0.999, 95), (0.96, 95), (0.95, 90), (0.5, 45), (0.02, 0), (0.0, 0)]
)
def test_the_success_axis_shows_at_least_five_percent(lowest: float, floor: float) -> None:
    """A dip of a tenth of a percent does not look like an outage, and an outage is on the picture."""
    figure = success_figure([point(1), point(2) | {"success_rate": lowest}])
    assert figure.layout.yaxis.range[0] == floor
    assert figure.layout.yaxis.range[1] >= 100


def test_lines_differ_by_more_than_colour() -> None:
    """Every line of a figure has a dash of its own, for those who do not see the colours."""
    for figure in (rate_figure(POINTS, step_s=5), latency_figure(POINTS)):
        dashes = [line.line.dash or "solid" for line in figure.data]
        assert len(set(dashes)) == len(dashes)


@pytest.mark.parametrize("figure", [*every_figure(POINTS), *every_figure([]), duration_scatter([])])
def test_the_look_is_calm_and_fits_light_and_dark(figure: go.Figure) -> None:
    """No background of its own, no legend, no toolbar: the page's colours show through."""
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert figure.layout.showlegend is False
    json.loads(figure.to_json())


def test_traces_with_errors_have_a_shape_of_their_own() -> None:
    """Failed traces are diamonds, the others circles, and the click gives back the id."""
    figure = duration_scatter(traces()["traces"])
    ok, failed = figure.data
    assert (ok.marker.symbol, failed.marker.symbol) == ("circle", "diamond")
    assert failed.customdata[0][0] == traces()["traces"][0]["trace_id"]
    assert len(ok.x) + len(failed.x) == len(traces()["traces"])


@pytest.mark.parametrize(
    ("durations", "kind"), [([10, 20, 199], "linear"), ([10, 20, 201], "log"), ([0, 3, 900], "log")]
)
def test_the_duration_axis_is_logarithmic_only_where_needed(durations: list[float], kind: str) -> None:
    """Durations that span more than a factor of twenty get a logarithmic axis, where nothing is at zero."""
    found = [trace | {"duration_ms": ms} for trace, ms in zip(traces()["traces"], durations, strict=False)]
    figure = duration_scatter(found)
    assert figure.layout.yaxis.type == kind
    if kind == "log":
        assert all(value > 0 for line in figure.data for value in line.y)


def test_no_name_from_telemetry_is_in_a_figure() -> None:
    """Plotly reads labels as pseudo-HTML, so names, services and paths never enter a figure."""
    hostile = [
        trace | {"root_name": HOSTILE, "root_service": HOSTILE, "services": [{"name": HOSTILE, "spans": 1}]}
        for trace in traces()["traces"]
    ]
    assert "onerror" not in duration_scatter(hostile).to_json()
