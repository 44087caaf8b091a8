"""The dashboard's settings: where it listens, who may read it, where the user sends telemetry.

One frozen object, checked when it is made; a bad value is a sentence, not a stack trace.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator


class DashboardSettings(BaseModel):
    """What `build_app` needs to know; unknown names are refused.

    ``ui``, ``grpc``, ``http``: ``HOST:PORT`` as bound; the last two are only shown (how to send telemetry).
    ``tokens``: any of these opens the API (bearer) and the pages (login); empty: open to whoever may connect.
    ``allowed_hosts``: further names a browser may use for this server (``Host``), without port.
    ``data``: the data folder; only ``data/run/*.metrics.json`` is read, for ``/metrics``.
    ``own_metrics_to``: the OTLP receiver (gRPC) that gets the same by push, every ``own_metrics_interval_s``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ui: str = "127.0.0.1:8050"
    grpc: str = "127.0.0.1:4317"
    http: str = "127.0.0.1:4318"
    tokens: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    tls: bool = False
    data: Path | None = None
    own_metrics_to: str | None = None
    own_metrics_interval_s: float = Field(default=15, ge=1)

    @field_validator("ui", "grpc", "http")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        split_address(value)
        return value

    @field_validator("own_metrics_to")
    @classmethod
    def _is_an_endpoint(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^/\s]+:\d+", value):
            raise ValueError(f"{value!r} is no OTLP endpoint, for example http://127.0.0.1:4317")
        return value

    @field_validator("tokens")
    @classmethod
    def _are_tokens(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(value):
            raise ValueError("an empty token would open the server to everybody")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name.lower() for name in value)


def split_address(address: str) -> tuple[str, int]:
    """``"127.0.0.1:8050"`` → ``("127.0.0.1", 8050)``; brackets of an IPv6 address are dropped."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{address!r} is not HOST:PORT, for example 127.0.0.1:8050")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """True for localhost and 127.0.0.0/8, ::1."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
