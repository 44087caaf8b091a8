"""Columns of an access log entry's parts: addresses, times, flags, TLS, maps.

What must stay true: everything works on whole columns of the narrowed messages (descriptors.py); what
an entry does not say is null.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode import limits
from collector.decode.attributes import KnownKeys, Pairs, merge_maps, render_distinct
from collector.decode.envelope import parse_distinct
from collector.decode.peers import flat_node_json
from collector.decode.text import null_if_empty, offsets_of, take, text_column, to_text
from collector.decode.wire import bytes_field, decode_text, struct_json

TEXT = pa.string()
NULL = pa.scalar(None, TEXT)
Part = tuple[np.ndarray, pa.Array, pa.Array]  # flat (row numbers, keys, values) of a map to be

# Envoy's short names by the field number of ResponseFlags.
FLAGS = [
    "LH",
    "UH",
    "UT",
    "LR",
    "UR",
    "UF",
    "UC",
    "UO",
    "NR",
    "DI",
    "FI",
    "RL",
    "UAEX",
    "RLSE",
    "DC",
    "URX",
    "SI",
    "IH",
    "DPE",
    "UMSDR",
    "RFCF",
    "NFCF",
    "DT",
    "UPE",
    "NC",
    "OM",
    "DF",
    "DR",
]
_GRPC_PATH = r"^/[A-Za-z0-9_.]+/[A-Za-z0-9_]+$"
_UNAUTHORIZED = FLAGS.index("UAEX")
_EXTERNAL_SERVICE = 1
METHODS = pa.array(
    [None, "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"], TEXT
)
VERSIONS = pa.array([None, "1.0", "1.1", "2", "3"], TEXT)
_MAX_SECONDS = 1 << 33  # the year 2242


def named(numbers: pa.Array, names: pa.StringArray) -> pa.StringArray:
    """An enum's names; null for absent and for a number we do not know."""
    codes = pc.fill_null(numbers, 0).to_numpy()
    return names.take(pa.array(np.where((codes >= 0) & (codes < len(names)), codes, 0)))


def text_of(parent: pa.StructArray, name: str) -> pa.StringArray:
    return text_column(parent.field(name))


@dataclass(frozen=True)
class Address:
    """One address of each entry: 'IP:PORT', '[v6]:PORT', a pipe's path or 'envoy://LISTENER/ID'; port 0: none."""

    text: pa.StringArray
    port: np.ndarray


def addresses(common: pa.StructArray, names: Sequence[str], export_of: np.ndarray) -> list[Address]:
    """These fields of ``common``. They are opened together: they share addresses, and a small call costs its start."""
    raw = pa.concat_arrays([common.field(name) for name in names])
    rows, which = parse_distinct("Address", raw, np.tile(export_of, len(names)))
    socket, pipes, internal = rows.column("socket"), rows.column("pipe"), rows.column("internal")
    host = text_column(socket.field("address"), limits.NAME_BYTES)
    port = socket.field("port")
    colons = pc.fill_null(pc.match_substring(host, ":"), False)
    host = pc.if_else(colons, pc.binary_join_element_wise("[", host, "]", ""), host)
    text = pc.binary_join_element_wise(host, port.cast(TEXT), ":")
    if text.null_count:
        pipe = text_column(pipes.field("path"), limits.NAME_BYTES)
        listener = text_column(internal.field("listener"), limits.NAME_BYTES)
        endpoint = to_text(internal.field("endpoint_id"), limits.NAME_BYTES)
        inside = pc.binary_join_element_wise("envoy://", listener, "/", endpoint, "")
        text = pc.coalesce(text, pipe, inside)
    ports = port.to_numpy()
    return [Address(take(text, one), ports[one]) for one in which.reshape(len(names), len(common))]


