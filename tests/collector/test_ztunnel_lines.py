"""ztunnel's access logs: what real ones wrote, and what may come in their place."""

# ruff: noqa: E501 - log lines are long

from __future__ import annotations

import json
from typing import Any

import pytest

from collector.decode.access_log import DecodedChunk, decode_chunk
from collector.decode.access_log_emitter import Emitter, Pod
from tests.collector.access_log_goldens import ALL, GOLDEN, goldens, plain, rendered

HEAD = "2026-11-21T12:00:40.242000Z\tinfo\taccess\tconnection complete\t"
FIELDS = {
    "src.addr": "10.0.0.1:40000",
    "src.workload": "shop-5d9c7b6f4-x7k2p",
    "src.namespace": "default",
    "src.identity": "spiffe://cluster.local/ns/default/sa/shop",
    "dst.addr": "10.0.0.2:15008",
    "dst.hbone_addr": "10.0.0.2:8080",
    "dst.service": "pay.default.svc.cluster.local",
    "dst.workload": "pay-6f9b55c5db-7nxdq",
    "dst.namespace": "default",
    "dst.identity": "spiffe://cluster.local/ns/default/sa/pay",
    "direction": "outbound",
    "bytes_sent": "200",
    "bytes_recv": "600",
    "duration": "7ms",
}
BARE = ("src.addr", "dst.addr", "dst.hbone_addr", "bytes_sent", "bytes_recv")


def line(head: str = HEAD, **changes: str | None) -> str:
    """A text line; a change to None leaves a field out, `src_addr` stands for src.addr."""
    named = {
        name.replace("_", ".", 1) if name[:3] in ("src", "dst") else name: value
        for name, value in changes.items()
    }
    told = {name: value for name, value in (FIELDS | named).items() if value is not None}
    return head + " ".join(
        f"{name}={value}" if name in BARE else f'{name}="{value}"' for name, value in told.items()
    )


def as_json(text: str) -> str:
    """The same line as LOG_FORMAT=json writes it."""
    head, _, fields = text.partition("connection complete\t")
    record: dict[str, Any] = {
        "level": "info",
        "time": head.partition("\t")[0],
        "scope": "access",
        "message": "connection complete",
    }
    for token in fields.split(" "):
        name, _, value = token.partition("=")
        record[name] = int(value) if name.startswith("bytes") else value.strip('"')
    return json.dumps(record, separators=(",", ":"))


def decode(*texts: str, families: frozenset[str] = ALL) -> DecodedChunk:
    return decode_chunk(
        "\n".join(texts).encode() + b"\n", 1, families, Emitter(Pod("ztunnel-x", "istio-system"))
    )


def one(text: str) -> dict[str, Any]:
    chunk = decode(text)
    assert not chunk.rejects, chunk.rejects
    (row,) = chunk.requests.to_pylist()
    assert chunk.connections.num_rows == 0, (
        "nothing waits for the end of the file: ztunnel writes no periodic lines"
    )
    return row


def test_captured_lines_decode_to_the_golden_rows() -> None:
    """Lines of several versions, text and JSON, each with its error, mean what the reviewed golden says."""
    assert rendered(goldens()["ztunnel"]) == (GOLDEN / "access_log_ztunnel.jsonl").read_text(encoding="utf-8")


def test_an_outbound_line_is_the_callers_row() -> None:
    """The proxy is the pod it speaks for, the time is the start, the caller's bytes are those it sent."""
    row = one(line())
    told = {name: value for name, value in row.items() if value not in (None, [])}
    assert str(told.pop("time")) == "2026-11-21 12:00:40.235000"
    assert told == {
        "export": 0,
        "duration_us": 7000,
        "reporter": "source",
        "signal": "ztunnel",
        "emitter": "shop-5d9c7b6f4-x7k2p.default",
        "protocol": "tcp",
        "authority": "pay.default.svc.cluster.local",
        "response_flags": "",
        "source_address": "10.0.0.1:40000",
        "upstream_address": "10.0.0.2:8080",
        "source_principal": "spiffe://cluster.local/ns/default/sa/shop",
        "destination_principal": "spiffe://cluster.local/ns/default/sa/pay",
        "request_bytes": 200,
        "response_bytes": 600,
        "tls": "mutual",
        "attributes": [("dst.hbone_addr", "10.0.0.2:8080")],
    }


