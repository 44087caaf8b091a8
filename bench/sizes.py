"""What a sealed row takes on the disk: rows of the demo's mesh, sealed by the minute and merged by the hour.

Envoy, its applications and their random ids are real (`sidelight demo`); generated rows compress as one likes.
Parquet's own footers and filters are counted in; the catalogue and its rollup are not.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from store.catalogue import utc_now
from store.engine import Store
from store.settings import StoreSettings

Row = tuple[str, str, str, str]

RPS = 60
SECONDS = 180
_TARGETS = {"observations": 40, "spans": 45}


def sizes(seconds: int = SECONDS) -> list[Row]:
    """Bytes an observation and a span: as sealed (whole minutes, the last one cut off), and once merged."""
    with tempfile.TemporaryDirectory(prefix="sidelight-bench-") as folder:
        data = Path(folder) / "data"
        _run_demo(data, seconds)
        store = Store(StoreSettings(data_dir=data, retired_kept_s=0.0))
        store.open()
        try:
            store.poll_once()
            sealed = {table: _bytes_a_row(store, table) for table in _TARGETS}
            store.tidy(utc_now() + timedelta(hours=2))
            merged = {table: _bytes_a_row(store, table) for table in _TARGETS}
        finally:
            store.stop()
    return [
        (
            f"sealed bytes a row of {table}",
            f"{sealed[table][0]:.1f}",
            f"≤ {target}",
            f"the demo at {RPS} requests/s: {sealed[table][1]:,} rows in {sealed[table][2]} segments; "
            f"merged into {merged[table][2]}: {merged[table][0]:.1f}",
        )
        for table, target in _TARGETS.items()
    ]


def _run_demo(data: Path, seconds: int) -> None:
    """Until the mesh has had its requests. Raises SystemExit where the demo ends before that."""
    command = [sys.executable, "-m", "sidelight.cli", "demo", "--data", str(data), "--rps", str(RPS)]
    command += ["--requests", str(RPS * seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as demo:
        assert demo.stdout is not None
        said = ""
        for said in demo.stdout:
            if said.startswith("Sent "):
                break
        else:
            raise SystemExit(f"the demo ended early, its last words: {said.strip()}")
        demo.terminate()
        for _ in demo.stdout:
            pass


def _bytes_a_row(store: Store, table: str) -> tuple[float, int, int]:
    """Bytes a row, rows, segments."""
    listed = [one for one in store.segments if one.table == table]
    rows = sum(one.rows for one in listed)
    return sum(one.bytes for one in listed) / max(1, rows), rows, len(listed)