def start_micros(column: pa.StructArray) -> tuple[np.ndarray, np.ndarray]:
    """A Timestamp column in microseconds, and the mask of those absent or out of range."""
    seconds, nanos = (pc.fill_null(column.field(name), 0).to_numpy() for name in ("seconds", "nanos"))
    bad = (seconds < 0) | (seconds > _MAX_SECONDS) | (nanos < 0) | (nanos >= 10**9)
    bad |= (seconds == 0) & (nanos == 0)
    return np.where(bad, 0, seconds) * 1_000_000 + np.where(bad, 0, nanos) // 1000, bad


def micros(column: pa.StructArray) -> pa.Int64Array:
    """A Duration column in microseconds; null where absent or out of range."""
    if column.null_count == len(column):
        return pa.nulls(len(column), pa.int64())
    seconds, nanos = column.field("seconds").to_numpy(), column.field("nanos").to_numpy()
    absent = (seconds < 0) | (seconds > _MAX_SECONDS) | (nanos < 0) | (nanos >= 10**9)
    if column.null_count:
        absent |= ~column.is_valid().to_numpy(zero_copy_only=False)
    total = seconds * 1_000_000 + nanos // 1000
    return pa.array(total, mask=absent) if absent.any() else pa.array(total)


def response_flags(raw: pa.BinaryArray, export_of: np.ndarray) -> pa.StringArray:
    """Envoy's short names, joined with commas in the order of their fields; '' for none."""
    rows, which = parse_distinct("Flags", raw, export_of)
    bits = np.zeros(rows.num_rows, np.uint32)
    for position in range(len(FLAGS)):
        if position == _UNAUTHORIZED:
            reason = rows.column("unauthorized").field("reason").to_numpy()
            on = reason == _EXTERNAL_SERVICE
        else:
            on = rows.column(f"flag_{position + 1}").to_numpy(zero_copy_only=False)
        bits |= on.astype(np.uint32) << np.uint32(position)
    texts = [
        ",".join(flag for position, flag in enumerate(FLAGS) if mask >> position & 1)
        for mask in bits.tolist()
    ]
    return pa.array(texts, TEXT).take(pa.array(which))


@dataclass(frozen=True)
class Tls:
    """What each entry's TLS properties say."""

    sni: pa.StringArray
    peer: pa.StringArray  # the first URI of the peer's certificate
    local: pa.StringArray
    kind: pa.StringArray  # 'mutual': the peer showed a certificate, 'simple': only we did, 'none'


def tls(raw: pa.BinaryArray, export_of: np.ndarray) -> Tls:
    rows, which = parse_distinct("Tls", raw, export_of)
    peer = rows.column("peer")
    shown = np.diff(offsets_of(peer.field("san"))) > 0
    shown |= pc.greater(pc.binary_length(peer.field("subject")), 0).to_numpy(zero_copy_only=False)
    kinds = np.append(np.where(shown, 2, 1), 0)[which]  # none at -1
    return Tls(
        sni=take(text_column(rows.column("sni"), limits.NAME_BYTES), which),
        peer=take(_first_uri(peer), which),
        local=take(_first_uri(rows.column("local")), which),
        kind=pa.array(["none", "simple", "mutual"]).take(pa.array(kinds)),
    )


def _first_uri(certificate: pa.StructArray) -> pa.StringArray:
    """The first subject alternative name that is a URI, per certificate."""
    names = certificate.field("san")
    uris = names.flatten().field("uri")
    rows = np.repeat(np.arange(len(names), dtype=np.int32), np.diff(offsets_of(names)))
    has = np.flatnonzero(uris.is_valid().to_numpy(zero_copy_only=False))
    first = np.full(len(names), -1, np.int32)
    first[rows[has[::-1]]] = has[::-1]
    return null_if_empty(take(to_text(uris), first))


def looks_grpc(
    method: pa.StringArray, version: pa.StringArray, user_agent: pa.StringArray, path: pa.StringArray
) -> pa.BooleanArray:
    """By HTTP/2 POST /SERVICE/METHOD from a gRPC client."""
    client = pc.and_(pc.starts_with(user_agent, "grpc-"), pc.equal(method, "POST"))
    client = pc.fill_null(pc.and_(client, pc.equal(version, "2")), False)
    return pc.and_(client, pc.match_substring_regex(path, _GRPC_PATH)) if pc.any(client).as_py() else client


