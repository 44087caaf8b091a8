"""`sidelight serve --follow`: log files become rows of a running server, also over a kill of the follower."""

from __future__ import annotations

import os
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.collector.following import append, line, lines
from tests.running_server import running, wait_for

pytestmark = pytest.mark.slow


def test_followed_files_are_in_the_answers_over_kill_and_rotation(tmp_path: Path) -> None:
    """Rows with their writer's name; after kill -9 and a rotation every line is there once; it is counted."""
    pod = (
        tmp_path
        / "pods"
        / "shop_cart-v2-7f9c4d8b6-x2x4z_5b1c8f0e-1111-2222-3333-444455556666"
        / "istio-proxy"
    )
    pod.mkdir(parents=True)
    log = pod / "0.log"
    append(log, f"2026-11-21T12:00:00.1Z stdout F {line(1)}")
    with running(
        tmp_path / "data", "--follow", str(tmp_path / "pods" / "*" / "istio-proxy" / "*.log")
    ) as server:

        def count() -> int:
            return int(server.sql("SELECT count(*) AS n FROM observations")[0]["n"])

        wait_for(lambda: count() == 1, 120, "the line that was there is a row")
        (row,) = server.sql("SELECT source_workload, source_namespace, signal, status_code FROM observations")
        assert row == {
            "source_workload": "cart-v2",
            "source_namespace": "shop",
            "signal": "file",
            "status_code": 200,
        }
        (follower,) = server.children("follower")
        os.kill(follower, signal.SIGKILL)
        append(log, lines(2, 40))
        log.rename(log.with_name("0.log.20261121-120001"))
        append(log, lines(41, 50) + "nonsense\n")
        wait_for(lambda: count() >= 50, 120, "the restarted follower has read the rest")
        assert server.sql("SELECT count(*) AS n, count(DISTINCT request_id) AS d FROM observations") == [
            {"n": 50, "d": 50}
        ]
        wait_for(lambda: server.sql("SELECT place FROM rejects"), 60, "the bad line is told")
        assert server.sql("SELECT place FROM rejects") == [{"place": f"{log}:11"}]

        def metrics() -> str:
            with urllib.request.urlopen(server.url("/metrics"), timeout=30) as answer:
                return answer.read().decode()

        wait_for(lambda: 'sidelight_followed_files{collector="follower"} 2' in metrics(), 60, "it is counted")
        assert 'sidelight_followed_behind_bytes{collector="follower"} 0' in metrics()


def test_a_server_that_starts_again_goes_on(tmp_path: Path) -> None:
    """What was written while nobody served comes then, and nothing of before comes again."""
    log = tmp_path / "access.log"
    append(log, lines(1, 3))
    config = tmp_path / "sidelight.toml"
    config.write_text(f'[[follow]]\npath = "{log}"\nemitter = "shop/cart-0"\n')
    statement = "SELECT count(*) AS n, count(DISTINCT request_id) AS d, min(emitter) AS e FROM observations"
    for last in (3, 5):
        append(log, lines(4, last))
        with running(tmp_path / "data", "--config", str(config)) as server:
            wanted = [{"n": last, "d": last, "e": "cart-0.shop"}]
            wait_for(lambda: server.sql(statement) == wanted, 120, "every line is a row, once")  # noqa: B023
