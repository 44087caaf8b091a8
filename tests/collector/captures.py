"""Reading the real captures under fixtures/captures, and wrapping bodies as exports."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from collector.decode.types import Export

CAPTURES = Path(__file__).parents[2] / "fixtures" / "captures"
ENVOY = CAPTURES / "envoy140"
RECEIVED_US = 1_795_263_822_365_035


def framed(name: str) -> list[bytes]:
    """The messages of a capture: 4-byte big-endian length, then protobuf, repeated."""
    data, position, messages = (ENVOY / name).read_bytes(), 0, []
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        messages.append(data[position + 4 : position + 4 + length])
        position += 4 + length
    return messages


def lines(name: str) -> list[bytes]:
    return (ENVOY / name).read_bytes().splitlines()


def json_lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(name)]


def exports(*bodies: bytes, peer: str | None = "10.0.0.7", identifier: bytes | None = None) -> list[Export]:
    return [Export(body, peer, RECEIVED_US, identifier) for body in bodies]
