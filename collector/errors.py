"""Every way the collector says no, and what each means on the wire.

CollectorError
├── SettingsError        a setting is wrong; nothing was started
├── PortTaken            another program listens there
└── Refused              an export was not taken (the sender is told, and it is counted)
    ├── Undecodable      the bytes are not what they claim to be        → do not send again
    ├── TooLarge         more bytes after decompression than the limit  → do not send again
    ├── UnknownForm      content type or encoding nobody here reads     → do not send again
    ├── Unauthorized     no token, or not one of ours                   → do not send again
    ├── TooSlow          the body did not arrive in time                → do not send again
    ├── DecoderFailed    a defect of ours; these bytes would fail again → do not send again
    └── Overloaded       no room just now                               → send again after a while
        ├── JournalFull  the journal has reached its size limit
        ├── JournalWriteFailed  the disk refused the write; nothing of it was kept
        └── Draining     the collector is shutting down

What must stay true: a sender tries again exactly where the table below says so (OTLP: HTTP 429, 502,
503, 504; gRPC RESOURCE_EXHAUSTED only with RetryInfo), and never after something permanent.
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc


class CollectorError(Exception):
    """The message is a sentence for people."""


class SettingsError(CollectorError):
    pass


class PortTaken(CollectorError):
    pass


class Refused(CollectorError):
    pass


class Undecodable(Refused):
    """``offset``: the byte of the (decompressed) body where reading stopped; None where there is none."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        if offset is not None and str(offset) not in message:
            message = f"{message} (at byte {offset})"
        super().__init__(message)
        self.offset = offset


class TooLarge(Refused):
    pass


class UnknownForm(Refused):
    pass


class Unauthorized(Refused):
    pass


class TooSlow(Refused):
    pass


class DecoderFailed(Refused):
    pass


class Overloaded(Refused):
    retry_after_s = 1


class JournalFull(Overloaded):
    retry_after_s = 5


class JournalWriteFailed(Overloaded):
    retry_after_s = 2


class Draining(Overloaded):
    retry_after_s = 1


@dataclass(frozen=True)
class Status:
    """``reason`` is the word the counters use."""

    http: int
    grpc: grpc.StatusCode
    reason: str


STATUS: dict[type[Refused], Status] = {
    Undecodable: Status(400, grpc.StatusCode.INVALID_ARGUMENT, "undecodable"),
    TooLarge: Status(413, grpc.StatusCode.RESOURCE_EXHAUSTED, "too_large"),
    UnknownForm: Status(415, grpc.StatusCode.INVALID_ARGUMENT, "unknown_form"),
    Unauthorized: Status(401, grpc.StatusCode.UNAUTHENTICATED, "unauthorized"),
    TooSlow: Status(408, grpc.StatusCode.INVALID_ARGUMENT, "too_slow"),
    DecoderFailed: Status(500, grpc.StatusCode.INTERNAL, "decoder_failed"),
    Overloaded: Status(429, grpc.StatusCode.RESOURCE_EXHAUSTED, "overloaded"),
    JournalFull: Status(429, grpc.StatusCode.RESOURCE_EXHAUSTED, "journal_full"),
    JournalWriteFailed: Status(503, grpc.StatusCode.RESOURCE_EXHAUSTED, "journal_failed"),
    Draining: Status(503, grpc.StatusCode.RESOURCE_EXHAUSTED, "draining"),
}


def status_of(error: Refused) -> Status:
    return STATUS[type(error)]
