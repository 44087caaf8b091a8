"""The truth: what every caller got and what every version received, counted by those who were there.

What must stay true: a count is made once, by the application itself, and never from anything an Envoy said.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

GONE = "0"


class ClientKey(NamedTuple):
    """One kind of answer a caller got; `version` null means that none answered, `denied` that the version's
    own sidecar did, in its application's place."""

    caller_namespace: str
    caller: str
    service: str
    protocol: str
    version: str | None
    code: str
    grpc_status: str | None
    denied: bool


class ServerKey(NamedTuple):
    """One kind of request an application received."""

    namespace: str
    workload: str
    version: str | None
    protocol: str
    caller: str


class Counts:
    """Counters of one mesh; used from one event loop only."""

    def __init__(self) -> None:
        self.client: Counter[ClientKey] = Counter()
        self.server: Counter[ServerKey] = Counter()
        self.server_errors: Counter[ServerKey] = Counter()
        self.bytes_sent: Counter[ClientKey] = Counter()
        self.bytes_received: Counter[ClientKey] = Counter()
        self.unexpected: list[str] = []
        self.driven = 0

    def surprise(self, text: str) -> None:
        """Keeps what should never happen in a mesh that works; the first hundred are enough to see why."""
        if len(self.unexpected) < 100:
            self.unexpected.append(text[:500])

    def as_json(self) -> dict[str, Any]:
        """`client`: rows of ClientKey and count (TCP: connections, with bytes); `server`: rows of ServerKey
        with requests and errors; `driven`: requests sent by the outside client; `unexpected`: should be
        empty."""
        client = []
        for key, count in sorted(self.client.items(), key=str):
            row = {**key._asdict(), "count": count}
            if key.protocol == "tcp":
                row |= {"request_bytes": self.bytes_sent[key], "response_bytes": self.bytes_received[key]}
            client.append(row)
        server = [
            {**key._asdict(), "requests": count, "errors": self.server_errors[key]}
            for key, count in sorted(self.server.items(), key=str)
        ]
        return {"driven": self.driven, "client": client, "server": server, "unexpected": self.unexpected}
