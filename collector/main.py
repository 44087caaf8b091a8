"""The collector's process: journal, door and both servers on one event loop, until SIGTERM.

What must stay true: a drain takes at most two seconds, and no answer is given that the journal does
not hold. Killed at any moment, what was acknowledged is in the journal's files.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from typing import NoReturn

from collector.errors import CollectorError
from collector.grpc_server import GrpcServer
from collector.http_server import HttpServer
from collector.intake import Decoder, Intake
from collector.journal import JournalWriter, writer_name
from collector.metrics import Metrics
from collector.settings import CollectorSettings

log = logging.getLogger(__name__)

GRACE_S = 1.2
_LAST_WORD_S = 1.9  # after this a drain is cut: what has no answer yet was not promised
_SNAPSHOT_S = 1.0


def run_collector(
    settings: CollectorSettings, on_ready: Callable[[Collector], None] | None = None
) -> NoReturn:
    """Serve until SIGTERM or SIGINT, then end the process: status 0, or 1 with a sentence on stderr.

    ``on_ready`` is called once both ports listen. The process is left without the interpreter's
    farewell: gRPC's and Arrow's threads can take seconds over it, and hold nothing that is ours.
    """
    raise_file_limit()
    status = 0
    try:
        asyncio.run(_serve(settings, on_ready))
    except CollectorError as error:
        print(f"sidelight collector: {error}", file=sys.stderr, flush=True)
        status = 1
    except BaseException:
        log.exception("The collector ended by a defect")
        status = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


class Collector:
    """Everything of one collector process. Built on the running event loop."""

    def __init__(
        self,
        settings: CollectorSettings,
        decoders: Mapping[str, Decoder] | None = None,
        split_identifier: Callable[[bytes], bytes | None] | None = None,
    ) -> None:
        if decoders is None or split_identifier is None:
            from collector import decoders as real  # heavy imports, not needed by tests of the servers

            decoders, split_identifier = real.DECODERS, real.split_identifier
            real.warm_up()
        self.settings = settings
        self.metrics = Metrics(settings.name)
        self.journal = JournalWriter(
            settings.journal_folder,
            writer_name(settings.name),
            settings.journal_limit_bytes,
            settings.rotate_bytes,
            settings.rotate_s,
            settings.disk_free_min_bytes,
        )
        self.intake = Intake(self.journal, decoders, self.metrics, settings.waiting_limit_bytes)
        self.grpc = GrpcServer(settings, self.intake, split_identifier)
        self.http = HttpServer(settings, self.intake)
        self._snapshots: asyncio.Task[None] | None = None
        gauge = self.metrics.gauge
        gauge("sidelight_waiting_bytes", "Bytes of requests not answered yet.", lambda: self.intake.room.used)
        gauge("sidelight_journal_bytes", "Bytes of all journal files.", self.journal.usage_bytes)
        gauge("sidelight_journal_limit_bytes", "Its limit.", lambda: settings.journal_limit_bytes)
        gauge("sidelight_journal_syncs", "Group syncs so far.", lambda: self.journal.synced_writes)
        gauge("sidelight_journal_failures", "Failed writes so far.", lambda: self.journal.failed_writes)

    async def start(self) -> None:
        """Raises PortTaken or SettingsError."""
        await self.grpc.start()
        await self.http.start()
        self._write_snapshot()
        self._snapshots = asyncio.create_task(self._keep_snapshots())

    async def stop(self) -> None:
        """Stop accepting, answer what is due, finish the journal."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + GRACE_S
        self.intake.close_door()
        await asyncio.gather(self.grpc.stop(GRACE_S), self.http.stop())
        await self.intake.drain(max(0.1, deadline - loop.time()))
        await loop.run_in_executor(None, self.journal.close)
        if self._snapshots is not None:
            self._snapshots.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._snapshots
        self._write_snapshot()

    async def _keep_snapshots(self) -> None:
        while True:
            await asyncio.sleep(_SNAPSHOT_S)
            self._write_snapshot()

    def _write_snapshot(self) -> None:
        listening = {"grpc": self.grpc.address, "http": self.http.address}
        with contextlib.suppress(OSError):  # a full disk must not end the collector; the journal tells
            self.metrics.write(self.settings.metrics_path, {"listening": listening})


async def _serve(settings: CollectorSettings, on_ready: Callable[[Collector], None] | None) -> None:
    collector = Collector(settings)
    stopping = asyncio.Event()

    def stop() -> None:
        if not stopping.is_set():
            last_word = threading.Timer(_LAST_WORD_S, os._exit, [0])
            last_word.daemon = True
            last_word.start()
            stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await collector.start()
        if on_ready is not None:
            on_ready(collector)
        await stopping.wait()
    finally:
        await collector.stop()


def raise_file_limit() -> None:
    """Every sidecar keeps a connection or three; 1024 files would be few."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 65_536
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
