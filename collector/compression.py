"""Request bodies out of their compression, never past a bound. Pure.

What must stay true: whatever the bytes claim, at most ``limit`` bytes come out and memory stays in
proportion to that; work is in proportion to what went in and what may come out.
"""

from __future__ import annotations

import zlib

import pyarrow as pa

from collector.errors import TooLarge, Undecodable, UnknownForm

_CHUNK = 64 << 10
_PIECE = 1 << 20
_MEMBERS_MAX = 64  # gzip files may be glued together; each joint costs a copy of the chunk's rest
_GZIP, _ZLIB, _RAW = 31, 15, -15

ENCODINGS = ("identity", "gzip", "deflate", "zstd")


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """``body`` without its compression.

    Raises TooLarge past ``limit`` bytes, Undecodable for broken data, UnknownForm for an encoding
    nobody here reads.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        if len(body) > limit:
            raise _too_large(limit)
        return body
    if encoding in ("gzip", "x-gzip"):
        return _inflate_zlib(body, _GZIP, limit)
    if encoding == "deflate":
        return _inflate_zlib(body, _ZLIB if _is_zlib(body) else _RAW, limit)
    if encoding == "zstd":
        return _inflate_zstd(body, limit)
    raise UnknownForm(f"Content encoding {encoding[:40]!r} is not known here; use {', '.join(ENCODINGS)}.")


def sniff(body: bytes) -> str:
    """The encoding a gRPC message came in.

    gRPC hides the grpc-encoding header from handlers, but none of our messages can begin like
    these: 0x1f is a field of wire type 7, which does not exist, and 0x78 is a field 15, which none has.
    """
    if body.startswith(b"\x1f\x8b"):
        return "gzip"
    if body.startswith(b"\x78") and _is_zlib(body):
        return "deflate"
    return "identity"


def _is_zlib(body: bytes) -> bool:
    return len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0


def _inflate_zlib(body: bytes, window: int, limit: int) -> bytes:
    view = memoryview(body)
    stream = zlib.decompressobj(window)
    pieces: list[bytes] = []
    total, members, position = 0, 1, 0
    while position < len(view):
        chunk: bytes | memoryview = view[position : position + _CHUNK]
        position += len(chunk)
        while True:
            if stream.eof:
                members += 1
                if members > _MEMBERS_MAX or window != _GZIP:
                    raise Undecodable("There is something after the end of the compressed data.", position)
                stream = zlib.decompressobj(window)
            try:
                piece = stream.decompress(chunk, _PIECE)
            except zlib.error as error:
                raise Undecodable(f"The compressed body is broken: {error}", position - len(chunk)) from error
            pieces.append(piece)
            total += len(piece)
            if total > limit:
                raise _too_large(limit)
            chunk = stream.unused_data if stream.eof else stream.unconsumed_tail
            if not chunk and (stream.eof or len(piece) < _PIECE):
                break
    if not stream.eof:
        raise Undecodable("The compressed body ends too early.", len(body))
    return b"".join(pieces)


def _inflate_zstd(body: bytes, limit: int) -> bytes:
    pieces: list[pa.Buffer] = []
    total = 0
    try:
        with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
            # Not read(): that one never frees its buffer when the bytes are broken.
            while (piece := stream.read_buffer(_PIECE)).size:
                pieces.append(piece)
                total += piece.size
                if total > limit:
                    raise _too_large(limit)
    except (pa.ArrowException, OSError) as error:
        raise Undecodable(f"The compressed body is broken: {error}", len(body)) from error
    return b"".join(pieces)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes after decompression; send less at a time.")
