"""The collector's process: its room's settings out of the supervisor's, then run."""

from __future__ import annotations

from typing import Any

from collector.settings import CollectorSettings

SHARED = ("data", "grpc", "http", "token_file", "tls_cert", "tls_key", "client_ca", "allow_anonymous")


def collector_settings(settings: dict[str, Any], number: int) -> CollectorSettings:
    """Settings of collector ``number``: what all rooms share plus the [collector] section."""
    shared = {name: settings[name] for name in SHARED}
    return CollectorSettings.from_mapping({**settings["collector"], **shared, "name": f"collector{number}"})


def run_collector_process(settings: dict[str, Any], number: int) -> int:
    from collector.main import run_collector

    return run_collector(collector_settings(settings, number)) or 0
