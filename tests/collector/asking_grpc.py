"""Asking a collector's gRPC port as senders do: raw bytes through a real channel."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from collector.grpc_server import OTLP_METHODS
from collector.main import Collector

TRACES, LOGS, METRICS = OTLP_METHODS
MIB = 1 << 20


def call(
    collector: Collector,
    body: bytes,
    method: str = TRACES,
    compression: grpc.Compression = grpc.Compression.NoCompression,
    metadata: tuple[tuple[str, str], ...] = (),
) -> bytes:
    with grpc.insecure_channel(collector.grpc.address) as channel:
        return channel.unary_unary(method)(body, timeout=60, compression=compression, metadata=metadata)


def refusal(attempt: Callable[[], object]) -> tuple[grpc.StatusCode, str, Status | None]:
    with pytest.raises(grpc.RpcError) as caught:
        attempt()
    error = caught.value
    trailers = dict(error.trailing_metadata() or ())
    raw = trailers.get("grpc-status-details-bin")
    return error.code(), error.details(), None if raw is None else Status.FromString(raw)


def retry_seconds(status: Status | None) -> int | None:
    for detail in status.details if status else ():
        info = RetryInfo()
        if detail.Unpack(info):
            return info.retry_delay.seconds
    return None
