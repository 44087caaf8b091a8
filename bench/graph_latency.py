"""How long `/api/graph` takes: the store's own query over generated segments, as the server runs it.

    python -m bench.graph_latency [--rate 3000] [--minutes 5] [--times 20]

Two threads and 400 MB, as the store's settings have them; the rows lie in Parquet, as sealed segments do.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bench.generate_observations import START, generate
from store.database import Database
from store.physical import STORED
from store.queries import Queries
from store.query_types import GraphQuery, Window
from store.statements import literal


class GeneratedStore:
    """What `Queries` needs of a store, over a folder that `generate` wrote."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(memory_limit="400MB", threads=2)
        self._folder = folder

    @contextlib.contextmanager
    def reader(self, from_time: datetime | None, to_time: datetime | None) -> Iterator[Any]:
        cursor = self.database.cursor()
        rows = literal(str(self._folder / "observations_raw/*.parquet"))
        cursor.execute(f"create temp view observations_raw as from read_parquet({rows})")
        for name in ("peers", "activity", "instances"):
            file = literal(str(self._folder / f"{name}.parquet"))
            cursor.execute(f"create temp view {name} as from read_parquet({file})")
        cursor.register("spans_raw", STORED["spans"].empty_table())
        try:
            yield cursor
        finally:
            cursor.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Median time of /api/graph on generated observations")
    parser.add_argument("--rate", type=int, default=3000, help="requests per second")
    parser.add_argument("--minutes", type=int, default=5)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where generated rows are, or go; kept")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch)
        if not (folder / "instances.parquet").exists():
            generate(folder, args.rate, args.minutes, workloads=30)
        start = START.replace(tzinfo=None)
        query = GraphQuery(Window(start, start + timedelta(minutes=args.minutes)))
        queries = Queries(GeneratedStore(folder))
        graph = queries.graph(query)
        took = []
        for _ in range(args.times):
            before = time.perf_counter()
            queries.graph(query)
            took.append((time.perf_counter() - before) * 1000)
        requests = sum(edge["requests"] for edge in graph["edges"])
        print(
            f"{len(graph['nodes'])} nodes, {len(graph['edges'])} edges, {requests} requests in client views"
        )
        print(
            f"median {statistics.median(took):.0f} ms, fastest {min(took):.0f} ms, slowest {max(took):.0f} ms"
        )


if __name__ == "__main__":
    main()
