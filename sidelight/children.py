"""The processes the supervisor starts: ``python -m sidelight.children collector N | follower | store``.

What must stay true: a child ends within two seconds of its supervisor, whatever killed that one.
The kernel tells us (PR_SET_PDEATHSIG → SIGTERM), a watcher thread makes sure.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_LINGER_SECONDS = 1.5


def follow_parent(parent: int) -> None:
    """Ask for SIGTERM at the parent's death, and leave for good 1.5 s after it."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    def watch() -> None:
        _wait_for_end(parent)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_LINGER_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _wait_for_end(parent: int) -> None:
    """Until our parent is no more, without waking up meanwhile (a laptop's battery pays for every tick)."""
    try:
        descriptor = os.pidfd_open(parent)
    except ProcessLookupError:
        return
    except OSError:  # an old kernel, or a container that forbids it
        while os.getppid() == parent:
            time.sleep(0.2)
        return
    ending = select.poll()
    ending.register(descriptor, select.POLLIN)
    while os.getppid() == parent:
        ending.poll()


def main(arguments: list[str]) -> int:
    follow_parent(int(os.environ.get("SIDELIGHT_SUPERVISOR", os.getppid())))
    settings: dict[str, Any] = json.loads(Path(os.environ["SIDELIGHT_SETTINGS"]).read_text(encoding="utf-8"))
    if arguments[0] in ("collector", "follower"):
        from sidelight.collector_process import run_collector_process, run_follower_process
        from store.without_pandas import do_without_pandas

        do_without_pandas()
        if arguments[0] == "follower":
            return run_follower_process(settings)
        return run_collector_process(settings, int(arguments[1]))
    from sidelight.store_process import run_store_process

    return run_store_process(settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
