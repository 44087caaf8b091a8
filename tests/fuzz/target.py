"""What the runner needs to know of a decoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """``run`` takes some inputs in one call and raises for a finding; ``corpus`` gives intact inputs."""

    name: str
    corpus: Callable[[], list[bytes]]
    run: Callable[[Sequence[bytes]], None]
    together: int = 100  # inputs in one call
    cpu_s: float = 5.0  # one input may take; a call six times that


class Finding(AssertionError):
    """What a decoder gave back is not what it promises."""
