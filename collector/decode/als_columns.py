"""Columns of an access log entry's parts: addresses, times, flags, TLS, maps.

What must stay true: everything works on whole columns of the narrowed messages (descriptors.py); what
an entry does not say is null.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode import limits
from collector.decode.attributes import KnownKeys, merge_maps, render_distinct
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
_UNAUTHORIZED = FLAGS.index("UAEX")
_EXTERNAL_SERVICE = 1
METHODS = pa.array(
    [None, "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"], TEXT
)
VERSIONS = pa.array([None, "1.0", "1.1", "2", "3"], TEXT)
_MAX_SECONDS = 1 << 33  # the year 2242


def member(parent: pa.StructArray, name: str) -> pa.Array:
    """A field of a message column, null where the message itself is absent."""
    return parent.flatten()[parent.type.get_field_index(name)]


def named(numbers: pa.Array, names: pa.StringArray) -> pa.StringArray:
    """An enum's names; null for absent and for a number we do not know."""
    codes = pc.fill_null(numbers, 0).to_numpy()
    return names.take(pa.array(np.where((codes >= 0) & (codes < len(names)), codes, 0)))


def text_of(parent: pa.StructArray, name: str) -> pa.StringArray:
    return text_column(parent.field(name))


def address(column: pa.StructArray) -> tuple[pa.StringArray, np.ndarray]:
    """'IP:PORT', '[v6]:PORT', a pipe's path or 'envoy://LISTENER/ID'; and the port (0: none)."""
    socket = column.field("socket")
    host = text_column(socket.field("address"), limits.NAME_BYTES)
    port = socket.field("port")
    colons = pc.fill_null(pc.match_substring(host, ":"), False)
    if pc.any(colons).as_py():
        host = pc.if_else(colons, pc.binary_join_element_wise("[", host, "]", ""), host)
    text = pc.binary_join_element_wise(host, port.cast(TEXT), ":")
    if text.null_count and column.null_count < text.null_count:
        pipe = text_column(column.field("pipe").field("path"), limits.NAME_BYTES)
        internal = column.field("internal")
        listener = text_column(internal.field("listener"), limits.NAME_BYTES)
        endpoint = to_text(internal.field("endpoint_id"), limits.NAME_BYTES)
        inside = pc.binary_join_element_wise("envoy://", listener, "/", endpoint, "")
        text = pc.coalesce(text, pipe, inside)
    return text, port.to_numpy()


def start_micros(column: pa.StructArray) -> tuple[np.ndarray, np.ndarray]:
    """A Timestamp column in microseconds, and the mask of those absent or out of range."""
    seconds, nanos = (pc.fill_null(column.field(name), 0).to_numpy() for name in ("seconds", "nanos"))
    bad = (seconds < 0) | (seconds > _MAX_SECONDS) | (nanos < 0) | (nanos >= 10**9)
    bad |= (seconds == 0) & (nanos == 0)
    return np.where(bad, 0, seconds) * 1_000_000 + np.where(bad, 0, nanos) // 1000, bad


def micros(column: pa.StructArray) -> pa.Int64Array:
    """A Duration column in microseconds; null where absent or out of range."""
    seconds, nanos = (column.field(name).to_numpy().astype(np.int64) for name in ("seconds", "nanos"))
    absent = ~column.is_valid().to_numpy(zero_copy_only=False)
    absent |= (seconds < 0) | (seconds > _MAX_SECONDS) | (nanos < 0) | (nanos >= 10**9)
    return pa.array(
        np.where(absent, 0, seconds) * 1_000_000 + np.where(absent, 0, nanos) // 1000, mask=absent
    )


def response_flags(column: pa.StructArray) -> pa.StringArray:
    """Envoy's short names, joined with commas in the order of their fields; '' for none."""
    bits = np.zeros(len(column), np.uint32)
    for position in range(len(FLAGS)):
        if position == _UNAUTHORIZED:
            reason = member(column, "unauthorized").field("reason").to_numpy()
            on = reason == _EXTERNAL_SERVICE
        else:
            on = column.field(f"flag_{position + 1}").to_numpy(zero_copy_only=False)
        bits |= on.astype(np.uint32) << np.uint32(position)
    distinct, where = np.unique(bits, return_inverse=True)
    texts = [
        ",".join(flag for position, flag in enumerate(FLAGS) if mask >> position & 1)
        for mask in distinct.tolist()
    ]
    return pa.array(texts, TEXT).take(pa.array(where))


