"""The collector's processes, receivers and follower: their room's settings out of the supervisor's, then run."""

from __future__ import annotations

from typing import Any

from collector.settings import CollectorSettings

SHARED = ("data", "grpc", "http", "token_file", "tls_cert", "tls_key", "client_ca", "allow_anonymous")


def collector_settings(settings: dict[str, Any], name: str) -> CollectorSettings:
    """Settings of the process ``name``: what all rooms share plus the [collector] section."""
    shared = {name: settings[name] for name in SHARED}
    return CollectorSettings.from_mapping({**settings["collector"], **shared, "name": name})


def run_collector_process(settings: dict[str, Any], number: int) -> int:
    from collector.main import run_collector

    return run_collector(collector_settings(settings, f"collector{number}")) or 0


def run_follower_process(settings: dict[str, Any]) -> int:
    from collector.follow_main import run_follower
    from collector.follow_targets import follow_targets

    return run_follower(collector_settings(settings, "follower"), follow_targets(settings["follow"])) or 0