class StringMap:
    """The map of every row (headers, custom tags, metadata), flat, with the known keys found.

    ``read`` makes text of the values: of each distinct entry once.
    """

    def __init__(
        self,
        lists: pa.ListArray,
        export_of: np.ndarray,
        known: KnownKeys,
        prefix: str = "",
        read: Callable[[pa.BinaryArray], pa.StringArray] = to_text,
    ) -> None:
        pairs = Pairs.opened("Entry", lists, export_of)
        if pairs.counts.size and pairs.counts.max() > limits.ATTRIBUTES:
            pairs = pairs.first(limits.ATTRIBUTES)
        keys, flat = pairs.entries.field("key"), pairs.of_flat()
        self._known, self._prefix, self._flat = known, prefix, flat
        self._rows = len(pairs.counts)
        self._row_of = np.repeat(np.arange(self._rows, dtype=np.int32), pairs.counts)
        self._keys = to_text(keys, limits.NAME_BYTES)
        self._values = read(pairs.entries.field("value"))
        codes = pc.fill_null(pc.index_in(keys, known.values), -1).to_numpy()[flat]
        self._where = np.full((len(known) + 1, self._rows), -1, np.int32)
        self._where[codes, self._row_of] = np.arange(len(codes), dtype=np.int32)
        self._promoted = np.zeros(len(codes) + 1, bool)

    def text(self, key: str, promote: bool = True) -> pa.StringArray:
        """The value of ``key`` per row, null where it has none; promoted ones leave the map."""
        positions = self._where[self._known.index[key]]
        if promote:
            self._promoted[positions] = True
            self._promoted[-1] = False
        if positions.max(initial=-1) < 0:
            return pa.nulls(self._rows, TEXT)
        return take(self._values, np.where(positions < 0, -1, self._flat[positions]))

    def coded(self, *keys: str) -> pa.DictionaryArray:
        """The value of the first of ``keys`` that a row has, of the entries' values; it stays in the map."""
        positions = np.full(self._rows, -1, np.int32)
        for key in keys:
            positions = np.where(positions < 0, self._where[self._known.index[key]], positions)
        codes = np.append(self._flat, -1)[positions].astype(np.int32)
        return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), self._values)

    def rest(self) -> Part:
        chosen = np.flatnonzero(~self._promoted[:-1])
        keys = self._keys
        if self._prefix:
            keys = pc.binary_join_element_wise(self._prefix, keys, "")
        at = pa.array(self._flat[chosen])
        return self._row_of[chosen], keys.take(at), self._values.take(at)


def constant_part(key: str, values: pa.StringArray) -> Part:
    """One attribute for the rows where ``values`` is not null."""
    rows = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False)).astype(np.int32)
    return rows, pa.repeat(key, len(rows)), values.take(pa.array(rows))


def structs_text(values: pa.BinaryArray) -> pa.StringArray:
    """Structs (dynamic metadata) as JSON text."""
    return render_distinct(values, struct_json)


def objects_text(values: pa.BinaryArray) -> pa.StringArray:
    """Messages of any type (filter state) as text."""
    return render_distinct(values, _any_json)


def _any_json(raw: bytes) -> str:
    """A google.protobuf.Any of a Struct, a text or a node's FlatBuffer as text; of anything else its type."""
    kind, value = decode_text(bytes_field(raw, 1) or b""), bytes_field(raw, 2) or b""
    if kind.endswith("google.protobuf.Struct"):
        return struct_json(value)
    if kind.endswith("google.protobuf.StringValue"):
        return decode_text(bytes_field(value, 1) or b"")
    if kind.endswith("google.protobuf.BytesValue"):
        inner = bytes_field(value, 1) or b""
        text = flat_node_json(inner) or decode_text(inner)
        if text.isprintable():
            return text
    return f"({kind or 'no type'}, {len(value)} bytes)"


def merged(rows: int, parts: Sequence[Part]) -> pa.MapArray:
    return merge_maps(rows, parts)
