"""Journal → hot: what is loaded, what is dropped, and what a row's peer is."""

# ruff: noqa: E501 - tables read better as tables

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from store.engine import Store
from store.frames import Batch
from tests.store.journals import (
    NOON,
    NOON_US,
    append_frames,
    ask,
    batch,
    frame_bytes,
    mark,
    observation,
    open_store,
    write_journal,
)

HOUR_US = 3_600_000_000


def test_frames_of_an_open_file_are_seen_at_once(tmp_path: Path) -> None:
    """Rows of a journal that is still being written are read as soon as their frame is whole."""
    fd = write_journal(
        tmp_path / "journal", "a-1", [batch("one", observations=[observation()])], keep_open=True
    )
    store = open_store(tmp_path)
    assert store.poll_once() == 1
    append_frames(fd, [batch("two", observations=[observation(1), observation(2)])])
    assert store.poll_once() == 2
    assert ask(store, "SELECT count(*), min(time) FROM observations_raw") == [(3, NOON)]
    assert (tmp_path / "journal" / "a-1.journal").exists()
    os.close(fd)
    store.stop()


def test_half_a_frame_waits_for_its_other_half(tmp_path: Path) -> None:
    """A frame that is cut short in an open file is loaded once, when the rest of it is there."""
    fd = write_journal(tmp_path / "journal", "a-1", [], keep_open=True)
    store = open_store(tmp_path)
    frame = frame_bytes(batch("one", observations=[observation()]))
    os.write(fd, frame[:100])
    assert store.poll_once() == 0
    os.write(fd, frame[100:])
    assert store.poll_once() == 1
    assert store.poll_once() == 0
    os.close(fd)
    store.stop()


def test_a_torn_tail_was_never_acknowledged(tmp_path: Path) -> None:
    """What follows the last whole frame of a finished file is ignored, and the file is sealed."""
    good = batch("one", observations=[observation()])
    for name, tail in {
        "short": frame_bytes(batch("two", observations=[observation()]))[:-1],
        "zeros": bytes(4096),
        "magic and zeros": frame_bytes(good)[:4] + bytes(4096),
        "flipped": frame_bytes(batch("three", observations=[observation()]))[:-1] + b"\xff",
        "none": b"",
    }.items():
        exports = Batch([mark(f"one {name}")], good.tables)
        write_journal(tmp_path / "journal", name, [exports], tail=tail)
    store = open_store(tmp_path)
    assert store.poll_once() == 5
    assert list((tmp_path / "journal").iterdir()) == []
    store.stop()


def test_a_journal_that_is_damaged_in_its_middle_is_loaded_around_it_and_kept(tmp_path: Path) -> None:
    """It says how many bytes were lost; the file lies in the quarantine, the journal goes on."""
    frames = [batch(name, observations=[observation()]) for name in ("one", "two", "three")]
    write_journal(tmp_path / "journal", "c-1", frames)
    write_journal(tmp_path / "journal", "c-2", [batch("four", observations=[observation()])])
    path = tmp_path / "journal" / "c-1.journal"
    raw = bytearray(path.read_bytes())
    raw[-len(frame_bytes(frames[2])) - 20] ^= 1
    path.write_bytes(raw)
    store = open_store(tmp_path)
    assert store.poll_once() == 3
    assert store.status()["damaged_journal_bytes"] == len(frame_bytes(frames[1]))
    assert store.status()["torn_bytes"] == 0
    assert list((tmp_path / "journal").iterdir()) == []
    assert (tmp_path / "quarantine" / "journal" / "c-1.journal").read_bytes() == raw
    store.stop()


def test_a_frame_that_cannot_be_decoded_holds_up_nothing(tmp_path: Path) -> None:
    """Its checksum is right and it names a table nobody knows: it is damaged like any other, and kept."""
    meta = b'{"exports": [], "tables": [{"table": "nothing", "bytes": 0, "rows": 1}]}'
    payload = len(meta).to_bytes(4, "little") + meta
    strange = (
        b"SLF1" + zlib.crc32(payload).to_bytes(4, "little") + len(payload).to_bytes(8, "little") + payload
    )
    good = frame_bytes(batch("two", observations=[observation()]))
    write_journal(tmp_path / "journal", "c-1", [], tail=strange + good)
    store = open_store(tmp_path)
    assert store.poll_once() == 1
    assert store.status()["damaged_journal_bytes"] == len(strange)
    store.stop()


