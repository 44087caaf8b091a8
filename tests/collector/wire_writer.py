"""Writing access log messages byte by byte, for the cases no capture holds."""

from __future__ import annotations


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, body: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(body)) + body


def text(field: int, value: str) -> bytes:
    return message(field, value.encode())


def address(ip: str, port: int) -> bytes:
    return message(1, text(2, ip) + number(3, port))


def identifier(node_id: str) -> bytes:
    return message(1, text(1, node_id))


def common(
    cluster: str = "",
    source: str | None = "10.1.0.9",
    log_type: int = 6,
    seconds: int = 1_700_000_000,
) -> bytes:
    parts = [message(5, number(1, seconds)), number(33, log_type)]
    if source:
        parts.append(message(20, address(source, 1234)))
    if cluster:
        parts.append(text(15, cluster))
    return b"".join(parts)


def http_entry(common_properties: bytes) -> bytes:
    return message(1, common_properties) + number(2, 2) + message(3, number(1, 1) + text(5, "/x"))


def http_message(*entries: bytes) -> bytes:
    return message(2, b"".join(message(1, entry) for entry in entries))
