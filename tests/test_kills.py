"""kill -9 of anything, while senders never stop: acknowledged = stored, exactly once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.killing import RECORDS, Sender, counts, kill_child, start_again, wait_for_an_answer
from tests.running_server import Server, wait_for

KILLS_EACH = 20


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
                wait_for_an_answer(senders)
                time.sleep(moment)
                kill_child(server, name)
            time.sleep(moment)
            server.kill_tree()
            start_again(server)
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
            lambda: found if (found := counts(server)) and found[0] >= spans and found[2] >= logs else None,
            600,
            f"{spans} spans and {logs} logs are stored",
        )
        assert stored == (spans, spans, logs, logs)
    finally:
        server.stop()
