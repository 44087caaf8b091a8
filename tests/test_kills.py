"""kill -9 of anything, while senders never stop: acknowledged = stored, exactly once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import pytest

from tests.payloads import LOGS, TRACES, app_spans, log_records
from tests.running_server import Server, accepts, wait_for

KILLS_EACH = 20
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


def _kill_child(server: Server, name: str) -> None:
    pids = wait_for(lambda: server.children(name), 180, f"there is a {name} to kill")
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_or_doubled_by_kills(tmp_path: Path) -> None:
    """Kills of the collector, of the store and of the whole tree lose and double nothing acknowledged."""
    server = Server(tmp_path / "data")
    server.start()
    senders = [Sender(server, kind) for kind in ("grpc", "http", "logs")]
    for sender in senders:
        sender.start()
    try:
        for round_number in range(KILLS_EACH):
            # Each round a little later in what goes on: loading, sealing, publishing, starting.
            moment = 0.05 * round_number
            for name in ("collector", "store"):
                _wait_for_an_answer(senders)
                time.sleep(moment)
                _kill_child(server, name)
            time.sleep(moment)
            server.kill_tree()
            _start_again(server)
        wait_for(lambda: server.answers("/readyz"), 180, "the last restart answers")
        time.sleep(1)
    finally:
        for sender in senders:
            sender.stopping.set()
        for sender in senders:
            sender.join(30)
    try:
        assert all(not sender.is_alive() for sender in senders)
        spans = senders[0].acknowledged + senders[1].acknowledged
        logs = senders[2].acknowledged
        assert min(sender.acknowledged for sender in senders) > KILLS_EACH * RECORDS
        assert sum(sender.repeated for sender in senders) > KILLS_EACH
        stored = wait_for(
            lambda: (
                counts if (counts := _counts(server)) and counts[0] >= spans and counts[2] >= logs else None
            ),
            600,
            f"{spans} spans and {logs} logs are stored",
        )
        assert stored == (spans, spans, logs, logs)
    finally:
        server.stop()


def _wait_for_an_answer(senders: list[Sender]) -> None:
    """Until one more export was acknowledged: there is something new to lose."""
    before = sum(sender.acknowledged for sender in senders)
    wait_for(lambda: sum(s.acknowledged for s in senders) > before, 180, "something is acknowledged")


def _start_again(server: Server) -> None:
    """Start it as a service manager would: again, until it listens (the dead may still hold ports)."""

    def listens() -> bool:
        if not server.is_alive():
            server.spawn()
        return bool(server.children("collector")) and accepts(server.grpc)

    wait_for(listens, 180, "the restarted server listens")


def _counts(server: Server) -> tuple[int, int, int, int] | None:
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
