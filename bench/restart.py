"""From a kill with a full journal to the first answer: a server that was far behind when it died.

The journal has the limit's size: files as a collector leaves them (64 MiB each), of Envoy-shaped spans as one decodes
them; each frame has ids and a digest of its own. The server has loaded some of it when all of it is killed.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from rich.console import Console
from rich.progress import track

from bench.payloads import SpanBodies
from bench.server import MeasuredServer
from collector.decode.types import Export
from collector.decoders import DECODERS
from collector.journal import JournalWriter
from collector.settings import CollectorSettings
from store.frames import Batch, ExportMark

Row = tuple[str, str, str, str]

_EXPORTS = 16
_SPANS = 512
_BEFORE_S = 10.0
_LOOK_S = 0.02


def restart(size: int | None = None) -> list[Row]:
    """Seconds until the first graph after a start and after a kill, with ``size`` bytes (the limit) of journal."""
    size = size or CollectorSettings.model_fields["journal_limit_bytes"].default
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        spans = _fill(data / "journal", size)
        server = MeasuredServer(data)
        try:
            first = _seconds_to_an_answer(server)
            time.sleep(_BEFORE_S)
            loaded = server.wait_for_rows("spans", 1)
            server.kill_tree()
            again = _seconds_to_an_answer(server)
            began, seen = time.monotonic(), server.wait_for_rows("spans", 1)
            time.sleep(_BEFORE_S)
            later = server.wait_for_rows("spans", 1)
            rate = (later - seen) / (time.monotonic() - began)
        finally:
            server.stop()
    how = f"{size >> 20:,} MiB, {spans:,} spans in the journal; start to the first /api/graph"
    return [
        ("start with a full journal", f"{first:.1f} s", "", how),
        (
            "restart after a kill with it",
            f"{again:.1f} s",
            "< 5 s",
            f"{loaded:,} spans were loaded before it",
        ),
        ("and goes on loading", f"{rate:,.0f}/s", "", f"over {_BEFORE_S:.0f} s, spans hot and sealed"),
    ]


def _fill(folder: Path, size: int) -> int:
    """Write ``size`` bytes of journal; the spans in it."""
    writer = JournalWriter(folder, "bench", limit_bytes=None)
    batches = _batches()
    spans = 0
    for _ in track(range(100), "Filling the journal", console=Console(stderr=True)):
        part = writer.written_bytes + (size - writer.written_bytes) // (100 - _)
        while writer.written_bytes < part:
            one = next(batches)
            writer.append_sync(one)
            spans += one.tables["spans"].num_rows
    writer.close()
    return spans


def _batches() -> Iterator[Batch]:
    """One decoded group of exports again and again, with new ids: decoding each would take half an hour."""
    bodies, now = SpanBodies(_SPANS), time.time_ns() // 1000
    exports = [Export(bodies.next(), "127.0.0.1:1", now, None) for _ in range(_EXPORTS)]
    tables = dict(DECODERS["otlp_traces"](exports).tables)
    spans = tables["spans"]
    while True:
        for name, width in (("trace_id", 16), ("span_id", 8)):
            field = spans.schema.field(name)
            ids = pa.py_buffer(os.urandom(width * spans.num_rows))
            column = pa.Array.from_buffers(field.type, spans.num_rows, [None, ids])
            spans = spans.set_column(spans.schema.get_field_index(name), field, column)
        marks = [ExportMark(os.urandom(16).hex(), now, "otlp_traces") for _ in range(_EXPORTS)]
        yield Batch(marks, {**tables, "spans": spans})


def _seconds_to_an_answer(server: MeasuredServer) -> float:
    began = time.monotonic()
    server.spawn()
    while not server.answers("/api/graph?window=15m"):
        if not server.is_alive():
            raise SystemExit(server.log.read_text(errors="replace"))
        time.sleep(_LOOK_S)
    return time.monotonic() - began
