"""Istio's and Envoy's text lines, real ones first, then what strangers can write into them."""

# ruff: noqa: E501 - log lines are long

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from collector.decode.access_log import decode_chunk
from collector.decode.access_log_emitter import Emitter
from collector.decode.access_log_fields import FIELDS, Reject
from collector.decode.access_log_oddities import parse_odd_line
from collector.decode.access_log_text import parse_text
from tests.collector.access_log_goldens import (
    ALL,
    CLIENT,
    GOLDEN,
    captured,
    decoded,
    goldens,
    plain,
    public_lines,
    rendered,
)

FAMILIES = frozenset({"istio", "envoy"})
TEXT_CAPTURES = ("client.istio.log", "server.istio.log", "client.default.log", "clientstart.istio.log")
OK = (
    '[2026-11-21T12:00:40.242Z] "GET /ok HTTP/1.1" 200 - via_upstream - "-" 0 3 9 6 "-" "{ua}" "{rid}" "reviews:9080" '
    '"10.0.0.2:9080" outbound|9080|v1|reviews.default.svc.cluster.local 10.0.0.1:35366 10.96.0.1:9080 10.0.0.1:56940 - default'
)


def one(line: str) -> dict[str, Any]:
    chunk = decode_chunk(line.encode("utf-8", "surrogateescape") + b"\n", 1, ALL, Emitter(CLIENT))
    assert not chunk.rejects, chunk.rejects
    (row,) = plain(chunk.requests) + plain(chunk.connections)
    return row


@pytest.mark.parametrize("name", ["istio", "envoy", "json", "public"])
def test_captured_lines_decode_to_the_golden_rows(name: str) -> None:
    """What real proxies wrote means today what it meant when the golden was reviewed."""
    golden = (GOLDEN / f"access_log_{name}.jsonl").read_text(encoding="utf-8")
    assert rendered(goldens()[name]) == golden


def test_the_fast_way_means_the_same_as_the_careful_one() -> None:
    """A line split into columns has exactly the fields that reading it from both ends finds."""
    lines = public_lines()
    for name in TEXT_CAPTURES:
        lines += captured(name).decode("utf-8", "replace").splitlines()
    fast = parse_text(pa.array(lines), np.arange(1, len(lines) + 1), FAMILIES)
    by_line = {row["line"]: row for row in fast.fields.to_pylist()}
    assert len(by_line) == len(lines) - 4, "four public lines have lost their time"
    for number, line in enumerate(lines, 1):
        careful = parse_odd_line(line, number, FAMILIES)
        if isinstance(careful, Reject):
            assert number not in by_line
            continue
        found = {key: None if careful.get(key) in ("-", "") else careful.get(key) for key in FIELDS}
        assert {key: by_line[number][key] for key in FIELDS} == found, line


def test_mutated_lines_mean_the_same_to_both_ways() -> None:
    """Quotes, blanks and pieces of other lines put anywhere: what is split into columns is what reading it finds."""
    chance = random.Random(20261122)
    captured_lines = [
        line for name in TEXT_CAPTURES for line in captured(name).decode("utf-8", "replace").splitlines()
    ]
    pieces = [
        '"',
        '" "',
        " ",
        '" 200 - ',
        'HTTP/1.1" 200 - ',
        "-",
        '"-"',
        '" "-" "',
        "\x01",
        "\r",
        "[x] ",
        "0x1f",
    ]
    lines = []
    for _ in range(6000):
        line = chance.choice(captured_lines)
        for _ in range(chance.choice((1, 1, 2, 4))):
            at = chance.randrange(len(line))
            cut = at + chance.choice((0, 0, 0, 1, 5))
            line = line[:at] + chance.choice(pieces) + line[cut:]
        lines.append(line)
    fast = parse_text(pa.array(lines), np.arange(1, len(lines) + 1), FAMILIES)
    by_line = {row["line"]: row for row in fast.fields.to_pylist()}
    refused = 0
    for number, line in enumerate(lines, 1):
        careful = parse_odd_line(line, number, FAMILIES)
        if isinstance(careful, Reject):
            refused += 1
            assert number not in by_line, line
            continue
        found = {key: None if careful.get(key) in ("-", "") else careful.get(key) for key in FIELDS}
        assert {key: by_line[number][key] for key in FIELDS} == found, line
    assert 500 < refused < 5500


