"""Decoders with the defects the fuzzer looks for, to see that it finds them: `python -m tests.fuzz.bad_targets`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from tests.fuzz.__main__ import main
from tests.fuzz.target import Target

BAD = b"bad"


def _raise() -> None:
    raise KeyError("a defect")


def _hang() -> None:
    while True:
        pass


def _swallow() -> None:
    held = [bytes(1 << 28)]
    while True:
        held.append(bytes(1 << 28))


def _only_at_bad(defect: Callable[[], None]) -> Callable[[Sequence[bytes]], None]:
    def run(inputs: Sequence[bytes]) -> None:
        if any(one.startswith(BAD) for one in inputs):
            defect()

    return run


DEFECTS = {"raises": _raise, "aborts": os.abort, "hangs": _hang, "swallows": _swallow}
TARGETS = {
    name: Target(name, lambda: [b"good", b"bad!"], _only_at_bad(defect), together=8, cpu_s=0.3)
    for name, defect in DEFECTS.items()
}

if __name__ == "__main__":
    sys.exit(main(TARGETS))
