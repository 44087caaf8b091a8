"""The decoders that read what strangers send: for each, real inputs, and what has to hold for any input.

What must stay true: `Target.run` raises for nothing but a finding. The decoders' own errors (`Refusal`,
`BadFormat`, `Undecodable`, `TooLarge`, `BrokenFrame`) and rejects are answers.
"""

from __future__ import annotations

import contextlib
import gzip
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pyarrow as pa
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from collector.compression import ENCODINGS, inflate, sniff
from collector.decode.access_log import READABLE, decode_chunk, detect
from collector.decode.access_log_emitter import Emitter
from collector.decode.access_log_fields import Reject
from collector.decode.access_log_format import BadFormat, LineFormat, compile_format
from collector.decode.envoy_als import split_identifier
from collector.decode.otlp_json import to_protobuf
from collector.decode.peers import flat_node_json, read_peer
from collector.decode.types import Export
from collector.decode.wire import bytes_field
from collector.decoders import DECODERS
from collector.errors import TooLarge, Undecodable
from store.frames import (
    Batch,
    BrokenFrame,
    ExportMark,
    decode_frames,
    decode_header,
    encode_frame,
    encode_header,
)
from store.physical import WIRE
from store.schema import TABLES
from tests.fuzz.target import Finding, Target

CAPTURES = Path(__file__).parents[2] / "fixtures" / "captures"
RECEIVED_US = 1_795_263_822_365_035
INFLATED_MAX = 1 << 20
# Decoded tables may be this many times their input: a record of two bytes is a row of some fifty columns.
GROWTH_MAX, GROWTH_ROOM = 600, 64 << 20


def framed(name: str) -> list[bytes]:
    data, position, messages = (CAPTURES / "envoy140" / name).read_bytes(), 0, []
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        messages.append(data[position + 4 : position + 4 + length])
        position += 4 + length
    return messages


