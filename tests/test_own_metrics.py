"""What the server says of itself: at /metrics, and by OTLP where it is told to, also to itself."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from tests.running_server import Server, wait_for

pytestmark = pytest.mark.slow


def test_a_server_sends_its_own_metrics_to_itself_without_a_loop(tmp_path: Path) -> None:
    """Every process's numbers arrive as points, once a round; one more round is one more export, no more."""
    config = tmp_path / "sidelight.toml"
    server = Server(tmp_path / "data", "--config", str(config))
    config.write_text(f'[dashboard]\nown_metrics_to = "http://{server.grpc}"\nown_metrics_interval_s = 1\n')
    server.start()
    try:
        rounds = (
            "SELECT count(DISTINCT time) AS n FROM metric_points WHERE name = 'sidelight_store_loaded_rows'"
        )
        wait_for(lambda: server.sql(rounds)[0]["n"] >= 3 or None, 60, "three rounds of our own metrics")
        names = {row["name"] for row in server.sql("SELECT DISTINCT name FROM metric_points")}
        assert {
            "sidelight_journal_bytes",
            "sidelight_received_exports",
            "sidelight_store_lag_s",
            "sidelight_query_duration_seconds_count",
        } <= names
        said = server.sql(
            "SELECT count(DISTINCT time) AS rounds, max(value) AS exports FROM metric_points "
            "WHERE name = 'sidelight_received_exports'"
        )[0]
        assert said["exports"] <= said["rounds"] + 1
        assert server.sql("SELECT count(*) AS n FROM requests") == [{"n": 0}]
        text = urllib.request.urlopen(f"http://{server.ui}/metrics").read().decode()
        assert 'sidelight_query_duration_seconds_bucket{query="sql",le="+Inf"}' in text
    finally:
        server.stop()
