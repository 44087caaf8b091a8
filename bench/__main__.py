"""``make bench``: every figure we publish, measured against a whole `sidelight serve`, as one table.

    python -m bench [--quick]
        [--only stages|ingest|inputs|graph|windows|freshness|traces|sizes|memory|soak|restart|kills]

Each figure names its target and how it was made. ``--quick`` shortens the loads (10 s and 1 minute
instead of 30 s and 5 minutes): for a look, not for publishing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from bench.freshness import freshness
from bench.graph import graph_latency
from bench.inputs import inputs
from bench.kills import KILLS, kills
from bench.memory import idle_memory, loaded_memory, soaked_memory
from bench.restart import restart
from bench.server import serving
from bench.sizes import SECONDS, sizes
from bench.stages import stages
from bench.traces import SPANS, trace_lookup
from bench.windows import windows
from sidelight.tables import table

Row = tuple[str, str, str, str]


def ingest(seconds: float) -> list[Row]:
    """Spans and access log entries a second: acknowledged after fsync, then counted in the store."""
    rows: list[Row] = []
    for module, what, stored, target in (
        ("bench.load_otlp", "OTLP/gRPC spans acknowledged and stored", "spans", 50_000),
        ("bench.load_als", "ALS entries taken and stored", "observations", 40_000),
    ):
        with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "data") as server:
            run = subprocess.run(
                [sys.executable, "-m", module, "--grpc", server.grpc, "--seconds", str(seconds), "--json"],
                capture_output=True,
                text=True,
                check=True,
            )
            figure = json.loads(run.stdout)
            kept = server.wait_for_rows(stored, int(figure["acknowledged"]))
            agrees = (
                "all stored"
                if kept == figure["acknowledged"]
                else f"STORED {kept:,} of {figure['records']:,}"
            )
            rows.append(
                (what, f"{figure['per_second']:,.0f}/s", f"≥ {target:,}/s", f"{seconds:.0f} s, {agrees}")
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--only",
        choices=(
            "stages", "ingest", "inputs", "graph", "windows", "freshness", "traces", "sizes", "memory", "soak",
            "restart", "kills"
        ),
    )  # fmt: skip
    options = parser.parse_args()
    console = Console(stderr=True)
    rows: list[Row] = []
    if options.only in (None, "stages"):
        console.print("Stages: what a record costs, each stage by itself ...")
        rows += stages()
    if options.only in (None, "ingest"):
        console.print("Ingest: two loads against a whole server ...")
        rows += ingest(10 if options.quick else 30)
    if options.only in (None, "inputs"):
        console.print("Inputs: a file or a load of each, against a whole server ...")
        rows += inputs(10 if options.quick else 30)
    if options.only in (None, "graph"):
        console.print("Graph: 5 minutes at 3,000 requests a second, 20 answers ...")
        rows += graph_latency()
    if options.only in (None, "windows"):
        console.print(
            "Windows: a graph over 5 minutes to 7 days at 3,000 requests a second; 3 minutes to make them ..."
        )
        rows += windows()
    if options.only in (None, "freshness"):
        console.print("Freshness: 20 requests, each until it shows ...")
        rows += freshness()
    if options.only in (None, "traces"):
        console.print("Traces: one by its id among 100 million spans, which are generated first ...")
        rows += trace_lookup(5_000_000 if options.quick else SPANS)
    if options.only in (None, "sizes"):
        console.print("Sizes: what the demo's mesh sends, sealed and merged ...")
        rows += sizes(70 if options.quick else SECONDS)
    if options.only in (None, "memory"):
        console.print("Memory: idle, then under full load ...")
        rows += idle_memory()
        rows += loaded_memory(minutes=1 if options.quick else 5)
    if options.only in (None, "soak"):
        console.print("Memory: at 10,000 spans a second ...")
        rows += soaked_memory(3 if options.quick else 30)
    if options.only in (None, "restart"):
        console.print("Restart: after a kill, with a full journal, which is written first ...")
        rows += restart(256 << 20 if options.quick else None)
    if options.only in (None, "kills"):
        console.print("Kills: at random instants ...")
        rows += kills(30 if options.quick else KILLS)
    Console().print(table(("figure", "measured", "target", "how"), rows, numeric=(1, 2)))


if __name__ == "__main__":
    main()