def small(messages: Sequence[bytes], count: int = 12, limit: int = 12_000) -> list[bytes]:
    """The smallest of them, and one that is larger."""
    ordered = sorted(messages, key=len)
    return [one for one in ordered[:count] if len(one) <= limit] + [ordered[len(ordered) // 2]]


def envoy_lines(name: str) -> list[bytes]:
    return (CAPTURES / "envoy140" / name).read_bytes().splitlines()


def example(name: str) -> list[bytes]:
    return [(CAPTURES / "otlp_examples" / f"otlp_example_{name}.json").read_bytes()]


def log_lines(*names: str) -> list[bytes]:
    return [
        line
        for name in names
        for line in (CAPTURES / "access_logs" / name).read_bytes().splitlines()
        if line and not line.startswith(b"#")
    ]


def odd_bodies(name: str) -> list[bytes]:
    return [
        path.read_bytes() for path in sorted((CAPTURES / "envoy140").glob(f"otlp_invalid_utf8_*{name}.bin"))
    ]


def metrics_as_protobuf() -> list[bytes]:
    bodies = [*example("metrics"), *small(envoy_lines("otlp_metrics_statsink.jsonl"), 3)]
    found = [to_protobuf(body, ExportMetricsServiceRequest) for body in bodies]
    return [body for body in found if isinstance(body, bytes)]


def als_messages(field: int) -> list[bytes]:
    """Messages of streams with entries of one kind, the first of a stream (with its identifier) among them."""
    messages = [one for one in framed("als.raw.bin") if bytes_field(one, field) is not None]
    return small(messages) + messages[:1]


def exports_target(name: str, corpus: Callable[[], list[bytes]], kind: str = "") -> Target:
    """A decoder of exports. An intact one before and after the others must keep all its rows."""
    decode = DECODERS[kind or name]

    @cache
    def intact() -> tuple[Export, dict[str, int]]:
        export = as_export(corpus()[0])
        return export, {table: rows.num_rows for table, rows in decode([export]).tables.items()}

    def as_export(body: bytes) -> Export:
        identifier = split_identifier(body) if kind == "als" else None
        return Export(body, "10.0.0.7", RECEIVED_US, identifier)

    def run(inputs: Sequence[bytes]) -> None:
        export, expected = intact()
        decoded = decode([export, *map(as_export, inputs), export])
        if {table: rows.schema for table, rows in decoded.tables.items()} != TABLES:
            raise Finding("other tables than the store's schema")
        ends = (0, len(inputs) + 1)
        if any(end in decoded.refused or end in decoded.rejected for end in ends):
            raise Finding("an intact export was refused for its neighbours' sake")
        for table, rows in decoded.tables.items():
            check(rows, sum(map(len, inputs)))
            exports = rows.column("export").to_numpy()
            if table in ("identities", "rejects"):  # those that repeat are left out
                continue
            if any(int((exports == end).sum()) != expected[table] for end in ends):
                raise Finding(f"an intact export has lost or gained rows of {table}")

    return Target(name, corpus, run)


def check(rows: pa.Table, input_bytes: int) -> None:
    rows.validate(full=True)
    if rows.nbytes > GROWTH_ROOM + GROWTH_MAX * input_bytes:
        raise Finding(f"{rows.nbytes} bytes of rows from {input_bytes} bytes of input")


def lines_target(
    name: str, corpus: Callable[[], list[bytes]], families: Callable[[], frozenset[str] | LineFormat]
) -> Target:
    """A reader of lines: the inputs are pieces of one file."""

    def run(inputs: Sequence[bytes]) -> None:
        data = b"\n".join(inputs)
        detect(data)
        read_lines(data, families())

    return Target(name, corpus, run)


def read_lines(data: bytes, families: frozenset[str] | LineFormat) -> list[Reject]:
    decoded = decode_chunk(data, 1, families, Emitter(None))
    for rows in (decoded.requests, decoded.connections, decoded.identities):
        check(rows, len(data))
    told = decoded.requests.num_rows + decoded.connections.num_rows + decoded.skipped + len(decoded.rejects)
    if told > decoded.lines:
        raise Finding(f"{decoded.lines} lines became {told} rows, skipped lines and rejects")
    return decoded.rejects


def shipped(lines: Sequence[bytes]) -> list[bytes]:
    """Some of the lines also as container runtimes write them."""
    cri = [b"2026-11-21T12:00:40.242Z stdout F " + line for line in lines[:3]]
    parts = [
        b"2026-11-21T12:00:40.242Z stdout P "
        + line[:60]
        + b"\n2026-11-21T12:00:40.243Z stdout F "
        + line[60:]
        for line in lines[:3]
    ]
    docker = [b'{"log":"' + line.replace(b'"', b'\\"') + b'\\n","stream":"stdout"}' for line in lines[:3]]
    return [
        *lines,
        *cri,
        *parts,
        *docker,
        b"[pod/reviews-v1/istio-proxy] " + lines[0],
        b"envoy-1  | " + lines[0],
    ]


ISTIO_FORMAT = (
    b'[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% '
    b"%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    b'"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% '
    b'%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" '
    b'"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% '
    b"%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)
JSON_FORMAT = (
    b'{"start_time": "%START_TIME%", "response_code": "%RESPONSE_CODE%", "duration": "%DURATION%", '
    b'"method": "%REQ(:METHOD)%", "dir": "%CEL(xds.listener_direction)%", '
    b'"filter_state": "%FILTER_STATE(upstream_peer)%", '
    b'"upstream_host": "%UPSTREAM_HOST%", "deep": {"path": "%REQ(:PATH)%"}, "both": "%PROTOCOL% %ROUTE_NAME%"}'
)
PEERS = [
    b'{"name":"reviews-v2-0","namespace":"shop","workload":"reviews-v2","service":"reviews","revision":"v2"}',
    b'{"NAME":"reviews-v2-0","NAMESPACE":"shop","WORKLOAD_NAME":"reviews-v2","LABELS":{"app":"reviews","version":"v2"}}',
    b"k8s.deployment.name=reviews-v2,k8s.namespace.name=shop,service.name=reviews,service.version=v2",
    b"reviews-v2;shop;reviews;v2;east",
    # A FlatBuffer of node_info.fbs with a pod's name and a label.
    bytes.fromhex(
        "1000000000000a000c000400000008000a00000008000000180000000c000000726576696577732d76322d30000000000100"
        "00000c00000008000c00080004000800000008000000100000000700000072657669657773000300000061707000"
    ),
]
FORMATS = [
    ISTIO_FORMAT,
    b'[%START_TIME%] "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%" %RESPONSE_CODE% %DURATION%',
    b"%START_TIME(%Y/%m/%dT%H:%M:%S%z)% %RESPONSE_CODE% %DURATION%ms %REQ(X-TENANT?X-TEAM):8% %GRPC_STATUS% 100%%",
    b"%START_TIME(%s.%3f)% %DYNAMIC_METADATA(istio.mixer:status)% %RESPONSE_CODE% %TRACE_ID% %SPAN_ID%",
    b"%START_TIME_LOCAL% %CEL(size('(a)') % 2 == 0 ? 'x' : 'y')% %RESPONSE_CODE% %RESPONSE_FLAGS_LONG% %STREAM_ID%",
    JSON_FORMAT,
]


def run_formats(inputs: Sequence[bytes]) -> None:
    """A format string is refused with a sentence, or reads lines without raising."""
    lines = b"\n".join(log_lines("client.istio.log")[:4]) + b"\n2026/11/21T13:00:40+0100 200 12ms blue 0 100%"
    for one in inputs:
        with contextlib.suppress(BadFormat):
            form = compile_format(one.decode("utf-8", "replace"))
            read_lines(lines, form)


def run_peers(inputs: Sequence[bytes]) -> None:
    """Bytes and texts that should be peer metadata: read, or nothing."""
    for one in inputs:
        flat_node_json(one)
        told = read_peer(one.decode("utf-8", "replace"))
        check(pa.Table.from_pylist([told], pa.schema([(name, pa.string()) for name in told])), len(one))


def compressed() -> list[bytes]:
    bodies = [*small(framed("otlp_http_logs.raw.bin"), 2), b"", bytes(2 * INFLATED_MAX)]
    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    return [
        *(gzip.compress(body, mtime=0) for body in bodies),
        gzip.compress(bodies[0], mtime=0) + gzip.compress(bodies[1], mtime=0),
        *(zlib.compress(body) for body in bodies),
        *(pa.compress(body, codec="zstd", asbytes=True) for body in bodies),
        raw.compress(bodies[0]) + raw.flush(),
    ]


def run_inflate(inputs: Sequence[bytes]) -> None:
    for body in inputs:
        if sniff(body) not in ENCODINGS:
            raise Finding(f"sniffed {sniff(body)}")
        for encoding in ENCODINGS:
            with contextlib.suppress(TooLarge, Undecodable):
                if len(inflate(body, encoding, INFLATED_MAX)) > INFLATED_MAX:
                    raise Finding(f"{encoding} gave more than the limit")


@cache
def journal_parts() -> list[bytes]:
    """The payloads of two frames."""
    batches = []
    for kind, name in (("otlp_traces", "otlp_grpc_traces.raw.bin"), ("otlp_logs", "otlp_http_logs.raw.bin")):
        body = min(framed(name), key=len)
        tables = DECODERS[kind]([Export(body, None, RECEIVED_US)]).tables
        batches.append(Batch([ExportMark("0" * 32, RECEIVED_US, kind)], dict(tables)))
    return [b"".join(bytes(part) for part in encode_frame(one)) for one in batches]


def journals() -> list[bytes]:
    first, second = journal_parts()
    return [first, first + second, encode_header("w", RECEIVED_US) + first]


def run_journal(inputs: Sequence[bytes]) -> None:
    """Frames that are whole are read, all else is a broken frame; a header is read or is none."""
    for data in inputs:
        with contextlib.suppress(BrokenFrame):
            decode_header(data)
        with contextlib.suppress(BrokenFrame):
            for batch, after in decode_frames(data, 0, WIRE):
                if not 0 < after <= len(data) or not batch.exports:
                    raise Finding("a frame that is not there")
                for rows in batch.tables.values():
                    rows.validate(full=True)


def _every(*names: str) -> Callable[[], frozenset[str]]:
    return lambda: frozenset(names)


@cache
def _own_format() -> LineFormat:
    return compile_format(ISTIO_FORMAT.decode())


_ACCESS_LOGS = "otlp_grpc_logs.raw.bin"
TARGETS = {
    target.name: target
    for target in (
        exports_target(
            "otlp_traces",
            lambda: small(framed("otlp_grpc_traces.raw.bin")) + odd_bodies("traces"),
            "otlp_traces",
        ),
        exports_target("otlp_logs", lambda: _plain_logs() + odd_bodies("logs"), "otlp_logs"),
        exports_target("otlp_metrics", metrics_as_protobuf, "otlp_metrics"),
        exports_target(
            "otlp_traces_json",
            lambda: example("trace") + small(envoy_lines("otlp_traces_spawn_http.jsonl"), 3),
        ),
        exports_target("otlp_logs_json", lambda: example("logs")),
        exports_target("otlp_metrics_json", lambda: example("metrics")),
        exports_target(
            "otlp_access_logs", lambda: small(framed(_ACCESS_LOGS)) + odd_bodies("LogsService"), "otlp_logs"
        ),
        exports_target("als_http", lambda: als_messages(2), "als"),
        exports_target("als_tcp", lambda: als_messages(3), "als"),
        lines_target(
            "istio_text",
            lambda: shipped(
                log_lines("client.istio.log", "server.istio.log", "client.tcp.istio.log", "waypoint.txt")
            ),
            _every("istio"),
        ),
        lines_target(
            "envoy_text",
            lambda: shipped(log_lines("client.default.log", "client.listener.log", "public_lines.txt")),
            _every(*READABLE),
        ),
        lines_target(
            "json_lines",
            lambda: shipped(log_lines("client.istio.json", "client.ext.json", "client.tcp.ext.json")),
            _every("json"),
        ),
        lines_target("ztunnel_lines", lambda: shipped(log_lines("ztunnel.txt")), _every(*READABLE)),
        lines_target("format_lines", lambda: log_lines("client.istio.log", "server.istio.log"), _own_format),
        lines_target(
            "json_format_lines",
            lambda: shipped(log_lines("client.ext.json", "server.ext.json")),
            lambda: compile_format(JSON_FORMAT.decode()),
        ),
        Target("peers", lambda: PEERS, run_peers, together=10),
        Target("format_strings", lambda: FORMATS, run_formats, together=10),
        Target("decompression", compressed, run_inflate, together=10),
        Target("journal_frames", journals, run_journal, together=10),
    )
}


def _plain_logs() -> list[bytes]:
    """Application log records: the specification's example, as protobuf."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    found = [to_protobuf(body, ExportLogsServiceRequest) for body in example("logs")]
    return [body for body in found if isinstance(body, bytes)] + small(framed("otlp_http_logs.raw.bin"), 3)
