"""A store that works until it is killed, again and again: ``python -m tests.store.killed_store DATA``."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import store.database as database
from store.catalogue import utc_now
from store.database import one
from tests.store.journals import batch, give_template, observation, open_store, write_journal

_ROOT = Path(__file__).parent.parent.parent
_ROWS = 500
_JOURNALS = 4
_LONGEST_S = 1.0


class Found(NamedTuple):
    """Rows after all kills: written, there, distinct, and counted by the rollup."""

    written: int
    there: int
    distinct: int
    counted: int


def kill_again_and_again(folder: Path, rounds: Iterable[int]) -> Found:
    """In each round journals of a past hour are given to a store that is killed while it loads, seals, checkpoints and
    merges them. At last one may finish. Raises RuntimeError where one ends by itself."""
    written = 0
    give_template(folder)
    for number in rounds:
        for nth in range(_JOURNALS):
            name = f"k-{number:06}{nth}"
            rows = [observation(row, path=f"/{name}/{row}") for row in range(_ROWS)]
            write_journal(folder / "journal", name, [batch(name, observations=rows)])
            written += _ROWS
        command = [sys.executable, "-m", "tests.store.killed_store", str(folder)]
        with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE) as worker:
            assert worker.stdout is not None
            worker.stdout.readline()  # opened
            time.sleep(random.uniform(0, _LONGEST_S))
            if worker.poll() is not None:
                raise RuntimeError(f"the store ended by itself: {worker.returncode}")
            worker.send_signal(signal.SIGKILL)
    store = open_store(folder)
    store.poll_once()
    with store.reader() as cursor:
        there, distinct = one(cursor.execute("SELECT count(*), count(DISTINCT path) FROM observations_raw"))
        (counted,) = one(cursor.execute('SELECT sum("rows") FROM edges_1m'))
    store.stop()
    return Found(written, there, distinct, counted)


def work_until_killed(folder: Path) -> None:
    """Every seal writes the catalogue's log into its file."""
    database._WAL_BYTES = 0
    store = open_store(folder, retired_kept_s=0.0, rows_kept_days=36_500)
    print("opened", flush=True)
    while True:
        store.poll_once()
        store.tidy(utc_now() + timedelta(hours=2))


if __name__ == "__main__":
    work_until_killed(Path(sys.argv[1]))