@pytest.mark.parametrize(
    ("later_us", "source", "rows"),
    [(0, "als", 1), (2 * HOUR_US, "als", 1), (2 * HOUR_US + 1, "als", 2), (99 * HOUR_US, "import", 1)],
)
def test_the_same_export_again_within_the_hour_adds_nothing(
    tmp_path: Path, later_us: int, source: str, rows: int
) -> None:
    """A digest is remembered for an hour, and another for a clock that jumps; an import's for ever: across frames,
    files, seals and restarts."""

    def delivery(received_us: int) -> Batch:
        return batch(mark("same", received_us, source), observations=[observation()])

    for where in ("same tick", "after seal", "after restart"):
        folder = tmp_path / where
        store = open_store(folder)
        write_journal(folder / "journal", "a", [delivery(NOON_US)])
        if where != "same tick":
            store.poll_once()
        if where == "after restart":
            store.stop()
            store = open_store(folder)
        write_journal(folder / "journal", "b", [delivery(NOON_US + later_us)])
        store.poll_once()
        assert ask(store, "SELECT count(*) FROM observations_raw") == [(rows,)], where
        store.stop()


def test_only_the_repeated_export_of_a_batch_is_dropped(tmp_path: Path) -> None:
    """A batch with one known and one new export keeps the new one's rows of every table."""
    write_journal(tmp_path / "journal", "a", [batch("known", observations=[observation()])])
    both = batch(
        "known",
        "new",
        observations=[observation(path="/known"), observation(path="/new", export=1)],
        rejects=[
            {"export": 0, "time": NOON, "reason": "known"},
            {"export": 1, "time": NOON, "reason": "new"},
        ],
    )
    write_journal(tmp_path / "journal", "b", [both])
    store = open_store(tmp_path)
    store.poll_once()
    assert ask(store, "SELECT path FROM observations_raw ORDER BY 1") == [("/new",), ("/reviews/0",)]
    assert ask(store, "SELECT reason FROM rejects_raw") == [("new",)]
    assert store.status()["repeated_exports"] == 1
    store.stop()


def test_the_same_export_twice_in_one_batch_is_kept_once(tmp_path: Path) -> None:
    """A sender that repeats an export while it waits may find both in one group of the collector."""
    rows = [observation(export=0), observation(1, export=1), observation(1, export=2)]
    write_journal(tmp_path / "journal", "a-1", [batch("one", "two", "two", observations=rows)])
    store = open_store(tmp_path)
    assert store.poll_once() == 2
    assert ask(store, "SELECT count(*), count(DISTINCT time) FROM observations_raw") == [(2, 2)]
    assert store.status()["repeated_exports"] == 1
    store.stop()


def test_resources_are_kept_once_and_found_by_every_row(tmp_path: Path) -> None:
    """Rows of different batches with equal resources share one key; each row finds its own resource."""

    def spans(name: str, *services: str) -> Batch:
        return batch(
            name,
            resources=[
                {"resource": n, "attributes": [("service.name", service)]}
                for n, service in enumerate(services)
            ],
            spans=[
                {"resource": n, "time": NOON, "name": service, "kind": "server", "is_proxy": False}
                for n, service in enumerate(services)
            ],
        )

    write_journal(tmp_path / "journal", "a", [spans("1", "cart", "shop"), spans("2", "shop", "mail")])
    store = open_store(tmp_path)
    store.poll_once()
    assert ask(
        store,
        "SELECT name, attributes['service.name'] FROM "
        "(SELECT name, resource_key FROM spans_raw) JOIN resources USING (resource_key) ORDER BY 1",
    ) == [("cart", "cart"), ("mail", "mail"), ("shop", "shop"), ("shop", "shop")]
    assert ask(store, "SELECT count(*), count(DISTINCT resource_key) FROM resources") == [(3, 3)]
    store.stop()


