"""uvicorn that wakes up twice a second instead of ten times while nobody asks anything.

What must stay true: it exits at once when ``leave`` is called, and notices ``should_exit`` within half a second.
"""

from __future__ import annotations

import asyncio
import contextlib

import uvicorn

_TICK_S = 0.5


class QuietServer(uvicorn.Server):
    """A server for a laptop: an idle tick costs a process's wake-up, whatever it finds to do."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        """Exit now. On the server's own loop."""
        self.should_exit = True
        self._leaving.set()

    async def main_loop(self) -> None:
        """uvicorn's own, at our pace. Every tick is one of those that renew the Date header."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), _TICK_S)
