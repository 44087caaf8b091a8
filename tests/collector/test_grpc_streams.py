"""Access log streams: nothing that was sent is lost, and a sender is braked, never refused."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import grpc
import pytest

from collector.decode.types import Decoded, Export
from collector.grpc_server import ALS_METHOD
from collector.main import Collector
from tests.collector.asking_grpc import MIB, refusal
from tests.collector.running import STAND_INS, counted, running_collector, stand_in, stored_bodies


@pytest.fixture(scope="module")
def collector(tmp_path_factory) -> Iterator[Collector]:
    with running_collector(tmp_path_factory.mktemp("data"), body_limit_bytes=8 * MIB) as one:
        yield one


def test_access_log_stream(collector):
    """The identifier of the first message holds for the stream; its end is answered after the journal."""
    with grpc.insecure_channel(collector.grpc.address) as channel:
        messages = [b"ID:node-7|first", *(b"log %d" % n for n in range(500))]
        assert channel.stream_unary(ALS_METHOD)(iter(messages), timeout=60) == b""
    from tests.collector.journal_reading import read_folder

    rows = [
        (row["reason"], row["place"])
        for batch in read_folder(collector.settings.data / "journal")
        for row in batch.tables["rejects"].to_pylist()
        if row["place"] == "node-7"
    ]
    assert sorted(rows) == sorted((message.decode(), "node-7") for message in messages)


def test_access_log_stream_is_stored_while_open(collector):
    """A stream that never ends is journalled as it comes."""
    more = threading.Event()

    def endless() -> Iterator[bytes]:
        yield b"ID:endless|one"
        more.wait(30)

    with grpc.insecure_channel(collector.grpc.address) as channel:
        future = channel.stream_unary(ALS_METHOD).future(endless(), timeout=60)
        deadline = time.monotonic() + 10
        while "ID:endless|one" not in stored_bodies(collector.settings.data) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "ID:endless|one" in stored_bodies(collector.settings.data)
        more.set()
        assert future.result() == b""


def test_access_log_message_that_is_none(collector):
    """An undecodable message ends the stream with its reason; what came before is kept."""
    with grpc.insecure_channel(collector.grpc.address) as channel:
        messages = iter([b"ID:mixed|kept", b"bad"])
        code, message, _ = refusal(lambda: channel.stream_unary(ALS_METHOD)(messages, timeout=60))
    assert (code, message) == (grpc.StatusCode.INVALID_ARGUMENT, "this is no message (at byte 3)")
    assert "ID:mixed|kept" in stored_bodies(collector.settings.data)


@pytest.mark.slow
def test_access_log_stream_is_braked_not_refused(tmp_path):
    """While nothing can be stored the sender is held up by flow control; afterwards all of it is there."""
    gate = threading.Event()
    sent: list[int] = []

    def slow(exports: list[Export]) -> Decoded:
        gate.wait(60)
        return stand_in(exports)

    def messages() -> Iterator[bytes]:
        for number in range(1500):
            sent.append(number)
            yield b"%06d" % number + b"." * 16_000

    with (
        running_collector(tmp_path, STAND_INS | {"als": slow}, waiting_limit_bytes=2 * MIB) as collector,
        grpc.insecure_channel(collector.grpc.address) as channel,
    ):
        future = channel.stream_unary(ALS_METHOD).future(messages(), timeout=120)
        time.sleep(2)
        held_at = len(sent)
        assert held_at < 1400
        assert collector.intake.room.used <= 2 * MIB * 9 // 8
        gate.set()
        assert future.result() == b""
        assert counted(collector, "sidelight_braked_streams_total", source="als") >= 1
    numbers = [int(body[:6]) for body in stored_bodies(tmp_path)]
    assert sorted(numbers) == list(range(1500))


@pytest.mark.slow
def test_access_log_message_is_offered_again(tmp_path, monkeypatch):
    """A message the disk refused is not lost: it is written once the disk takes it."""
    with (
        running_collector(tmp_path) as collector,
        grpc.insecure_channel(collector.grpc.address) as channel,
    ):
        real, failures = os.writev, []

        def fails_once(fd, parts):
            if not failures:
                failures.append(1)
                raise OSError(28, "No space left on device")
            return real(fd, parts)

        monkeypatch.setattr(os, "writev", fails_once)
        assert channel.stream_unary(ALS_METHOD)(iter([b"ID:x|one"]), timeout=60) == b""
    assert failures
    assert stored_bodies(tmp_path) == ["ID:x|one"]


def test_stop_ends_open_streams(tmp_path):
    """Told to stop, the collector keeps what a stream sent, ends it, and is soon gone."""
    done = threading.Event()

    def endless() -> Iterator[bytes]:
        yield b"ID:stop|one"
        done.wait(30)

    with running_collector(tmp_path) as collector:
        channel = grpc.insecure_channel(collector.grpc.address)
        future = channel.stream_unary(ALS_METHOD).future(endless(), timeout=60)
        deadline = time.monotonic() + 10
        while not stored_bodies(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert future.exception(timeout=5) is None
    done.set()
    channel.close()
    assert stored_bodies(tmp_path) == ["ID:stop|one"]
