"""Everything acknowledged so far → sealed, now: what `sidelight store compact`, a backup and an export begin with.

What must stay true: whatever was acknowledged before the call lies in segments that the catalogue and
``sidelight.duckdb`` list when it returns. Writers are asked by a touched file to finish their open journals; the
store's own threads load, seal, publish and unlink them as they always do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from store.errors import StoreError, StoreFailed
from store.frames import FINISH_MARKER
from store.journal_files import list_journals

if TYPE_CHECKING:
    from store.engine import Store

Tell = Callable[[int, int, str], None]
"""(done, total, what is done just now): called often; raises to end the job."""

_LOOK_S = 0.1
_STUCK_S = 60.0


class NotSealed(StoreError):
    """A journal is not sealed although nothing else is loaded or sealed any more."""


def seal_acknowledged(store: Store, tell: Tell, stuck_s: float = _STUCK_S) -> int:
    """Return when all journals that hold something now are sealed and unlinked: how many. ``store`` is started.

    Raises NotSealed, StoreFailed, OSError.
    """
    folder = store.settings.journal
    wanted = set(list_journals(folder))
    ask_to_finish(folder)
    loaded = store.status()["loaded_rows"]
    seen, since = (0, 0), time.monotonic()
    while left := wanted.intersection(list_journals(folder)):
        if store.failure is not None:
            raise StoreFailed(f"What is left stays in the journal, but: {store.failure}")
        status = store.status()
        rows = status["loaded_rows"] - loaded
        tell(len(wanted) - len(left), len(wanted), f"sealing what was acknowledged, {rows:,} rows loaded")
        now = (len(left), status["loaded_rows"] + status["repeated_exports"])
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() > since + stuck_s:
            raise NotSealed(
                f"{len(left)} journals are not sealed for {stuck_s:g} seconds, the first: {min(left)}. "
                "Nothing of them is lost; see the server's log and disk, and try again."
            )
        time.sleep(_LOOK_S)
    return len(wanted)


def ask_to_finish(folder: Path) -> None:
    """Have every writer finish the file it has open. Raises OSError."""
    marker = folder / FINISH_MARKER
    marker.touch(mode=0o600)
    now = time.time_ns()
    os.utime(marker, ns=(now, now))  # a touch within the same tick of the kernel's clock would be none
