"""How the store's tests make journal files: rows as dicts, frames as a collector would write them."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from datetime import datetime, timedelta
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa

from store.engine import Store
from store.frames import Batch, ExportMark, encode_frame, encode_header
from store.physical import ROLLUPS
from store.schema import TABLES
from store.settings import StoreSettings

NOON = datetime(2026, 11, 21, 12, 0, 0)
NOON_US = 1795262400000000
REVIEWS_V2 = "outbound|9080|v2|reviews.default.svc.cluster.local"


def digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def mark(text: str, received_us: int = NOON_US, source: str = "als") -> ExportMark:
    return ExportMark(digest(text), received_us, source)


def table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows of one table of the shared schema; ``export`` and ``resource`` default to 0, the rest to null."""
    schema = TABLES[name]
    defaults = {field: 0 for field in ("export", "resource") if field in schema.names}
    return pa.Table.from_pylist([{**defaults, **row} for row in rows], schema)


def batch(*marks: ExportMark | str, **rows: list[dict[str, Any]]) -> Batch:
    """A batch of these exports (a text stands for its digest) with rows per table."""
    exports = [one if isinstance(one, ExportMark) else mark(one) for one in marks]
    return Batch(exports, {name: table(name, listed) for name, listed in rows.items()})


def observation(seconds: float = 0, **columns: Any) -> dict[str, Any]:
    """productpage calls reviews v2, seen by the caller's sidecar; change what the case is about."""
    row = {
        "time": NOON + timedelta(seconds=seconds),
        "duration_us": 12_000,
        "reporter": "source",
        "signal": "als",
        "emitter": "productpage-1.default",
        "protocol": "http",
        "method": "GET",
        "authority": "reviews:9080",
        "path": "/reviews/0",
        "status_code": 200,
        "response_flags": "",
        "response_code_details": "via_upstream",
        "upstream_cluster": REVIEWS_V2,
        "source_address": "127.42.0.3:48261",
        "upstream_address": "127.42.0.6:9080",
        "attributes": [("zone", "zone-a")],
    }
    return row | columns


def write_journal(
    folder: Path,
    name: str,
    batches: list[Batch],
    *,
    keep_open: bool = False,
    tail: bytes = b"",
    created_us: int = NOON_US,
) -> int | None:
    """Write ``folder/name.journal``. ``keep_open``: it stays locked; returns the descriptor to close."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.journal"
    unnamed = path.with_suffix(".journal-new")
    fd = os.open(unnamed, os.O_WRONLY | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.write(fd, encode_header(name, created_us))
    os.rename(unnamed, path)
    append_frames(fd, batches)
    os.write(fd, tail)
    if keep_open:
        return fd
    os.close(fd)
    return None


def append_frames(fd: int, batches: list[Batch]) -> None:
    for one in batches:
        os.write(fd, frame_bytes(one))


def frame_bytes(one: Batch) -> bytes:
    return b"".join(bytes(part) for part in encode_frame(one))


@cache
def _template() -> Path:
    """The template of ``sidelight.duckdb``, as a store's first start makes it: once for all tests."""
    folder = Path(tempfile.mkdtemp(prefix="sidelight-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    store = Store(StoreSettings(data_dir=folder))
    store.open()
    store.poll_once()
    store.stop()
    return StoreSettings(data_dir=folder).temporary / "publish"


def give_template(data_dir: Path) -> None:
    """Spare the folder's first store the making of a template."""
    place = StoreSettings(data_dir=data_dir).temporary / "publish"
    if not place.exists():
        shutil.copytree(_template(), place)


def open_store(data_dir: Path, **settings: Any) -> Store:
    give_template(data_dir)
    store = Store(StoreSettings(data_dir=data_dir, **settings))
    store.open()
    return store


def row_segments(folder: Path) -> list[Path]:
    """The segments of rows in a data folder, not those of the rollup, in order."""
    return sorted(
        path
        for path in (folder / "segments").rglob("*.parquet")
        if path.relative_to(folder).parts[1] not in ROLLUPS
    )


def ask(store: Store, statement: str, *window: datetime) -> list[tuple[Any, ...]]:
    with store.reader(*window) as cursor:
        return cursor.execute(statement).fetchall()
