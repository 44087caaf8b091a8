"""Telemetry from web pages: only those the operator named may send to the HTTP port."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.errors import SettingsError
from collector.settings import CollectorSettings
from tests.collector.asking_http import JSON, ask
from tests.collector.running import running_collector

PAGE, OTHER = "https://shop.example:8443", "https://evil.example"
ASKING = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}


def test_no_page_may_send_by_default(tmp_path: Path) -> None:
    """Without the setting a browser that asks is told nothing, and so sends nothing."""
    with running_collector(tmp_path) as collector:
        status, headers, _ = ask(collector, method="OPTIONS", origin=PAGE, **ASKING)
        assert status == 405
        assert not [name for name in headers if name.startswith("access-control")]
        _, headers, _ = ask(collector, b"{}", content_type=JSON, origin=PAGE)
        assert "access-control-allow-origin" not in headers


def test_a_named_page_may_send(tmp_path: Path) -> None:
    """The named origin is allowed POST with our headers and may read every answer, refusals too; others not."""
    with running_collector(tmp_path, cors_origins=[PAGE.upper()]) as collector:
        status, headers, body = ask(collector, method="OPTIONS", origin=PAGE, **ASKING)
        assert (status, body, headers["access-control-allow-origin"]) == (204, b"", PAGE)
        assert headers["access-control-allow-methods"] == "POST"
        assert {"content-type", "content-encoding", "authorization"} <= set(
            headers["access-control-allow-headers"].split(", ")
        )
        for sent, expected in ((b"{}", 200), (b"bad", 400)):
            status, headers, _ = ask(collector, sent, content_type=JSON, origin=PAGE)
            assert (status, headers["access-control-allow-origin"], headers["vary"]) == (
                expected,
                PAGE,
                "origin",
            )
        for stranger in (OTHER, "null", PAGE + ".evil.example"):
            assert ask(collector, method="OPTIONS", origin=stranger, **ASKING)[0] == 405
            assert "access-control-allow-origin" not in ask(collector, b"x", origin=stranger)[1]


def test_a_star_allows_every_page(tmp_path: Path) -> None:
    """`*` is every origin, told by its own name."""
    with running_collector(tmp_path, cors_origins=["*"]) as collector:
        assert ask(collector, b"x", origin=OTHER)[1]["access-control-allow-origin"] == OTHER
        assert "access-control-allow-origin" not in ask(collector, b"x")[1]


@pytest.mark.parametrize("wrong", ["shop.example", "https://shop.example/path", "ftp://shop.example", ""])
def test_what_is_no_origin_is_told_at_start(tmp_path: Path, wrong: str) -> None:
    """A path, a bare host or another scheme can be no page's origin."""
    with pytest.raises(SettingsError, match="cors_origins is wrong: expected origins such as"):
        CollectorSettings.from_mapping({"data": tmp_path, "cors_origins": [wrong]})