def test_text_and_json_of_the_same_requests_are_the_same_rows() -> None:
    """Istio's two formats say the same; only bytes that are not UTF-8 cannot survive the text form."""
    text = decoded(captured("client.istio.log"), CLIENT)
    json_ = decoded(captured("client.istio.json"), CLIENT)
    assert len(text) == len(json_)
    different = [(a, b) for a, b in zip(text, json_, strict=True) if a != b]
    assert [a["user_agent"] for a, _ in different] == [
        "Mozilla/5.0 (X11; Linux) caf\N{REPLACEMENT CHARACTER}"
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            OK.format(ua="curl/8", rid="r1"),
            "reporter=source status_code=200 duration_us=9000 request_bytes=0 response_bytes=3 request_id=r1 "
            "source_address=10.0.0.1:56940 upstream_address=10.0.0.2:9080 protocol=http http_version=1.1",
            id="outbound",
        ),
        pytest.param(
            '[2025-07-22T17:55:49.074Z] "GET / HTTP/1.1" 403 - rbac_access_denied_matched_policy[none] - "-" 0 19 0 - '
            '"10.244.1.1" "curl/8.14.1" "r" "172.18.10.10" "-" inbound|80||; - 10.244.1.9:80 10.244.1.1:0 '
            "outbound_.80_._.nginx-svc.default.svc.cluster.local default",
            "reporter=destination status_code=403 source_address=None forwarded_for=10.244.1.1 tls=mutual "
            "upstream_cluster=inbound|80|| upstream_address=None",
            id="port 0 is X-Forwarded-For",
        ),
        pytest.param(
            '[2025-05-25T04:53:18.841Z] "GET /api/users HTTP/1.1" 503 UH no_healthy_upstream - "-" 0 19 0 - "" "bee" "r" '
            '"forum:80" "-" outbound|80||forum.x.svc.cluster.local - 10.10.200.72:80 :0 - default',
            "source_address=None forwarded_for=None response_flags=UH",
            id="an address that is only a port",
        ),
        pytest.param(
            '[2024-04-22T04:26:10.731Z] "- - -" 0 UH - - "-" 0 0 0 - "-" "-" "-" "-" "-" BlackHoleCluster - '
            "[2001:2::f0f0:89b7]:10002 [2406:da24::14]:45890 - -",
            "protocol=tcp status_code=None source_address=[2406:da24::14]:45890 response_flags=UH",
            id="TCP and IPv6",
        ),
        pytest.param(
            '[2026-11-22T12:22:59.791Z] "- - -" 0 - - '
            'rbac_access_denied_matched_policy[ns[default]-policy[ledger]-rule[0]] "-" 17 0 948 - "-" "-" "-" "-" '
            '"10.0.0.7:18300" inbound|8300|| 127.0.0.6:33476 10.0.0.7:8300 10.0.0.3:60070 '
            "outbound_.8300_._.ledger.default.svc.cluster.local -",
            "protocol=tcp reporter=destination response_flags= "
            "response_code_details=rbac_access_denied_matched_policy[ns[default]-policy[ledger]-rule[0]]",
            id="why a connection ended",
        ),
        pytest.param(
            '[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" '
            '"cc21d9b0" "locations" "tcp://10.0.2.1:80"',
            "upstream_address=10.0.2.1:80 request_bytes=154 http_version=2 forwarded_for=10.0.35.28 upstream_cluster=None",
            id="Envoy's default with an address as URL",
        ),
        pytest.param(
            '[2025-02-10T15:09:47.730Z] "GET /ratings/0 HTTP/1.1" 200 - via_upstream - "-" 0 48 2 2 "-" "Go" "r" '
            '"ratings:9080" "envoy://connect_originate/10.244.0.22:9080" inbound-vip|9080|http|ratings.b.svc.cluster.local '
            "envoy://internal_client_address/ 10.102.182.209:9080 10.244.0.14:51658 - default",
            "reporter=waypoint upstream_address=10.244.0.22:9080 upstream_local_address=None source_address=10.244.0.14:51658",
            id="waypoint",
        ),
        pytest.param(
            '[2026-11-21T12:00:58.741Z] "POST /test.Svc/Slow HTTP/2" 200 UT response_timeout - "-" 6 0 803 - "-" '
            '"grpc-python/1.85.1 grpc-c/58.0.0 (linux; chttp2)" "r" "ratings:9000" "10.0.0.7:9000" '
            "outbound|9000||ratings.default.svc.cluster.local 10.0.0.1:38786 10.96.0.1:9000 10.0.0.1:45138 - default",
            "protocol=grpc grpc_status=None status_code=200 response_flags=UT",
            id="gRPC, whose status the format cannot show",
        ),
        pytest.param(
            '[2022-05-10T16:27:29.232Z] "POST /h HTTP/2" 503 UF,URX "-" "TLS error: Secret is not supplied by SDS" 132 91 '
            '25 - "10.39.0.0" "-" "r" "api" "10.33.0.90:28500" outbound|80||h.services.svc.cluster.local - 10.33.0.43:443 '
            "10.39.0.0:29543 api.local -",
            "response_flags=UF,URX response_code_details=None sni=api.local request_bytes=132",
            id="Istio 1.8, mixer status",
        ),
        pytest.param(
            '[2020-09-23T05:15:11.920Z "GET / HTTP/1.1" 301 - "-" "-" 0 183 38 35 "-" "Go-http-client/1.1" "r" "g.com" '
            '"143.204.151.4:80" PassthroughCluster 10.1.0.116:55436 143.204.151.4:80 10.1.0.116:47062 - allow_any',
            "time=2020-09-23_05:15:11.920000 status_code=301 upstream_cluster=PassthroughCluster",
            id="a lost bracket",
        ),
        pytest.param(
            '[2022-10-18T20:16:39.453Z] "- - -" 0 UF,URX - - "-" 0 0 10000 - "-" "-" "-" "-" "178.170.196.65:9092" '
            "PassthroughCluster - 178.170.196.65:9092 10.128.2.32:59026 - - - -",
            "source_address=10.128.2.32:59026 duration_us=10000000",
            id="fields of a format with more of them",
        ),
        pytest.param(
            OK.format(ua='a" b "c', rid="r2"), 'user_agent=a"_b_"c request_id=r2 status_code=200', id="quotes"
        ),
        pytest.param(OK.format(ua="", rid="r3"), "user_agent=None request_id=r3", id="empty user agent"),
        pytest.param(
            OK.format(ua="x", rid="r4").replace("GET /ok", 'GET /a b"c?q=" "'),
            'path=/a_b"c?q="_" request_id=r4',
            id="blanks and quotes in the path",
        ),
        pytest.param(
            OK.format(
                ua='x" "fake" "evil:80" "6.6.6.6:80" outbound|1||evil.svc - 6.6.6.6:1 6.6.6.6:2 - -', rid="r5"
            ),
            "request_id=r5 upstream_address=10.0.0.2:9080 source_address=10.0.0.1:56940 authority=reviews:9080",
            id="a forged tail in the user agent",
        ),
        pytest.param(
            OK.format(ua="x", rid="r6").replace(" 9 6 ", " -1 - "),
            "duration_us=None",
            id="no duration below 0",
        ),
    ],
)
def test_lines_and_what_they_mean(line: str, expected: str) -> None:
    """Each line is one row with these columns (blanks in values shown as _)."""
    row = one(line)
    for pair in expected.split():
        name, _, value = pair.partition("=")
        assert str(row.get(name)).replace(" ", "_") == value, name


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            '"GET / HTTP/1.1" 503 UH x - "-" 0 19 0 - "-" "c" "r" "a" "-" outbound|9080||p - 1.1.1.1:8 1.1.1.1:6 - -',
            "time",
        ),
        (OK.format(ua="x", rid="r")[:150], "cut short|not an access-log line"),
        (OK.format(ua="x", rid="r")[:-60], "cut short"),
        (OK.format(ua="x", rid="r").replace(" 200 ", " 2OO "), "not an access-log line"),
        (OK.format(ua="x", rid="r").replace("T12:00", "T99:00"), "time cannot be read"),
        (
            "[2026-11-21 12:00:40.242][12][info][main] [source/server/server.cc:977] starting main dispatch loop",
            "not an",
        ),
        ("2026-11-21T12:00:40.242Z\tinfo\tEnvoy proxy is ready", "not an"),
        ("\x00\x01\x02", "not an"),
        (OK.format(ua="x", rid="r").replace(" 0 3 9 ", " 0 " + "9" * 40 + " 9 "), "number"),
    ],
)
def test_lines_that_are_refused_say_why(line: str, reason: str) -> None:
    """A line with a doubt about its fields is no row: it is rejected with its number and a reason."""
    chunk = decode_chunk(b"\n" + line.encode() + b"\n", 41, ALL, Emitter(None))
    assert chunk.requests.num_rows == chunk.connections.num_rows == 0
    (found,) = chunk.rejects
    assert found.line == 42
    assert any(part in found.reason for part in reason.split("|")), found.reason


