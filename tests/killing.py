"""Senders that repeat until they are acknowledged, and what kills the server under them."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import urllib.error
import urllib.request

import grpc

from tests.payloads import LOGS, TRACES, app_spans, log_records
from tests.running_server import Server, accepts, wait_for

RECORDS = 7


class Sender(threading.Thread):
    """Sends exports one after the other and repeats each until it is acknowledged, as an SDK does."""

    def __init__(self, server: Server, kind: str) -> None:
        super().__init__(daemon=True)
        self.server, self.kind = server, kind
        self.acknowledged = 0
        self.repeated = 0
        self.stopping = threading.Event()
        # Reconnect at once, as a sender that must not lose anything would.
        self.channel = grpc.insecure_channel(server.grpc, [("grpc.max_reconnect_backoff_ms", 100)])

    def run(self) -> None:
        while not self.stopping.is_set():
            export = log_records(RECORDS) if self.kind == "logs" else app_spans(RECORDS)
            body = export.SerializeToString()
            while not self._send(body):
                self.repeated += 1
                time.sleep(0.05)
            self.acknowledged += RECORDS

    def _send(self, body: bytes) -> bool:
        if self.kind == "http":
            request = urllib.request.Request(
                f"http://{self.server.http}/v1/traces",
                data=body,
                headers={"Content-Type": "application/x-protobuf"},
            )
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    return answer.status == 200
            except (OSError, urllib.error.URLError):
                return False
        try:
            self.channel.unary_unary(LOGS if self.kind == "logs" else TRACES)(body, timeout=5)
        except grpc.RpcError:
            return False
        return True


def kill_child(server: Server, name: str) -> None:
    """SIGKILL every child of that name, once there is one."""
    pids = wait_for(lambda: server.children(name), 180, f"there is a {name} to kill")
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_for_an_answer(senders: list[Sender]) -> None:
    """Until one more export was acknowledged: there is something new to lose."""
    before = sum(sender.acknowledged for sender in senders)
    wait_for(lambda: sum(s.acknowledged for s in senders) > before, 180, "something is acknowledged")


def start_again(server: Server) -> None:
    """Start it as a service manager would: again, until it listens (the dead may still hold ports)."""

    def listens() -> bool:
        if not server.is_alive():
            server.spawn()
        return bool(server.children("collector")) and accepts(server.grpc)

    wait_for(listens, 180, "the restarted server listens")


def counts(server: Server) -> tuple[int, int, int, int] | None:
    """(spans, distinct spans, logs, distinct logs); None while the server is too busy catching up."""
    try:
        (row,) = server.sql(
            "SELECT (SELECT count(*) FROM spans) AS s, (SELECT count(DISTINCT span_id) FROM spans) AS ds, "
            "(SELECT count(*) FROM logs) AS l, (SELECT count(DISTINCT body) FROM logs) AS dl"
        )
    except AssertionError as error:
        if any(code in str(error) for code in ('"too_slow"', '"busy"')):
            return None
        raise
    return row["s"], row["ds"], row["l"], row["dl"]