def test_an_inbound_line_is_the_called_pods_row() -> None:
    """What an inbound ztunnel received are the caller's bytes; its pod is the one that was called."""
    row = one(line(direction="inbound", bytes_sent="600", bytes_recv="200"))
    assert (row["reporter"], row["emitter"]) == ("destination", "pay-6f9b55c5db-7nxdq.default")
    assert (row["request_bytes"], row["response_bytes"]) == (200, 600)
    assert (row["source_address"], row["downstream_local_address"]) == ("10.0.0.1:40000", "10.0.0.2:8080")


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "2026-11-21T12:00:40.300000000Z ",
        "2026-11-21T12:00:40.300000000Z stdout F ",
        "[pod/ztunnel-x/istio-proxy] 2026-11-21T12:00:40.300000000Z ",
        "ztunnel-1  | ",
    ],
)
@pytest.mark.parametrize(
    "head",
    [
        HEAD,
        HEAD.replace("\t", "    "),
        HEAD.replace("\t", " "),
        "2026-11-21T12:00:40.242000Z  INFO access: connection complete ",
    ],
)
def test_what_stands_before_a_line_is_taken_off(prefix: str, head: str) -> None:
    """Container runtimes, kubectl, docker-compose, old versions and copied terminals: the time is ztunnel's own."""
    assert one(prefix + line(head)) == one(line())


def test_json_says_the_same_as_text() -> None:
    """Both forms of a line are the same row, also within Docker's, and beside lines with other fields."""
    assert one(as_json(line())) == one(line())
    early = as_json(line()).replace('"time":', '"timestamp":').replace('"scope":', '"target":')
    assert one(early) == one(line())
    docker = json.dumps({"log": as_json(line()) + "\n", "stream": "stdout"}, separators=(",", ":"))
    assert one(docker) == one(line())
    texts = [line(bytes_sent=str(number)) for number in range(40)]
    mixed = [as_json(text) if number % 2 else text for number, text in enumerate(texts)]
    rows = decode(*mixed).requests.to_pylist()
    assert sorted(rows, key=lambda row: row["request_bytes"]) == decode(*texts).requests.to_pylist()


@pytest.mark.parametrize(
    ("error", "flags", "details"),
    [
        ("connection closed due to policy rejection: explicitly denied by: default/no-shop", "", "rbac_access_denied_matched_policy[default/no-shop]"),
        ("connection closed due to policy rejection: allow policies exist, but none allowed", "", "rbac_access_denied_matched_policy[none]"),
        ("connection closed due to policy change", "", "rbac_access_denied"),
        ("http status: 401 Unauthorized", "", "rbac_access_denied"),
        ("http status: 503 Service Unavailable", "UF", None),
        ("io error: Connection refused (os error 111)", "UF", None),
        ("connection failed: No route to host (os error 113)", "UF", None),
        ("no healthy upstream: 10.96.0.1:80", "UH", None),
        ("unknown destination: 10.9.9.9", "NR", None),
        ("destination disconnected before all data was written", "UC", None),
        ("client disconnected before all data was written", "DC", None),
        ("io error: Connection reset by peer (os error 104)", "", "connection_error"),
        (r"invalid CONNECT address \"x y\" z", "", "connection_error"),
    ],
)  # fmt: skip
def test_an_error_becomes_what_the_text_settles(error: str, flags: str, details: str | None) -> None:
    """Denials and failures have the other proxies' words; what tells nothing certain is unsettled, and its text kept."""
    row = one(line(error=error))
    assert (row["response_flags"], row["response_code_details"]) == (flags, details)
    assert dict(row["attributes"])["error"] == error.replace("\\", "")


def test_a_connection_denied_before_its_ends_were_known_failed() -> None:
    """`connection failed` has addresses, direction and error only: no pod, no bytes, nobody who answered."""
    head = HEAD.replace("info", "warn").replace("complete", "failed")
    known = dict.fromkeys(
        name.replace(".", "_", 1) for name in FIELDS if name not in ("src.addr", "dst.addr", "direction")
    )
    row = one(line(head, **known, error="invalid source: 10.0.0.1"))
    assert (row["emitter"], row["source_address"], row["upstream_address"]) == (None, "10.0.0.1:40000", None)
    assert (row["response_flags"], row["duration_us"], row["request_bytes"], row["tls"]) == (
        "UF",
        None,
        None,
        None,
    )


