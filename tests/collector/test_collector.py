"""The collector as a process with its real decoders: what it acknowledged is in the journal's tables."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from bench.payloads import AccessLogMessages, SpanBodies
from collector.grpc_server import ALS_METHOD
from tests.collector.journal_reading import digests, is_locked, read_folder
from tests.payloads import LOGS, TRACES, app_spans, log_records

PROCESS = """
import json, sys
from collector.main import run_collector
from collector.settings import CollectorSettings
sys.exit(run_collector(CollectorSettings.from_mapping(json.loads(sys.argv[1]))))
"""


class Running:
    def __init__(self, data: Path) -> None:
        self.data = data
        values = {"data": str(data), "grpc": "127.0.0.1:0", "http": "127.0.0.1:0"}
        path = data / "run" / "collector0.metrics.json"
        path.unlink(missing_ok=True)
        self.process = subprocess.Popen([sys.executable, "-c", PROCESS, json.dumps(values)])
        deadline = time.monotonic() + 120
        while not path.exists() and time.monotonic() < deadline and self.process.poll() is None:
            time.sleep(0.05)
        listening = json.loads(path.read_text())["listening"]
        self.grpc, self.http = listening["grpc"], listening["http"]

    def rows(self, table: str) -> list[dict[str, Any]]:
        return [
            row
            for batch in read_folder(self.data / "journal")
            if table in batch.tables
            for row in batch.tables[table].to_pylist()
        ]


@pytest.fixture(scope="module")
def collector(tmp_path_factory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("data"))
    yield running
    running.process.kill()
    running.process.wait()


def call(running: Running, method: str, body: bytes) -> bytes:
    with grpc.insecure_channel(running.grpc) as channel:
        return channel.unary_unary(method)(body, timeout=60, compression=grpc.Compression.Gzip)


def post(running: Running, path: str, body: bytes, content_type: str) -> tuple[int, bytes]:
    host, _, port = running.http.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    connection.request("POST", path, body, {"content-type": content_type})
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


def test_spans_and_logs_over_grpc(collector):
    """Spans and log records that were acknowledged are rows."""
    assert call(collector, TRACES, app_spans(7, service="grpc-spans").SerializeToString()) == b""
    assert call(collector, LOGS, log_records(3, service="grpc-logs").SerializeToString()) == b""
    assert sum(row["service_name"] == "grpc-spans" for row in collector.rows("spans")) == 7
    assert sum(row["service_name"] == "grpc-logs" for row in collector.rows("logs")) == 3


def test_both_forms_over_http(collector):
    """Protobuf and JSON bodies of the same kind give the same rows."""
    for service, content_type in (("http-pb", "application/x-protobuf"), ("http-json", "application/json")):
        request = app_spans(4, service=service)
        body = request.SerializeToString()
        if content_type.endswith("json"):
            tree = json_format.MessageToDict(request)
            for span in tree["resourceSpans"][0]["scopeSpans"][0]["spans"]:
                span["traceId"], span["spanId"] = "5b" * 16, "ee" * 8
                span.pop("parentSpanId", None)
            body = json.dumps(tree).encode()
        assert post(collector, "/v1/traces", body, content_type)[0] == 200
        assert sum(row["service_name"] == service for row in collector.rows("spans")) == 4


def test_bad_span_among_good_ones(collector):
    """A span with a short id is named in a partial success; the others are stored."""
    request = app_spans(3, service="partial")
    request.resource_spans[0].scope_spans[0].spans[1].span_id = b"short"
    answer = ExportTraceServiceResponse.FromString(call(collector, TRACES, request.SerializeToString()))
    assert answer.partial_success.rejected_spans == 1
    assert "span" in answer.partial_success.error_message
    assert sum(row["service_name"] == "partial" for row in collector.rows("spans")) == 2


def test_cut_short(collector):
    """A body cut in the middle is refused with the byte, on both ports."""
    body = app_spans(3).SerializeToString()[:-20]
    with pytest.raises(grpc.RpcError, match="byte") as caught:
        call(collector, TRACES, body)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    status, answer = post(collector, "/v1/traces", body, "application/x-protobuf")
    assert status == 400
    assert b"byte" in answer


def test_envoy_shaped(collector):
    """The bench's bodies are what they claim: every span and access log entry becomes a row."""
    assert call(collector, TRACES, SpanBodies(64, "bench").next()) == b""
    spans = [row for row in collector.rows("spans") if row["service_name"] == "bench.default"]
    assert len(spans) == 64
    assert spans[0]["is_proxy"]
    messages = AccessLogMessages(14, 3)
    with grpc.insecure_channel(collector.grpc) as channel:
        sent = [messages.identifier, *(messages.next() for _ in range(10))]
        assert channel.stream_unary(ALS_METHOD)(iter(sent), timeout=60) == b""
    rows = [row for row in collector.rows("observations") if row["signal"] == "als"]
    assert len(rows) == 140
    assert {row["emitter"] for row in rows} == {"productpage-v1-7d4f9c6b5-00003.default"}
    assert {row["upstream_cluster"].split("|")[2] for row in rows} == {"v1", "v2"}