def test_maps_with_doubled_keys_are_no_accident(tmp_path: Path) -> None:
    """Attributes are maps for readers; of a doubled key the first value counts, and null stays null."""
    write_journal(
        tmp_path / "journal",
        "a",
        [
            batch(
                "1",
                observations=[
                    observation(0, attributes=[("a", "1"), ("b", "2"), ("a", "3")]),
                    observation(1, attributes=None),
                    observation(2, attributes=[]),
                ],
            )
        ],
    )
    store = open_store(tmp_path)
    store.poll_once()
    assert ask(store, "SELECT attributes FROM observations_raw ORDER BY time") == [
        ({"a": "1", "b": "2"},),
        (None,),
        ({},),
    ]
    store.stop()


def test_activity_tells_in_which_minutes_of_an_hour_a_peer_was_heard(tmp_path: Path) -> None:
    """Equal peers share a key; their minutes are bits, hot and sealed alike."""
    rows = [
        observation(0),
        observation(1, source_address="127.42.0.3:1"),
        observation(61),
        observation(62, status_code=500),
    ]
    write_journal(tmp_path / "journal", "a", [batch("1", observations=rows)])
    fd = write_journal(tmp_path / "journal", "b", [batch("2", observations=[observation(3)])], keep_open=True)
    store = open_store(tmp_path)
    store.poll_once()
    heard = 'SELECT "hour", bit_or(minutes) FROM activity GROUP BY ALL'
    assert ask(store, heard) == [(NOON, 0b11)]
    assert ask(store, "SELECT count(*) FROM peers") == [(1,)]
    assert ask(store, "SELECT count(*) FROM observations_raw JOIN peers USING (peer_key)") == [(5,)]
    os.close(fd)
    store.stop()


PEERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "answered outbound": (
        {},
        {
            "source_ip": "127.42.0.3",
            "destination_ip": "127.42.0.6",
            "service_host": "reviews.default.svc.cluster.local",
            "service_port": 9080,
            "subset": "v2",
        },
    ),
    "503 by the version": ({"status_code": 503}, {"destination_ip": "127.42.0.6"}),
    "connection failure": (
        {"status_code": 503, "response_code_details": "upstream_reset_before_response_started{x}", "response_flags": "URX,UF"},
        {"destination_ip": None, "service_host": "reviews.default.svc.cluster.local", "subset": "v2"},
    ),
    "cut off after it began": (
        {"response_code_details": "upstream_reset_after_response_started{x}", "response_flags": "UR"},
        {"destination_ip": "127.42.0.6"},
    ),
    "gave up before an answer": (
        {"status_code": 0, "response_code_details": "downstream_remote_disconnect", "response_flags": "DC"},
        {"destination_ip": None},
    ),
    "aborted, authority only": (
        {"status_code": 503, "response_code_details": "fault_filter_abort", "upstream_cluster": None,
         "upstream_address": None, "response_flags": "FI"},
        {"destination_ip": None, "service_host": "reviews.default.svc.cluster.local", "service_port": 9080},
    ),
    "route names the service": (
        {"upstream_cluster": None, "authority": "shop.example.com", "route": "cart.shop.svc.cluster.local:7070/*"},
        {"service_host": "cart.shop.svc.cluster.local", "service_port": 7070},
    ),
    "route 'default' does not": ({"upstream_cluster": None, "route": "default"}, {"service_host": "reviews.default.svc.cluster.local"}),
    "host with namespace": ({"upstream_cluster": None, "authority": "reviews.default:9080"}, {"service_host": "reviews.default.svc.cluster.local"}),
    "external host": (
        {"upstream_cluster": "PassthroughCluster", "authority": "legacy.example:7070"},
        {"service_host": "legacy.example", "service_port": 7070, "subset": None},
    ),
    "tcp passthrough": (
        {"protocol": "tcp", "upstream_cluster": "PassthroughCluster", "authority": None, "status_code": None,
         "response_code_details": None},
        {"service_host": None, "destination_ip": "127.42.0.6"},
    ),
    "tcp refused": (
        {"protocol": "tcp", "status_code": None, "response_code_details": None, "response_flags": "UF,URX"},
        {"destination_ip": None},
    ),
    "inbound with SNI": (
        {"reporter": "destination", "upstream_cluster": "inbound|9080||", "authority": "bookinfo.example.com",
         "sni": "outbound_.9080_.v2_.reviews.default.svc.cluster.local", "downstream_local_address": "127.42.0.6:9080",
         "upstream_address": "127.0.0.1:9080", "status_code": 0, "response_code_details": "downstream_remote_disconnect"},
        {"destination_ip": "127.42.0.6", "service_host": "reviews.default.svc.cluster.local", "subset": "v2",
         "service_port": 9080},
    ),
    "inbound through a gateway, plain text": (
        {"reporter": "destination", "upstream_cluster": "inbound|9080||", "authority": "bookinfo.example.com",
         "emitter": "productpage-1.default"},
        {"service_host": None, "service_port": 9080},
    ),
    "no details, flags tell": (
        {"response_code_details": None, "status_code": 503, "response_flags": "UH"}, {"destination_ip": None}
    ),
    "no details, no flags": ({"response_code_details": None, "upstream_cluster": None}, {"destination_ip": "127.42.0.6"}),
    "forwarded-for only": ({"source_address": None}, {"source_ip": None}),
    "v6": ({"source_address": "[fd00::1]:443", "upstream_address": "[fd00::2]:80"}, {"source_ip": "fd00::1", "destination_ip": "fd00::2"}),
}  # fmt: skip


