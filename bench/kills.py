"""kill -9 at random instants: rows acknowledged and gone, rows stored twice.

Two thirds of the kills are of a whole `sidelight serve` under senders that never stop and repeat what was not
acknowledged: of its collector, its store, or all of it. The others are of a store alone that loads, seals, checkpoints,
merges and drops without a pause, which a server does once an hour.
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import track

from tests.killing import Sender, counts, kill_child, start_again, wait_for_an_answer
from tests.running_server import Server, wait_for
from tests.store.killed_store import kill_again_and_again

Row = tuple[str, str, str, str]

KILLS = 300
_LONGEST_S = 2.0
_CONSOLE = Console(stderr=True)


def kills(times: int = KILLS) -> list[Row]:
    """Lost and doubled rows after ``times`` kills."""
    alone = times // 3
    return [*kills_of_a_server(times - alone), *kills_of_a_store(alone)]


def kills_of_a_server(times: int) -> list[Row]:
    """Of its collector, its store, or all of it, each after something new was acknowledged and up to two seconds."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "data")
        server.start()
        senders = [Sender(server, kind) for kind in ("grpc", "http", "logs")]
        for sender in senders:
            sender.start()
        try:
            for _ in track(range(times), "Kills of a server", console=_CONSOLE):
                wait_for_an_answer(senders)
                time.sleep(random.uniform(0, _LONGEST_S))
                if (name := random.choice(("collector", "store", ""))) != "":
                    kill_child(server, name)
                else:
                    server.kill_tree()
                    start_again(server)
            for sender in senders:
                sender.stopping.set()
            for sender in senders:
                sender.join(120)
            wait_for(lambda: server.answers("/readyz"), 180, "the last restart answers")
            spans = senders[0].acknowledged + senders[1].acknowledged
            logs = senders[2].acknowledged
            stored = _settled(server, spans, logs)
        finally:
            server.stop()
    repeated = sum(sender.repeated for sender in senders)
    how = f"{spans + logs:,} rows acknowledged, {repeated:,} exports sent again"
    lost = spans + logs - stored[1] - stored[3]
    return _rows(f"{times} kills of a server", lost, stored[0] - stored[1] + stored[2] - stored[3], how)


def _settled(server: Server, spans: int, logs: int) -> tuple[int, int, int, int]:
    """(spans, distinct, logs, distinct) once everything is there, or after five minutes."""
    deadline = time.monotonic() + 300
    while True:
        found = counts(server)
        if found and ((found[1] >= spans and found[3] >= logs) or time.monotonic() > deadline):
            return found
        time.sleep(1)


def kills_of_a_store(times: int) -> list[Row]:
    """Of one that loads, seals, checkpoints and merges (`tests/store/killed_store.py`)."""
    with tempfile.TemporaryDirectory() as folder:
        rounds = track(range(times), "Kills of a store", console=_CONSOLE)
        found = kill_again_and_again(Path(folder), rounds)
    how = f"{found.written:,} rows, {found.counted - found.written:+,} in the rollup; seals, checkpoints, merges"
    lost, doubled = found.written - found.distinct, found.there - found.distinct
    return _rows(f"{times} kills of a store", lost, doubled, how)


def _rows(what: str, lost: int, doubled: int, how: str) -> list[Row]:
    return [(f"{what}: rows lost", f"{lost:,}", "0", how), (f"{what}: rows doubled", f"{doubled:,}", "0", "")]
