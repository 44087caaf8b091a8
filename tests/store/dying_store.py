"""A store process that dies (os._exit) when it reaches a named step: ``python -m tests.store.dying_store``."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path

from tests.store.journals import open_store

STATUS = 77


def main(data_dir: str, step: str, nth: str = "1", tidy_at: str = "", **settings: str) -> None:
    left = [int(nth)]

    def die(reached: str) -> None:
        if reached == step:
            left[0] -= 1
            if left[0] == 0:
                os._exit(STATUS)

    store = open_store(Path(data_dir), **{name: float(value) for name, value in settings.items()})
    store.step = die
    store.poll_once()
    if tidy_at:
        store.tidy(datetime.fromisoformat(tidy_at))
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:5], **dict(one.split("=") for one in sys.argv[5:]))
