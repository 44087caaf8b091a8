"""The outside client: numbered requests to the gateway at a steady rate, and the workloads that start by
themselves.

Numbers begin at 0 and go on from one drive to the next, so that faults by number go on too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count

import aiohttp

from sidelight.mesh.apps import App
from sidelight.mesh.calls import NOBODY, PATIENCE_SECONDS, answerer_of, request_headers
from sidelight.mesh.counts import GONE, ClientKey, Counts
from sidelight.mesh.plan import Plan

# More than this many unanswered: wait instead of sending on, so that a slow machine is slow and not wrong.
MOST_AT_ONCE = 32


class Traffic:
    """Drives the mesh from outside; one drive at a time."""

    def __init__(self, plan: Plan, apps: list[App], counts: Counts) -> None:
        self._plan = plan
        self._counts = counts
        self._starters = [app for app in apps if app.pod.workload and app.pod.workload.starts_every]
        self._numbers = count()
        self._halt = asyncio.Event()

    def halt(self) -> None:
        """Ends the drive that runs; requests that were sent are still waited for."""
        self._halt.set()

    async def drive(self, requests: int | None, rps: float, tell: Callable[[int], None]) -> int:
        """Sends `requests` (None: until halted) at `rps`; returns how many, once all are answered."""
        self._halt.clear()
        loop = asyncio.get_running_loop()
        room = asyncio.Semaphore(MOST_AT_ONCE)
        running: set[asyncio.Task[None]] = set()
        connector = aiohttp.TCPConnector(local_addr=(self._plan.client_ip, 0), limit=0)
        patience = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        agent = {"User-Agent": "mesh-client/1.0"}
        sent, due, told = 0, loop.time(), loop.time()
        async with aiohttp.ClientSession(connector=connector, timeout=patience, headers=agent) as session:
            while (requests is None or sent < requests) and not self._halt.is_set():
                await room.acquire()
                sent += 1
                for job in self._jobs(session, next(self._numbers), room):
                    running.add(job)
                    job.add_done_callback(running.discard)
                if loop.time() - told >= 1:
                    told = loop.time()
                    tell(sent)
                # A machine that fell behind sends on from now, not in one burst.
                due = max(due + 1 / rps, loop.time() - 0.5)
                await asyncio.sleep(max(0.0, due - loop.time()))
            if running:
                await asyncio.wait(running)
        return sent

    def _jobs(
        self, session: aiohttp.ClientSession, number: int, room: asyncio.Semaphore
    ) -> list[asyncio.Task[None]]:
        jobs = [asyncio.ensure_future(self._one(session, number, room))]
        for app in self._starters:
            workload = app.pod.workload
            if workload and workload.starts_every and number % workload.starts_every == 0:
                jobs.append(asyncio.ensure_future(app.start(number)))
        return jobs

    async def _one(self, session: aiohttp.ClientSession, number: int, room: asyncio.Semaphore) -> None:
        edge, answerer, code = self._plan.topology.gateway, NOBODY, GONE
        service = self._plan.topology.services[edge.service]
        headers = request_headers(number)
        if edge.host != "*":
            headers["Host"] = edge.host
        try:
            async with session.get(self._plan.gateway_url, headers=headers) as response:
                await response.read()
                answerer, code = answerer_of(response.headers), str(response.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            self._counts.surprise(f"client → gateway, request {number}: {error!r}")
        finally:
            room.release()
        self._counts.driven += 1
        # The gateway hands on every request once, so what its client got is what the gateway got.
        key = ClientKey(
            edge.namespace,
            edge.name,
            service.host,
            service.protocol,
            answerer.version,
            code,
            None,
            answerer.denied,
        )
        self._counts.client[key] += 1
