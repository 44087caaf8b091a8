"""What every access-log form is brought to before it becomes rows: one text column per field.

The text and the JSON parser both end here, so that a request means the same whichever form said it.
What must stay true: a field the line leaves empty ("-", "" or null) is null; ``line`` is the 1-based
number of the line in its file; parsing never raises, what cannot be read is in ``rejects``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

# Microseconds since the start, as columns of `observations` are called; and Envoy's own operators in milliseconds.
TIMES_US = (
    "request_last_rx_us",
    "upstream_first_tx_us",
    "upstream_last_tx_us",
    "upstream_first_rx_us",
    "upstream_last_rx_us",
    "downstream_first_tx_us",
    "downstream_last_tx_us",
)
TIMES_MS = {
    "request_duration": "request_last_rx_us",
    "request_tx_duration": "upstream_last_tx_us",
    "response_duration": "upstream_first_rx_us",
}
FIELDS = (
    "time",
    "method",
    "path",
    "protocol",
    "code",
    "flags",
    "details",
    "termination",  # connection termination details
    "failure",  # upstream transport failure reason
    "received",
    "sent",
    "duration",
    "service_time",
    "forwarded_for",
    "user_agent",
    "request_id",
    "authority",
    "upstream_host",
    "cluster",
    "upstream_local",
    "downstream_local",
    "downstream_remote",
    "sni",
    "route",
    # Only forms that users defined themselves have these.
    "grpc_status",
    "attempts",
    "trace_id",
    "span_id",
    "traceparent",
    "log_type",
    "flags_long",  # the flags by their long names
    "direct_remote",  # the direct peer; `fields_table` puts it in the place of downstream_remote
    "stream_id",  # an HTTP request's x-request-id, a connection's own
    "peer_san",  # URI SANs of certificates: the caller's, our own towards it, the called side's
    "local_san",
    "upstream_san",
    "forwarded_cert",  # X-Forwarded-Client-Cert
    "upstream_peer",  # Istio's peer metadata: whom the proxy called, who called it
    "downstream_peer",
    "duration_us",
    *TIMES_US,
    *TIMES_MS,
)
_PEERS = ("direct_remote", "downstream_remote", "forwarded_for")
SAMPLE_CHARACTERS = 256
CODED = pa.dictionary(pa.int32(), pa.string())
"""The type of a field that many lines share; `by_value` asks each of its values once."""
OWN_FIELDS = frozenset(
    {"time", "request", "method", "path", "protocol", "request_id", "trace_id", "span_id", "traceparent"}
)
"""Fields of which nearly every line has its own, and those of the request line: they stay as they are."""

Lines = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reject:
    """A line that could not be read: its number, why, and at most 256 characters of it."""

    line: int
    reason: str
    sample: str


@dataclass
class ParsedLines:
    """``fields``: columns of FIELDS (string or CODED; JSON numbers may stay int64 or double), ``line``, and
    for JSON with keys of its own ``extra`` (map<string, string>)."""

    fields: pa.Table
    rejects: list[Reject] = field(default_factory=list)


def reject(line: int, reason: str, text: str) -> Reject:
    return Reject(int(line), reason, text[:SAMPLE_CHARACTERS])


def fields_table(columns: dict[str, pa.Array], lines: Lines, extra: pa.Array | None = None) -> pa.Table:
    """A table of all FIELDS, those without a column null."""
    count = len(lines)
    if "direct_remote" in columns:
        columns = _with_direct_peer(columns, count)
    arrays = [columns.get(name) for name in FIELDS]
    filled = [pa.nulls(count, pa.string()) if array is None else _blank_to_null(array) for array in arrays]
    names = [*FIELDS, "line", "extra"]
    text_map = pa.map_(pa.string(), pa.string())
    extra = pa.nulls(count, text_map) if extra is None else extra
    return pa.table([*filled, pa.array(lines, pa.int64()), extra], names=names)


def _with_direct_peer(columns: dict[str, pa.Array], count: int) -> dict[str, pa.Array]:
    """The direct peer as the peer; what stood there is the address X-Forwarded-For names, if its port is 0."""
    columns = {name: columns.get(name, pa.nulls(count, pa.string())) for name in _PEERS} | columns
    direct, remote, forwarded = (_blank_to_null(columns[name]).cast(pa.string()) for name in _PEERS)
    named = pc.fill_null(pc.ends_with(remote, ":0"), False)
    named = pc.if_else(named, pc.replace_substring_regex(remote, r":0$", ""), pa.scalar(None, pa.string()))
    return columns | {
        "downstream_remote": pc.coalesce(direct, remote),
        "forwarded_for": pc.coalesce(forwarded, pc.if_else(direct.is_valid(), named, None)),
    }


def join_fields(pieces: list[pa.Table]) -> pa.Table:
    """All pieces in line order; a field that is a number in one piece and text in another becomes text."""
    pieces = [piece for piece in pieces if piece.num_rows]
    if not pieces:
        return fields_table({}, np.empty(0, np.int64))
    if len(pieces) == 1:
        return pieces[0]
    first = pieces[0].schema
    unlike = {
        name for piece in pieces[1:] for name in first.names if piece.schema.field(name) != first.field(name)
    }
    if unlike:
        pieces = [_as_text(piece, unlike) for piece in pieces]
    joined = pa.concat_tables(pieces).combine_chunks()
    lines = joined["line"].to_numpy()
    if bool(np.all(lines[:-1] <= lines[1:])):
        return joined
    return joined.take(pa.array(np.argsort(lines, kind="stable")))


def text_map(columns: dict[str, pa.Array], count: int) -> pa.Array:
    """A map column of the named text columns, each row holding those that are not null in it."""
    if not columns or not count:
        return pa.array([{}] * count, pa.map_(pa.string(), pa.string()))
    names = list(columns)
    present = np.stack([columns[name].is_valid().to_numpy(zero_copy_only=False) for name in names], axis=1)
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(present.sum(axis=1), out=offsets[1:])
    row, column = np.nonzero(present)
    keys = pa.DictionaryArray.from_arrays(pa.array(column, pa.int32()), pa.array(names)).cast(pa.string())
    stacked = pa.concat_arrays([columns[name].cast(pa.string()) for name in names])
    values = stacked.take(pa.array(column * count + row))
    return pa.MapArray.from_arrays(pa.array(offsets), keys, values)


def _blank_to_null(array: pa.Array) -> pa.Array:
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.DictionaryArray):
        blank = pc.is_in(array.dictionary, pa.array(["", "-"]))
        if not pc.any(blank).as_py():
            return array
        indices = pc.if_else(blank.take(array.indices), pa.scalar(None, pa.int32()), array.indices)
        return pa.DictionaryArray.from_arrays(indices, array.dictionary)
    if not pa.types.is_string(array.type):
        return array
    shortest = pc.min(pc.binary_length(array)).as_py()
    if shortest is None or shortest > 1:
        return array
    blank = pc.or_(pc.equal(array, ""), pc.equal(array, "-"))
    return pc.if_else(blank, pa.scalar(None, pa.string()), array)


def _as_text(piece: pa.Table, names: set[str]) -> pa.Table:
    columns = [
        column.cast(pa.string()) if name in names else column
        for name, column in zip(piece.column_names, piece.columns, strict=True)
    ]
    return pa.table(columns, names=piece.column_names)
