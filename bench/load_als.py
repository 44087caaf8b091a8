"""Access log entries a second over Envoy's ALS: ``python -m bench.load_als [--grpc HOST:PORT]``.

ALS has no acknowledgement but the stream's end, so each stream sends for the given time and ends; the
figure counts entries over the time until the last stream's end was answered. Messages are 16 KB
(14 entries), as Envoy's buffer makes them.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator

import grpc.aio

from bench.load import arguments, measure, show
from bench.payloads import AccessLogMessages

METHOD = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"


def send(address: str, number: int, start: float, options: argparse.Namespace) -> tuple[int, int]:
    return asyncio.run(_send(address, number, start, options))


async def _send(address: str, number: int, start: float, options: argparse.Namespace) -> tuple[int, int]:
    taken = 0
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_unary(METHOD)
        await asyncio.sleep(max(0.0, start - time.time()))

        async def one_stream(stream: int) -> None:
            nonlocal taken
            messages = AccessLogMessages(options.entries, number * options.in_flight + stream)
            sent = 0

            async def flow() -> AsyncIterator[bytes]:
                nonlocal sent
                yield messages.identifier
                while time.time() < start + options.seconds:
                    yield messages.next()
                    sent += options.entries

            await call(flow())
            taken += sent

        await asyncio.gather(*(one_stream(stream) for stream in range(options.in_flight)))
    return taken, 0


if __name__ == "__main__":
    parser = arguments("entries", 14)
    parser.set_defaults(in_flight=2)
    chosen = parser.parse_args()
    show(measure("ALS entries", send, chosen), chosen.json)
