"""docs/schema.md, written from the database's own comments: `python -m store.schema_page > docs/schema.md`.

What must stay true: the page shows the columns a real `sidelight.duckdb` has, in its order, with the
sentences that are its comments; a test compares the page with this.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Any

VIEWS = ("requests", "observations", "spans", "logs", "metric_points", "workloads", "rejects")

_HEAD = """# Tables

What `sidelight sql`, `POST /api/sql` and any DuckDB on `sidelight.duckdb` can ask. Times are UTC. A value
that cannot be known is null, never 0. This page is written by `python -m store.schema_page` from the
comments in the database; a test compares them.

Macros give the product's own answers:

- `edges(from, to)`: the graph as a table, one row per edge between workload versions. `requests`, `errors`,
  `client_gone`, `unknown`, `success_rate`, `p50_ms` … `p99_ms`, `attempts` and bytes are the client view:
  what callers got, each request once, percentiles of the callers' own rows where there are any.
  `server_requests`, `server_errors`, `server_p50_ms`, `server_p95_ms` and `server_p99_ms` are what the called
  side received, attempts included. Percentiles of more than 15 minutes
  are within 1 %. Edges that only metrics tell of have percentiles estimated from buckets, and no
  rows in `requests`. The numbers are those of `/api/graph`; a node's percentiles there are
  over all client-view rows into it.
- `outcome(protocol, status_code, grpc_status, flags, details, success)`: 'ok', 'error', 'client_gone' or
  'unknown'; `success` is '5xx' or '4xx', flags are text such as 'URX,UF'.
- `lane_rows(from, to, grain)`: every observation with the edge, leg and view it counts for; grain is
  'version', 'workload', 'app', 'service' or 'instance'. `requests` is its client view.

```sql
select * from edges(now()::timestamp - interval 5 minute, now()::timestamp);
select destination_workload, outcome, count(*)
from requests where time >= now()::timestamp - interval 1 hour group by all;
```
"""


def write_page(cursor: Any) -> str:
    """The page for the cursor's current database."""
    parts = [_HEAD]
    for view in VIEWS:
        statement = (
            "select comment from duckdb_views() "
            "where view_name = $name and database_name = current_database()"
        )
        [(about,)] = cursor.execute(statement, {"name": view}).fetchall()
        columns = cursor.execute(
            "select column_name, data_type, comment from duckdb_columns() "
            "where table_name = $name and database_name = current_database() order by column_index",
            {"name": view},
        ).fetchall()
        rows = [f"| `{name}` | {_cell(kind)} | {_cell(text)} |" for name, kind, text in columns]
        parts.append(
            "\n".join(
                [f"## {view}", "", about, "", "| column | type | meaning |", "| --- | --- | --- |", *rows]
            )
        )
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


def current_page() -> str:
    """The page of a new, empty store."""
    from store.engine import Store
    from store.published import make_relations
    from store.settings import StoreSettings

    with tempfile.TemporaryDirectory() as folder:
        store = Store(StoreSettings(data_dir=Path(folder)))
        store.open()
        try:
            store.database.attach(None, "page")
            with contextlib.closing(store.database.cursor()) as cursor:
                cursor.execute("use page")
                make_relations(cursor)
                return write_page(cursor)
        finally:
            store.stop()


if __name__ == "__main__":
    sys.stdout.write(current_page())