@pytest.mark.parametrize("name", PEERS)
def test_peer_of_an_observation(shared: Store, name: str) -> None:
    """Who called which service and which instance answered, by what each kind of row reports."""
    reported, expected = PEERS[name]
    assert _peer(shared, "observations", observation(**reported), expected) == expected


SPAN_PEERS: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "outbound": ({}, {"signal": "span", "reporter": "source", "source_ip": "127.42.0.3", "destination_ip": None,
                      "service_host": "reviews.default.svc.cluster.local", "subset": "v2", "protocol": "http"}),
    "unanswered": ({"status_code": 503, "response_flags": "UF"}, {"subset": None, "service_port": 9080}),
    "grpc": ({"grpc_status": 14}, {"protocol": "grpc"}),
    "inbound": ({"kind": "server", "upstream_cluster": "inbound|9080||"}, {"reporter": "destination", "service_host": None}),
    "gateway": ({"kind": "server"}, {"reporter": "gateway", "subset": "v2"}),
    "no route": ({"kind": "server", "upstream_cluster": None, "status_code": 404}, {"reporter": "gateway", "service_host": "reviews.default.svc.cluster.local"}),
    "gateway's router span": ({"url": None, "method": None, "upstream_address": "127.42.0.6:9080"}, None),
    "within an application": ({"is_proxy": False, "kind": "internal"}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", SPAN_PEERS)
def test_peer_of_a_span(shared: Store, name: str) -> None:
    """A proxy's listener span is an observation; a router span or one within an application is none."""
    reported, expected = SPAN_PEERS[name]
    span = {
        "time": NOON, "kind": "client", "is_proxy": True, "emitter": "productpage-1.default", "method": "GET",
        "url": "http://reviews:9080/reviews/0", "status_code": 200, "response_flags": "",
        "upstream_cluster": REVIEWS, "peer_address": "127.42.0.3",
    }  # fmt: skip
    assert _peer(shared, "spans", span | reported, expected or {}) == expected


REVIEWS = "outbound|9080|v2|reviews.default.svc.cluster.local"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(tmp_path_factory.mktemp("shared"))
    yield store
    store.stop()


def _peer(store: Store, table: str, row: dict[str, Any], columns: dict[str, Any]) -> dict[str, Any] | None:
    """What ``columns`` of `peers` say of the row's peer; None if it has none."""
    name = f"peer-{len(ask(store, f'SELECT time FROM {table}_raw'))}-{table}"
    write_journal(store.settings.journal, name, [batch(name, **{table: [row | {"request_id": name}]})])
    assert store.poll_once(seal=False) == 1
    [(key,)] = ask(store, f"SELECT peer_key FROM {table}_raw WHERE request_id = '{name}'")
    if key is None:
        return None
    [found] = ask(store, f"SELECT {', '.join(columns)} FROM peers WHERE peer_key = {key}")
    return dict(zip(columns, found, strict=True))


def test_what_cannot_be_inserted_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load that fails midway is rolled back whole, and the next attempt loads every row once."""
    write_journal(tmp_path / "journal", "a", [batch("1", observations=[observation()])])
    store = open_store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("store.loader._insert_activity", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.poll_once()
    assert ask(store, "SELECT count(*) FROM observations_raw") == [(0,)]
    assert store.poll_once() == 1
    assert ask(store, "SELECT count(*) FROM observations_raw") == [(1,)]
    store.stop()
