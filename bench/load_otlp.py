"""Acknowledged records a second over OTLP/gRPC: ``python -m bench.load_otlp [--signal logs] [--rate 10000]``.

Envoy-shaped: spans with 20 attributes, access-log records, or its stat sink's points; 512 a request (points: as
many as its sink sends), 4 sender processes with 8 exports in flight each.
"""

from __future__ import annotations

import argparse
import asyncio
import time

import grpc
import grpc.aio

from bench.load import arguments, measure, show
from bench.payloads import LogBodies, MetricBodies, SpanBodies

METHODS = {
    signal: f"/opentelemetry.proto.collector.{package}.v1.{package.capitalize()}Service/Export"
    for signal, package in (("spans", "trace"), ("logs", "logs"), ("metrics", "metrics"))
}


def send(address: str, number: int, start: float, options: argparse.Namespace) -> tuple[int, int]:
    """Records acknowledged and exports refused by one process until the time is over."""
    return asyncio.run(_send(address, number, start, options))


async def _send(address: str, number: int, start: float, options: argparse.Namespace) -> tuple[int, int]:
    bodies, records = _bodies(options.signal, options.records, number)
    taken = refused = 0
    due = start
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(METHODS[options.signal])
        await asyncio.sleep(max(0.0, start - time.time()))

        async def one_in_flight() -> None:
            nonlocal taken, refused
            nonlocal due
            while time.time() < start + options.seconds:
                if options.rate:
                    due = max(due + records * options.senders / options.rate, time.time() - 1)
                    await asyncio.sleep(max(0.0, due - time.time()))
                try:
                    await call(bodies.next(), timeout=60)
                    taken += records
                except grpc.aio.AioRpcError as error:
                    refused += 1
                    if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                        raise SystemExit(f"{error.code()}: {error.details()}") from error
                    await asyncio.sleep(0.2)

        await asyncio.gather(*(one_in_flight() for _ in range(options.in_flight)))
    return taken, refused


def _bodies(signal: str, records: int, number: int) -> tuple[SpanBodies | LogBodies | MetricBodies, int]:
    if signal == "metrics":
        metrics = MetricBodies()
        return metrics, metrics.points
    return (LogBodies(records) if signal == "logs" else SpanBodies(records, f"caller{number}")), records


if __name__ == "__main__":
    parser = arguments("records", 512)
    parser.add_argument("--signal", choices=METHODS, default="spans")
    parser.add_argument("--rate", type=float, help="records a second of all senders; default: as many as go")
    chosen = parser.parse_args()
    show(measure(f"OTLP/gRPC {chosen.signal}", send, chosen), chosen.json)
