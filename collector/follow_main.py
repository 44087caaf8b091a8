"""The follower's process: followed files → a journal of its own, until SIGTERM.

What must stay true: killed at any moment, what it had delivered is in the journal and is not delivered twice;
SIGTERM ends it within two seconds, a full journal or a slow disk notwithstanding.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from typing import NoReturn

from collector.errors import CollectorError
from collector.follow_positions import PositionLog, PositionsInUse
from collector.follow_targets import FollowTarget
from collector.follow_watch import Watch
from collector.follow_writers import Writers
from collector.follower import Follower
from collector.journal import JournalWriter, writer_name
from collector.main import raise_file_limit
from collector.metrics import Metrics
from collector.settings import CollectorSettings

log = logging.getLogger(__name__)

_LAST_WORD_S = 1.5
_SNAPSHOT_S = 1.0


def run_follower(settings: CollectorSettings, targets: tuple[FollowTarget, ...]) -> NoReturn:
    """Follow ``targets`` until SIGTERM or SIGINT, then end the process: status 0, or 1 with a sentence on stderr."""
    raise_file_limit()
    stopping = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        if not stopping.is_set():
            last_word = threading.Timer(_LAST_WORD_S, os._exit, [0])
            last_word.daemon = True
            last_word.start()
            stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    status = 0
    try:
        follow(settings, targets, stopping)
    except (CollectorError, PositionsInUse, OSError) as error:
        print(f"sidelight follower: {error}", file=sys.stderr, flush=True)
        status = 1
    except BaseException:
        log.exception("The follower ended by a defect")
        status = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def follow(settings: CollectorSettings, targets: tuple[FollowTarget, ...], stopping: threading.Event) -> None:
    """Follow ``targets`` until ``stopping``. Raises PositionsInUse, OSError."""
    metrics = Metrics(settings.name)
    positions = PositionLog(settings.data / "follow")
    journal = JournalWriter(
        settings.journal_folder,
        writer_name(settings.name),
        settings.journal_limit_bytes,
        settings.rotate_bytes,
        settings.rotate_s,
        settings.disk_free_min_bytes,
    )
    watch = Watch(targets, positions)
    follower = Follower(watch, positions, Writers(targets), journal, metrics, stopping)
    _keep_snapshots(settings, metrics, stopping)
    try:
        follower.run()
    finally:
        journal.close()
        watch.close()
        positions.close()


def _keep_snapshots(settings: CollectorSettings, metrics: Metrics, stopping: threading.Event) -> None:
    """In a thread of its own: the loop may wait for the disk, and that is when its numbers are wanted."""

    def keep() -> None:
        while True:
            with contextlib.suppress(OSError):  # a full disk must not end the follower; the journal tells
                metrics.write(settings.metrics_path, {})
            if stopping.wait(_SNAPSHOT_S):
                return

    threading.Thread(target=keep, name="snapshots", daemon=True).start()
