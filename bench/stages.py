"""What one record costs in each stage, in processor time: the best of many short runs in one process.

On a machine whose processors are shared the whole server's rate says more of the neighbours than of us.
A run of a few dozen milliseconds often finishes undisturbed; its rate is what a core of this machine can
do. The last row of a kind adds the stages up: what a whole core could take if it did nothing else.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.payloads import AccessLogMessages, LogBodies, SpanBodies
from collector.decode.types import Export
from collector.decoders import DECODERS, split_identifier
from collector.intake import digest_of
from store.digests import DeliveredBook
from store.engine import Store
from store.frames import Batch, ExportMark, decode_frames, encode_frame
from store.hot import HotSlices, HotTable, Slice, drop_slice
from store.loader import load_batches
from store.physical import WIRE
from store.segments import write_segment
from store.settings import StoreSettings

Row = tuple[str, str, str, str]

RUNS = 40


def stages() -> list[Row]:
    """Rates of decoding, framing, reading, loading and sealing, and of all together: spans, logs by OTLP, ALS."""
    spans, logs = SpanBodies(512), LogBodies(512)
    entries = AccessLogMessages(14, 0)
    identifier = split_identifier(entries.identifier)
    return [
        *_stages_of("otlp_traces", "spans", 512, 16, lambda: (spans.next(), None)),
        *_stages_of("otlp_logs", "observations", 512, 16, lambda: (logs.next(), None)),
        *_stages_of("als", "observations", 14, 512, lambda: (entries.next(), identifier)),
    ]


def _stages_of(
    kind: str, table: str, records: int, exports: int, body: Callable[[], tuple[bytes, bytes | None]]
) -> list[Row]:
    total = records * exports

    def group() -> list[Export]:
        return [
            Export(one, "127.0.0.1:1", time.time_ns() // 1000, who) for one, who in _bodies(body, exports)
        ]

    def batch() -> Batch:
        taken = group()
        marks = [ExportMark(digest_of(kind, one), one.received_us, kind) for one in taken]
        return Batch(marks, dict(DECODERS[kind](taken).tables))

    some = group()
    costs = {"decode": _best(lambda: DECODERS[kind](some))}
    one = batch()
    costs["frame and checksum"] = _best(lambda: encode_frame(one))
    frame = b"".join(bytes(part) for part in encode_frame(one))
    costs["read back"] = _best(lambda: list(decode_frames(frame, 0, WIRE)))
    with tempfile.TemporaryDirectory() as folder, _opened(Path(folder)) as store:
        read = [_as_read(batch()) for _ in range(RUNS)]
        slices = HotSlices()
        slice_ = slices.of_journal("bench.journal")
        with contextlib.closing(store.database.cursor()) as cursor:
            book = DeliveredBook(3600)

            def load(number: int) -> None:
                load_batches(cursor, slice_, [read[number]], book, contextlib.nullcontext(), lambda: None)

            costs["load"] = min(_seconds(lambda number=number: load(number)) for number in range(RUNS))
            small = _slice_of_one(store, slice_, table, total)
            costs["write Parquet"] = _best(
                lambda: write_segment(cursor, Path(folder), table, small, "bench.journal", 0, lambda _: None)
            )
            drop_slice(cursor, slice_)
    rows = [
        (f"{kind}: {stage}", f"{total / cost:,.0f}/s", "", f"best of {RUNS}, {total:,} records, one core")
        for stage, cost in costs.items()
    ]
    together = total / sum(costs.values())
    rows.append((f"{kind}: all stages, a core", f"{together:,.0f}/s", "", "sum of the above"))
    return rows


def _bodies(body: Callable[[], tuple[bytes, bytes | None]], count: int) -> list[tuple[bytes, bytes | None]]:
    return [body() for _ in range(count)]


def _as_read(batch: Batch) -> Batch:
    frame = b"".join(bytes(part) for part in encode_frame(batch))
    ((read, _),) = decode_frames(frame, 0, WIRE)
    return read


def _slice_of_one(store: Store, slice_: Slice, table: str, rows: int) -> HotTable:
    """The first ``rows`` of the slice as a table of its own: a short thing to write, again and again."""
    full = slice_.tables[table]
    with contextlib.closing(store.database.cursor()) as cursor:
        cursor.execute(f"CREATE TABLE hot.bench_small AS FROM {full.relation} LIMIT {rows}")
    return HotTable("hot.bench_small", rows, full.earliest, full.latest)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[Store]:
    store = Store(StoreSettings(data_dir=folder, threads=1, memory_limit="2GB"))
    store.open()
    try:
        yield store
    finally:
        store.stop()


def _best(what: Callable[[], object]) -> float:
    return min(_seconds(what) for _ in range(RUNS))


def _seconds(what: Callable[[], object]) -> float:
    started = time.perf_counter()
    what()
    return time.perf_counter() - started
