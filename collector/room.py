"""How many bytes of others' requests this process holds, and the brake when they are too many.

What must stay true: only the event loop's thread touches it; whoever takes gives back.
"""

from __future__ import annotations

import asyncio

from collector.errors import Overloaded

EXPORT_OVERHEAD_BYTES = 1024  # so that a million empty requests are not free


class Room:
    """``limit`` bytes for requests that can be refused; an eighth more for streams one can only brake."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._changed = asyncio.Event()

    def fits(self, size: int) -> bool:
        """A request larger than the whole room still passes when it is alone."""
        return self.used == 0 or self.used + size <= self.limit

    def take(self, size: int) -> None:
        """Raises Overloaded."""
        if not self.fits(size):
            raise Overloaded(f"{self.used} bytes wait to be stored already; try again later.")
        self.used += size

    def give(self, size: int) -> None:
        self.used -= size
        self._changed.set()

    def take_braked(self, size: int) -> bool:
        if self.used and self.used + size > self.limit + self.limit // 8:
            return False
        self.used += size
        return True

    async def change(self, timeout_s: float) -> None:
        """Return when something was given back, or after ``timeout_s``."""
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return
