"""Acknowledged spans a second over OTLP/gRPC: ``python -m bench.load_otlp [--grpc HOST:PORT]``.

Envoy-shaped: 20 attributes, 512 spans a request, 4 sender processes with 8 exports in flight each.
"""

from __future__ import annotations

import argparse
import asyncio
import time

import grpc
import grpc.aio

from bench.load import arguments, measure, show
from bench.payloads import SpanBodies

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def send(address: str, number: int, start: float, options: argparse.Namespace) -> tuple[int, int]:
    """Spans acknowledged and exports refused by one process until the time is over."""
    return asyncio.run(_send(address, number, start, options))


async def _send(address: str, number: int, start: float, options: argparse.Namespace) -> tuple[int, int]:
    bodies = SpanBodies(options.spans, f"caller{number}")
    taken = refused = 0
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(METHOD)
        await asyncio.sleep(max(0.0, start - time.time()))

        async def one_in_flight() -> None:
            nonlocal taken, refused
            while time.time() < start + options.seconds:
                try:
                    await call(bodies.next(), timeout=60)
                    taken += options.spans
                except grpc.aio.AioRpcError as error:
                    refused += 1
                    if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                        raise SystemExit(f"{error.code()}: {error.details()}") from error
                    await asyncio.sleep(0.2)

        await asyncio.gather(*(one_in_flight() for _ in range(options.in_flight)))
    return taken, refused


if __name__ == "__main__":
    chosen = arguments("spans", 512).parse_args()
    show(measure("OTLP/gRPC spans", send, chosen), chosen.json)
