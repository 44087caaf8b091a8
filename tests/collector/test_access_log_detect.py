"""Formats told apart by content, and what shippers put before a line."""

from __future__ import annotations

import json

import pytest

from collector.decode.access_log import decode_chunk, detect
from collector.decode.access_log_emitter import Emitter
from tests.collector.access_log_goldens import ALL, CAPTURES, captured, public_json_lines

ISTIO = captured("client.istio.log").decode("utf-8", "replace").splitlines()
JSON = captured("client.istio.json").decode("utf-8", "replace").splitlines()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (captured("client.istio.log"), ("istio", True)),
        (captured("client.default.log"), ("envoy", True)),
        (captured("client.istio.json"), ("json", True)),
        (captured("waypoint.txt"), ("istio", True)),
        (public_json_lines()[2].encode(), ("json", True)),
        (public_json_lines()[4].encode(), ("traefik", False)),
        (public_json_lines()[7].encode(), ("ztunnel", True)),
        (captured("ztunnel.txt"), ("ztunnel", True)),
        (b'{"resourceSpans":[]}', ("otlp", False)),
        (b'[{"traceId":"a","id":"b","localEndpoint":{"serviceName":"x"}}]', ("zipkin", False)),
        (b"hello\nworld\n", None),
        (b"", None),
    ],
)
def test_the_format_is_told_from_the_lines(text: bytes, expected: tuple[str, bool] | None) -> None:
    """`auto` looks at what most lines are; formats that come later are named."""
    found = detect(text)
    assert (found and (found.name, found.readable)) == expected


@pytest.mark.parametrize(
    "prefix",
    [
        "2026-08-13T10:00:00.123456789Z stdout F ",
        "2026-08-13T10:00:00.123456789+02:00 stderr F ",
        "2025-01-30T12:10:13.682034460Z ",
        "2021-02-01T21:34:35+00:00 ",
        "[pod/reviews-v1-7f9c4d8b6-x2x4z/istio-proxy] ",
        "[pod/reviews-v1-7f9c4d8b6-x2x4z/istio-proxy] 2025-01-30T12:10:13.682034460Z ",
        "envoy-1         | ",
        "envoy-1         | 2024-07-20T07:05:58.670998585Z ",
    ],
)
@pytest.mark.parametrize("lines", [ISTIO, JSON], ids=["text", "json"])
def test_prefixes_are_taken_off(prefix: str, lines: list[str]) -> None:
    """Prefixed lines are the same rows as the lines themselves."""
    bare = decode_chunk("\n".join(lines).encode(), 1, ALL, Emitter(None))
    found = decode_chunk("\n".join(prefix + line for line in lines).encode(), 1, ALL, Emitter(None))
    assert found.requests.equals(bare.requests)
    assert not found.rejects


def test_docker_lines_are_unpacked_and_pieces_joined() -> None:
    """Docker's json-file keeps the newline in `log`; a piece without one goes on in the next line."""
    wrapped = [json.dumps({"log": line + "\n", "stream": "stdout", "time": "t"}) for line in ISTIO]
    cut = [json.dumps({"log": part, "stream": "stdout"}) for part in (ISTIO[0][:50], ISTIO[0][50:] + "\n")]
    broken = '{"log":"never closed'
    chunk = decode_chunk("\n".join([*cut, broken, *wrapped[1:]]).encode(), 1, ALL, Emitter(None))
    bare = decode_chunk("\n".join(ISTIO).encode(), 1, ALL, Emitter(None))
    assert chunk.requests.equals(bare.requests)
    assert [one.line for one in chunk.rejects] == [3]


def test_cri_parts_are_joined_under_their_first_number() -> None:
    """A line the kubelet cut at 16 KiB is one line; parts of the two streams do not mix."""
    stamp = "2026-08-13T10:00:00.1Z"
    line = ISTIO[0]
    parts = [
        f"{stamp} stdout P {line[:40]}",
        f"{stamp} stderr F something else",
        f"{stamp} stdout P {line[40:60]}",
        f"{stamp} stdout F {line[60:]}",
        f"{stamp} stdout F {ISTIO[1]}",
    ]
    chunk = decode_chunk("\n".join(parts).encode(), 1, ALL, Emitter(None))
    bare = decode_chunk("\n".join(ISTIO[:2]).encode(), 1, ALL, Emitter(None))
    assert chunk.requests.equals(bare.requests)
    assert [one.line for one in chunk.rejects] == [2]


def test_every_capture_is_recognised() -> None:
    """No captured file needs --format."""
    for path in CAPTURES.iterdir():
        if path.suffix in (".log", ".json"):
            found = detect(path.read_bytes())
            assert found is not None, path.name
            assert found.readable, path.name
