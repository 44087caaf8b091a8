"""Carries bytes from a port of this process to a sidecar, leaving from the pod's own address."""

from __future__ import annotations

import asyncio


class Relay:
    """A listener on 127.0.0.1; each connection becomes one from `ip` to `ip:port`."""

    def __init__(self, ip: str, port: int) -> None:
        self._ip = ip
        self._port = port
        self._server: asyncio.Server | None = None

    async def open(self) -> int:
        """Listens, once however often asked; returns the port."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Near(self._ip, self._port), "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()


class _Near(asyncio.Protocol):
    """The side of the caller; what arrives before the far side is connected waits in a list."""

    def __init__(self, ip: str, port: int) -> None:
        self._ip = ip
        self._port = port
        self._far: asyncio.Transport | None = None
        self._waiting: list[bytes] = []
        self._connecting: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            far, _ = await loop.create_connection(
                lambda: _Far(self), self._ip, self._port, local_addr=(self._ip, 0)
            )
        except OSError:
            if self.transport:
                self.transport.close()
            return
        far.writelines(self._waiting)
        self._waiting.clear()
        self._far = far
        if self.transport is None:
            far.close()

    def data_received(self, data: bytes) -> None:
        if self._far is None:
            self._waiting.append(data)
        else:
            self._far.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self._far is not None:
            self._far.close()


class _Far(asyncio.Protocol):
    """The side of the sidecar."""

    def __init__(self, near: _Near) -> None:
        self._near = near

    def data_received(self, data: bytes) -> None:
        if self._near.transport is not None:
            self._near.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._near.transport is not None:
            self._near.transport.close()
