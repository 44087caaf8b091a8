"""What goes into a decoder and what comes out of it: plain values, no socket, clock or database.

What must stay true: a decoder never raises for bad data. Bytes that cannot be read as a message
refuse their whole export (`Refusal`); a bad record among good ones is counted in `rejected` and
described in the `rejects` table, and the others are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa


@dataclass(frozen=True)
class Export:
    """One request body (or one message of an ALS stream) as it was received.

    ``received_us`` is in microseconds since the epoch; it becomes the time of this export's rejects.
    """

    body: bytes  # wire bytes, already decompressed
    peer: str | None  # IP of the sending connection
    received_us: int
    identifier: bytes | None = None  # ALS only: StreamAccessLogsMessage.Identifier held per stream


@dataclass(frozen=True)
class Refusal:
    """Why a whole export could not be read; ``offset`` is the byte where it stops making sense."""

    message: str
    offset: int | None


@dataclass
class Decoded:
    """The answer for a list of exports; every index is a position in that list."""

    tables: dict[str, pa.Table] = field(default_factory=dict)  # exactly store.schema.TABLES' schemas
    refused: dict[int, Refusal] = field(default_factory=dict)
    rejected: dict[int, tuple[int, str]] = field(default_factory=dict)  # (records, which and why)
    accepted: int = 0  # records kept
