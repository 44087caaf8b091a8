"""The dashboard's settings: where it listens, who may read it, where the user sends telemetry.

One frozen object, checked when it is made; a bad value is a sentence, not a stack trace.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DashboardSettings:
    """What `build_app` needs to know.

    ``ui``, ``grpc``, ``http``: ``HOST:PORT`` as bound; the last two are only shown (how to send telemetry).
    ``tokens``: any of these opens the API (bearer) and the pages (login); empty: open to whoever may connect.
    ``allowed_hosts``: further names a browser may use for this server (``Host``), without port.
    ``data``: the data folder; only ``data/run/*.metrics.json`` is read, for ``/metrics``.
    """

    ui: str = "127.0.0.1:8050"
    grpc: str = "127.0.0.1:4317"
    http: str = "127.0.0.1:4318"
    tokens: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    tls: bool = False
    data: Path | None = None
    version: str = "0.1.0"

    def __post_init__(self) -> None:
        for name in ("ui", "grpc", "http"):
            split_address(getattr(self, name), name)
        if any(len(token) < 8 for token in self.tokens):
            raise ValueError("tokens: a token has at least 8 characters.")


def split_address(address: str, name: str = "address") -> tuple[str, int]:
    """``"127.0.0.1:8050"`` → ``("127.0.0.1", 8050)``; brackets of an IPv6 address are dropped."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{name}: {address!r} is not HOST:PORT, for example 127.0.0.1:8050.")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """True for localhost and 127.0.0.0/8, ::1."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