def digest(body: bytes) -> str:
    return hashlib.blake2b(b"otlp_traces\0" + body, digest_size=16).hexdigest()


@pytest.mark.slow
def test_kill_9(tmp_path):
    """Killed in mid-stream, restarted, killed again: every acknowledged export is in the journal."""
    acknowledged: list[str] = []
    for _ in range(2):
        running = Running(tmp_path)
        with grpc.insecure_channel(running.grpc) as channel:
            send = channel.unary_unary(TRACES)
            flying = [(body, send.future(body, timeout=30)) for body in bodies(60)]
            flying[0][1].result()
            time.sleep(0.05)
            running.process.send_signal(signal.SIGKILL)
            running.process.wait()
            for body, future in flying:
                with contextlib.suppress(grpc.RpcError):
                    future.result()
                    acknowledged.append(digest(body))
    assert len(acknowledged) >= 2
    assert set(acknowledged) <= set(digests(tmp_path / "journal"))


def bodies(count: int) -> list[bytes]:
    return [app_spans(20).SerializeToString() for _ in range(count)]


@pytest.mark.slow
def test_sigterm(tmp_path):
    """SIGTERM: what was sent is answered or refused, the journal is finished, and it is soon gone."""
    running = Running(tmp_path)
    with grpc.insecure_channel(running.grpc) as channel:
        send = channel.unary_unary(TRACES)
        flying = [(body, send.future(body, timeout=30)) for body in bodies(40)]
        flying[0][1].result()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0
        acknowledged = []
        for body, future in flying:
            with contextlib.suppress(grpc.RpcError):
                future.result()
                acknowledged.append(digest(body))
    assert set(acknowledged) <= set(digests(tmp_path / "journal"))
    assert not any(is_locked(path) for path in (tmp_path / "journal").glob("*.journal"))


@pytest.mark.slow
def test_port_taken(tmp_path):
    """A port that another program holds ends the process with status 1 and one sentence."""
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", 0))
        foreign.listen(1)
        address = f"127.0.0.1:{foreign.getsockname()[1]}"
        values = json.dumps({"data": str(tmp_path), "grpc": address, "http": "127.0.0.1:0"})
        done = subprocess.run(
            [sys.executable, "-c", PROCESS, values], capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 1
    assert f"The gRPC address {address} cannot be listened on" in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_refused(tmp_path):
    """A setting that is wrong or unknown is a sentence that names it."""
    from collector.errors import SettingsError
    from collector.settings import CollectorSettings, read_tokens

    empty = tmp_path / "tokens"
    empty.touch()
    bad: list[tuple[dict[str, Any], str]] = [
        ({"colour": 1}, "no collector setting 'colour'"),
        ({"grpc": "4317"}, "grpc is wrong: expected HOST:PORT"),
        ({"http": "::1:4318"}, "http is wrong: expected HOST:PORT"),
        ({"http": "[::1]:99999"}, "http is wrong: expected HOST:PORT"),
        ({"grpc": "0.0.0.0:4317"}, "can be reached by others, so it needs token_file"),
        ({"http": "example.com:80"}, "can be reached by others"),
        ({"tls_cert": empty}, "come together"),
        ({"client_ca": empty}, "client_ca needs tls_cert"),
        ({"token_file": tmp_path / "none"}, "there is no file"),
        ({"journal_limit_bytes": 1}, "journal_limit_bytes is wrong"),
        ({"name": "a/b"}, "name is wrong"),
    ]
    for values, sentence in bad:
        with pytest.raises(SettingsError, match=sentence):
            CollectorSettings.from_mapping({"data": tmp_path, **values})
    for values in (
        {"grpc": "0.0.0.0:4317", "allow_anonymous": True},
        {"http": "[::1]:4318"},
        {"grpc": "localhost:1"},
    ):
        CollectorSettings.from_mapping({"data": tmp_path, **values})
    with pytest.raises(SettingsError, match="holds no token"):
        read_tokens(empty)
