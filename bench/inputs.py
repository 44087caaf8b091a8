"""What each input takes a second: access-log files by `sidelight import`, exports by a whole server.

A file's figure is lines over the whole command, its start included, until every row is stored and sealed; an
export's is records acknowledged after fsync, counted in the store afterwards. Bytes are those of the segments; of
exports, which are the same again and again, they would say nothing.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.lines import write_lines
from bench.server import serving
from tests.running_server import run_cli

Row = tuple[str, str, str, str]

LINES = 2_000_000
FILES: tuple[tuple[str, str, tuple[str, ...], int | None], ...] = (
    ("Istio text", "server.istio.log", (), 150_000),
    ("Istio JSON", "server.istio.json", (), 100_000),
    ("Envoy JSON of the user's own", "client.ext.json", (), 100_000),
    ("Envoy text", "client.default.log", (), None),
    ("ztunnel", "ztunnel.txt", (), None),
    (
        "a format string",
        "client.default.log",
        (
            "--format-string",
            '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% '
            "%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "
            '"%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" '
            '"%UPSTREAM_HOST%"',
        ),
        None,
    ),
)
EXPORTS: tuple[tuple[str, str, tuple[str, ...], str, int | None], ...] = (
    ("OTLP traces", "bench.load_otlp", (), "spans", 50_000),
    ("OTLP access logs", "bench.load_otlp", ("--signal", "logs"), "observations", 60_000),
    ("OTLP metrics", "bench.load_otlp", ("--signal", "metrics"), "metric_points", None),
    ("ALS", "bench.load_als", (), "observations", 60_000),
)


def inputs(seconds: float, lines: int = LINES) -> list[Row]:
    """One row for each input."""
    return [_file(*one, lines) for one in FILES] + [_export(*one, seconds) for one in EXPORTS]


def _file(what: str, capture: str, options: tuple[str, ...], target: int | None, lines: int) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        path, data = Path(folder) / "access.log", Path(folder) / "data"
        write_lines(path, capture, lines)
        megabytes = path.stat().st_size / 1e6
        started = time.perf_counter()
        command = ["import", "--data", str(data), "--emitter", "default/reviews-v1-0", *options, str(path)]
        run = run_cli(*command)
        took = time.perf_counter() - started
        told = re.search(r"([\d,]+) rows from", run.stderr)
        if run.returncode or told is None:
            raise SystemExit(f"{what}: {run.stderr}")
        counted = run_cli("sql", "--data", str(data), "SELECT count(*) AS n FROM observations")
        (row,) = json.loads(counted.stdout)
        stored = sum(one.stat().st_size for one in (data / "segments").rglob("*.parquet"))
    rows = int(told[1].replace(",", ""))
    agrees = f"{rows:,} rows, all stored" if row["n"] == rows else f"STORED {row['n']:,} of {rows:,}"
    how = f"{lines:,} lines, {megabytes:,.0f} MB, {took:.1f} s; {stored / lines:.0f} B each; {agrees}"
    return f"{what} lines imported", f"{lines / took:,.0f}/s", _at_least(target), how


def _export(
    what: str, module: str, options: tuple[str, ...], table: str, target: int | None, seconds: float
) -> Row:
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "data") as server:
        command = [sys.executable, "-m", module, "--grpc", server.grpc, "--seconds", str(seconds), "--json"]
        run = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
        figure = json.loads(run.stdout)
        wanted = int(figure["acknowledged"])
        kept = server.wait_for_rows(table, wanted)
    agrees = "all stored" if kept == wanted else f"STORED {kept:,} of {wanted:,}"
    return f"{what} taken and stored", f"{figure['per_second']:,.0f}/s", _at_least(target), agrees


def _at_least(target: int | None) -> str:
    return f"≥ {target:,}/s" if target else ""