def first_uri(certificate: pa.StructArray) -> pa.StringArray:
    """The first subject alternative name that is a URI, per certificate."""
    names = certificate.field("san")
    uris = names.flatten().field("uri")
    rows = np.repeat(np.arange(len(names), dtype=np.int32), np.diff(offsets_of(names)))
    has = np.flatnonzero(uris.is_valid().to_numpy(zero_copy_only=False))
    first = np.full(len(names), -1, np.int32)
    first[rows[has[::-1]]] = has[::-1]
    return null_if_empty(take(to_text(uris), first))


def tls_of(tls: pa.StructArray) -> pa.StringArray:
    """'mutual' where the peer showed a certificate, 'simple' where only we did, 'none' without TLS."""
    peer = tls.field("peer")
    shown = np.diff(offsets_of(peer.field("san"))) > 0
    shown |= pc.greater(pc.binary_length(peer.field("subject")), 0).to_numpy(zero_copy_only=False)
    has_tls = tls.is_valid().to_numpy(zero_copy_only=False)
    codes = np.where(has_tls, np.where(shown, 2, 1), 0)
    return pa.array(["none", "simple", "mutual"]).take(pa.array(codes))


class Pairs:
    """The string map of every row (headers, custom tags), flat, with the known keys found."""

    def __init__(self, lists: pa.ListArray, known: KnownKeys, prefix: str = "") -> None:
        counts = np.diff(offsets_of(lists))
        if counts.size and counts.max() > limits.ATTRIBUTES:
            lists = pc.list_slice(lists, 0, limits.ATTRIBUTES, return_fixed_size_list=False)
            counts = np.diff(offsets_of(lists))
        entries = lists.flatten()
        self._known, self._prefix = known, prefix
        self._row_of = np.repeat(np.arange(len(lists), dtype=np.int32), counts)
        self._keys = to_text(entries.field("key"), limits.NAME_BYTES)
        self._values = to_text(entries.field("value"))
        codes = pc.fill_null(pc.index_in(entries.field("key"), known.values), -1).to_numpy()
        self._where = np.full((len(known) + 1, len(lists)), -1, np.int32)
        self._where[codes, self._row_of] = np.arange(len(codes), dtype=np.int32)
        self._promoted = np.zeros(len(codes) + 1, bool)

    def text(self, key: str, promote: bool = True) -> pa.StringArray:
        """The value of ``key`` per row, null where it has none; promoted ones leave the map."""
        positions = self._where[self._known.index[key]]
        if promote:
            self._promoted[positions] = True
            self._promoted[-1] = False
        return take(self._values, positions)

    def rest(self) -> Part:
        chosen = np.flatnonzero(~self._promoted[:-1])
        keys = self._keys.take(pa.array(chosen))
        if self._prefix:
            keys = pc.binary_join_element_wise(self._prefix, keys, "")
        return self._row_of[chosen], keys, self._values.take(pa.array(chosen))


def constant_part(key: str, values: pa.StringArray) -> Part:
    """One attribute for the rows where ``values`` is not null."""
    rows = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False)).astype(np.int32)
    return rows, pa.repeat(key, len(rows)), values.take(pa.array(rows))


def structured_part(lists: pa.ListArray, prefix: str, of_any: bool) -> Part:
    """Maps of messages (dynamic metadata, filter state) as JSON text, rendered once per distinct value."""
    entries = lists.flatten()
    rows = np.repeat(np.arange(len(lists), dtype=np.int32), np.diff(offsets_of(lists)))
    keys = to_text(entries.field("key"), limits.NAME_BYTES)
    values = render_distinct(entries.field("value"), _any_json if of_any else struct_json)
    return rows, pc.binary_join_element_wise(prefix, keys, ""), values


def said_under(part: Part, keys: Sequence[str], rows: int) -> pa.StringArray:
    """Per row the value that a part has under the first of ``keys`` it has; null where it has none."""
    row_of, names, values = part
    found = pa.nulls(rows, TEXT)
    for key in keys:
        at = np.flatnonzero(pc.equal(names, key).to_numpy(zero_copy_only=False))
        if len(at):
            where = np.full(rows, -1, np.int32)
            where[row_of[at]] = at
            found = pc.coalesce(found, take(values, where))
    return found


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
