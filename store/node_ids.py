"""Ids and the numbers SQL counts by: 16 hexadecimal digits ⇄ an unsigned 64-bit little-endian number."""

from __future__ import annotations

import hashlib


def number_of(element_id: str) -> int:
    return int.from_bytes(bytes.fromhex(element_id), "little")


def id_of(number: int) -> str:
    return number.to_bytes(8, "little").hex()


def edge_id(source_id: str, target_id: str, protocol: str) -> str:
    """The id of an edge: a pure function of what it joins."""
    return hashlib.md5(f"{source_id}|{target_id}|{protocol}".encode(), usedforsecurity=False).hexdigest()[:16]
