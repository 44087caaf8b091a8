"""A whole collector on free ports in a thread of this process, with the real servers and journal.

The decoder may be a small stand-in, so that a test can say which body is bad or slow.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from collector.decode.types import Decoded, Export, Refusal
from collector.intake import Decoder
from collector.main import Collector
from collector.settings import CollectorSettings
from store.schema import REJECTS


def stand_in(exports: list[Export]) -> Decoded:
    """One row per body, the body as its text. ``bad…``: refused at byte 3; ``half…``: 2 records rejected;
    ``boom…``: the decoder raises; empty bodies and ``quiet…``: nothing to store."""
    decoded = Decoded()
    rows = []
    for index, export in enumerate(exports):
        body = export.body
        if body.startswith(b"boom"):
            raise RuntimeError("boom")
        if body.startswith(b"bad"):
            decoded.refused[index] = Refusal("this is no message", 3)
            continue
        if body.startswith(b"half"):
            decoded.rejected[index] = (2, "spans[3].trace_id is 15 bytes long")
        if body and not body.startswith(b"quiet"):
            identifier = (export.identifier or b"").decode("latin-1")
            rows.append(
                {
                    "export": index,
                    "reason": body[:200].decode("latin-1"),
                    "place": identifier,
                    "source": export.peer,
                }
            )
            decoded.accepted += 1
    decoded.tables["rejects"] = pa.Table.from_pylist(rows, REJECTS)
    return decoded


STAND_INS: dict[str, Decoder] = dict.fromkeys(
    (
        "otlp_traces",
        "otlp_logs",
        "otlp_metrics",
        "otlp_traces_json",
        "otlp_logs_json",
        "otlp_metrics_json",
        "als",
    ),
    stand_in,
)


def stand_in_identifier(message: bytes) -> bytes | None:
    """``ID:name|rest`` carries an identifier."""
    return message[3:].partition(b"|")[0] if message.startswith(b"ID:") else None


@contextlib.contextmanager
def running_collector(
    data: Path,
    decoders: Mapping[str, Decoder] | None = STAND_INS,
    split_identifier: Callable[[bytes], bytes | None] | None = stand_in_identifier,
    **settings: Any,
) -> Iterator[Collector]:
    """The real decoders with ``decoders=None``. Its addresses: ``.grpc.address``, ``.http.address``."""
    values = {"data": data, "grpc": "127.0.0.1:0", "http": "127.0.0.1:0", **settings}
    loop = asyncio.new_event_loop()
    ready: list[Collector] = []
    failure: list[BaseException] = []
    started = threading.Event()
    stopping = asyncio.Event()

    async def serve() -> None:
        try:
            collector = Collector(CollectorSettings.from_mapping(values), decoders, split_identifier)
            await collector.start()
        except BaseException as error:
            failure.append(error)
            raise
        finally:
            started.set()
        ready.append(collector)
        started.set()
        await stopping.wait()
        await collector.stop()

    def run() -> None:
        with contextlib.suppress(Exception):
            loop.run_until_complete(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(300)
    if failure:
        thread.join(5)
        raise failure[0]
    while not ready:
        started.wait(0.01)
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(10)
        assert not thread.is_alive(), "the collector did not stop"
        loop.close()


def stored_bodies(data: Path) -> list[str]:
    """What the stand-in decoder was given and the journal holds, in order."""
    from tests.collector.journal_reading import read_folder

    batches = read_folder(data / "journal")
    return [row["reason"] for batch in batches for row in batch.tables["rejects"].to_pylist()]


def counted(collector: Collector, name: str, **labels: str) -> float:
    """The value of one of the collector's own counters, 0 where nothing was counted."""
    for series in collector.metrics.snapshot():
        if series["name"] == name:
            return sum(s["value"] for s in series["samples"] if labels.items() <= s["labels"].items())
    return 0