def test_start_periodic_and_listener_records_are_no_requests() -> None:
    """Code 0 without flags or details, or a protocol without a method: counted as skipped, not as requests."""
    chunk = decode_chunk(captured("clientstart.istio.log"), 1, ALL, Emitter(None))
    assert (chunk.requests.num_rows, chunk.skipped) == (2, 3)
    listener = decode_chunk(captured("client.listener.log"), 1, ALL, Emitter(None))
    assert (listener.requests.num_rows, listener.skipped) == (0, 61)


def test_bytes_that_are_no_utf8_are_repaired_alone() -> None:
    """One caller's Latin-1 user agent changes no other value."""
    lines = OK.format(ua="caf\udce9", rid="a") + "\n" + OK.format(ua="日本", rid="b") + "\n"
    chunk = decode_chunk(lines.encode("utf-8", "surrogateescape"), 1, ALL, Emitter(None))
    assert chunk.requests["user_agent"].to_pylist() == ["caf\N{REPLACEMENT CHARACTER}", "日本"]


def test_values_are_cut_to_the_limit() -> None:
    """A 60 kB path is stored cut; the row stays."""
    row = one(OK.format(ua="x", rid="r").replace("/ok", "/" + "x" * 60_000))
    assert 4096 <= len(row["path"]) <= 16_384


