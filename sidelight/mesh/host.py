"""The process in which all applications and the outside client run: `python -m sidelight.mesh.host SETTINGS`.

It obeys lines of JSON on stdin and answers on stdout; when stdin ends it ends. Run by `runner.Mesh`, by
nobody else.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from sidelight.mesh.apps import App
from sidelight.mesh.counts import Counts
from sidelight.mesh.plan import make_plan
from sidelight.mesh.tokens import read_tokens
from sidelight.mesh.topology import parse_topology
from sidelight.mesh.tracers import Tracers
from sidelight.mesh.traffic import Traffic


class Host:
    """All applications of a mesh and the commands they understand."""

    def __init__(self, settings: dict[str, Any]) -> None:
        topology = parse_topology(settings["topology"])
        plan = make_plan(topology, settings["prefix"], settings["gateway_port"])
        self._counts = Counts()
        self._tracers = Tracers(plan, settings["grpc_target"])
        tokens = read_tokens(Path(settings["certificates"]))
        self._apps = [App(plan, pod, self._counts, self._tracers.of(pod), tokens) for pod in plan.pods]
        self._traffic = Traffic(plan, self._apps, self._counts)
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Opens every application, then obeys until stdin ends."""
        for app in self._apps:
            await app.open()
        _say({"ready": True})
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            task = asyncio.ensure_future(self._obey(json.loads(line)))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        for app in self._apps:
            await app.close()
        self._tracers.close()

    async def _obey(self, order: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"id": order["id"]}
        try:
            answer["result"] = await self._do(order)
        except Exception as error:
            answer["error"] = repr(error)
        _say(answer)

    async def _do(self, order: dict[str, Any]) -> Any:
        if order["do"] == "drive":
            return await self._traffic.drive(
                order["requests"], order["rps"], lambda sent: _say({"id": order["id"], "sent": sent})
            )
        if order["do"] == "halt":
            return self._traffic.halt()
        if order["do"] == "settle":
            return await self._settle()
        return self._counts.as_json()

    async def _settle(self) -> None:
        """Waits until nobody is still answering, then until all spans have been sent."""
        while any(app.in_flight for app in self._apps):  # noqa: ASYNC110 (rare, and short)
            await asyncio.sleep(0.05)
        await asyncio.to_thread(self._tracers.flush)


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    asyncio.run(Host(settings).run())


if __name__ == "__main__":
    main()