def test_what_only_opened_is_counted_as_skipped() -> None:
    """At level debug a connection is logged when it opens too: that is no connection that ended."""
    opened = line(HEAD.replace("complete", "opened"), bytes_sent=None, bytes_recv=None, duration=None)
    chunk = decode(opened, line(), as_json(line()).replace("complete", "opened"))
    assert (chunk.lines, chunk.requests.num_rows, chunk.skipped, chunk.rejects) == (3, 1, 2, [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (line(direction=None), "direction"),
        (line(direction="sideways"), "direction"),
        (line(src_addr=None), "src.addr=IP:PORT"),
        (line(dst_addr="pay:8080"), "dst.addr=IP:PORT"),
        (line()[:200], "direction"),
        (line(error='no end of "quote')[:-1], "not a ztunnel access-log line"),
        (line(HEAD.replace("complete", "paused")), "not a ztunnel access-log line"),
        (line("yesterday" + HEAD[27:]), "the time cannot be read"),
        (as_json(line())[:-1], "not JSON"),
        (as_json(line(dst_addr=None)), "dst.addr=IP:PORT"),
        ('{"scope":"access","message":"connection complete"}', "src.addr=IP:PORT"),
    ],
)
def test_a_line_that_does_not_tell_its_ends_is_refused(text: str, reason: str) -> None:
    """With its number and what was expected; its neighbours are kept."""
    chunk = decode(line(), text, as_json(line()))
    (found,) = chunk.rejects
    assert found.line == 2
    assert reason in found.reason
    assert chunk.requests.num_rows == 2


def test_other_output_of_the_container_is_refused_where_only_ztunnel_was_asked_for() -> None:
    """`--format ztunnel` takes the file at its word."""
    other = "2026-11-21T12:00:40.242Z\tinfo\txds::client:xds{id=1}\treceived response"
    chunk = decode(line(), other, '{"level":"info","scope":"xds"}', families=frozenset({"ztunnel"}))
    assert [found.line for found in chunk.rejects] == [2, 3]
    assert chunk.requests.num_rows == 1


def test_lines_teach_who_is_at_both_addresses() -> None:
    """Pod, namespace, service account and cluster of both ends; the called one's service."""
    told = {
        row["emitter"]: row for row in plain(decode(line(src_cluster="east", dst_cluster="east")).identities)
    }
    shop, pay = told["shop-5d9c7b6f4-x7k2p.default"], told["pay-6f9b55c5db-7nxdq.default"]
    assert (shop["address"], shop["service_account"], shop["cluster"]) == ("10.0.0.1", "shop", "east")
    assert (pay["address"], pay["pod"], pay["service"]) == (
        "10.0.0.2",
        "pay-6f9b55c5db-7nxdq",
        "pay.default.svc.cluster.local",
    )
    assert "service" not in shop


def test_a_certificate_knows_the_namespace_better() -> None:
    """Lines of April 2024 have the service's name as the namespace of the called pod."""
    chunk = decode(line(dst_namespace="pay"))
    assert {row["namespace"] for row in plain(chunk.identities)} == {"default"}


def test_a_waypoint_is_told_by_where_the_tunnel_leads() -> None:
    """The tunnel's inner address is another than the peer's: a gateway, which is not the service it stands before."""
    chunk = decode(
        line(
            dst_hbone_addr="10.96.0.7:8080",
            dst_workload="waypoint-5cb6c6977c-ln2h5",
            dst_addr="10.0.0.4:15008",
        )
    )
    (waypoint,) = [row for row in plain(chunk.identities) if row["pod"].startswith("waypoint")]
    assert waypoint["node_type"] == "waypoint"
    assert "service" not in waypoint
    (row,) = chunk.requests.to_pylist()
    assert (row["upstream_address"], row["authority"]) == ("10.0.0.4:15008", "pay.default.svc.cluster.local")


def test_a_broken_duration_is_not_known() -> None:
    """No start before the calendar: what is no number of milliseconds is null, the time the line's own."""
    for text in ("soon", "99999999999999999ms", "-5ms"):
        row = one(line(duration=text))
        assert row["duration_us"] is None
        assert str(row["time"]) == "2026-11-21 12:00:40.242000"


def test_fields_that_are_not_known_are_attributes() -> None:
    """A later version's fields are kept under their names, in text and JSON."""
    text = line() + ' src.protocol=TCP reason="x"'
    assert dict(one(text)["attributes"]) == {
        "dst.hbone_addr": "10.0.0.2:8080",
        "src.protocol": "TCP",
        "reason": "x",
    }
    assert one(as_json(text))["attributes"] == one(text)["attributes"]