def test_a_code_that_is_none_is_unknown() -> None:
    """A code of eighteen digits costs neither the row nor the file."""
    assert one(OK.format(ua="x", rid="r").replace(" 200 ", " 999999999999999999 ")).get("status_code") is None


def test_mutated_lines_never_raise_and_none_is_lost() -> None:
    """Whatever a disk or a caller does to lines, each ends as a row, a counted skip or a reject."""
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    pool = [line.encode() for line in public_lines()]
    for name in (*TEXT_CAPTURES, "client.istio.json"):
        pool += captured(name).splitlines()
    lines = [mutated(rng, rng.choice(pool), pool) for _ in range(4000)]
    lines = [line for line in lines if line.strip(b"\r")]
    chunk = decode_chunk(b"\n".join(lines) + b"\n", 1, ALL, Emitter(CLIENT))
    found = chunk.requests.num_rows + chunk.connections.num_rows + chunk.skipped + len(chunk.rejects)
    assert found == chunk.lines == len(lines)
    chunk.requests.validate(full=True)
    assert all(1 <= one.line <= len(lines) for one in chunk.rejects)


def mutated(rng: random.Random, line: bytes, pool: list[bytes]) -> bytes:
    """A line with a few bytes changed, cut, doubled or swapped with another's; never a newline or a prefix."""
    data = bytearray(line)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(1, len(data) + 1)
        match rng.randrange(6):
            case 0:
                data[at - 1] = rng.choice(b'" -\xff\x00[]{}:|,0A')
            case 1:
                del data[at : at + rng.randrange(40)]
            case 2:
                data[at:at] = rng.choice([b'"', b" ", b'" "', b"\xe9", b"9" * 30, b"\xed\xa0\x80"])
            case 3:
                other = rng.choice(pool)
                data[at:] = other[rng.randrange(len(other)) :]
            case 4:
                del data[at:]
            case 5:
                data[at:at] = data[: rng.randrange(len(data) + 1)]
    return bytes(data).replace(b"\n", b" ") or b"x"
