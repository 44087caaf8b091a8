"""Every question the dashboard, the API and the command line may ask, behind one typed face.

Methods are synchronous and thread-safe (each takes a reader of its own) and return JSON-ready values;
what cannot be answered as asked raises ``store.errors.BadQuery``.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from store.asking import ask_rows
from store.ends import KeptEnds
from store.exactness import choose_percentiles
from store.graph import answer_graph, rfc3339
from store.jobs import Jobs
from store.kept_rows import KeptRows
from store.loose_rows import leave_out_loose_rows
from store.metric_facts import leave_out_metrics
from store.query_types import GraphQuery, RequestsQuery, TimeseriesQuery, TracesQuery, Window, read_trace_id
from store.read_objects import install_macros
from store.requests import answer_requests
from store.span_links import keep_span_links, leave_out_spans
from store.statements import source
from store.stats import stats
from store.time_limit import TimeLimit
from store.timeseries import answer_timeseries
from store.traces import answer_trace, answer_traces

Json = dict[str, Any]

# Whether a caller reports is looked up a minute around the window, and so are the callers' own rows.
_MARGIN = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1)


class Queries:
    """Over a `store.engine.Store`, of which every public method but the loading ones is used."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._install = threading.Lock()
        self._installed_in: Any = None
        self._limit = TimeLimit(store.settings.question_time_limit_s)
        self._jobs = Jobs(store)
        self._kept_rows = KeptRows(store.settings.data_dir)
        self._ends = KeptEnds()

    def graph(self, query: GraphQuery) -> Json:
        """`/api/graph`: nodes and edges of a window (design.md §4)."""
        with self._reader(query.window, query.background) as cursor:
            self._ends.keep(cursor)
            return answer_graph(cursor, query, self._is_exact(cursor, query), self._kept_rows)

    def timeseries(self, query: TimeseriesQuery) -> Json:
        """`/api/timeseries`: both views of an edge or node, step by step."""
        with self._reader(query.window, query.background) as cursor:
            self._ends.keep(cursor)
            return answer_timeseries(cursor, query, self._is_exact(cursor, query), self._kept_rows)

    def requests(self, query: RequestsQuery) -> Json:
        """`/api/requests`: the rows behind an edge or node, newest first, paged by ``next``."""
        with self._reader(query.window, query.background) as cursor:
            if query.edge or query.node:
                self._ends.keep(cursor)
            return answer_requests(cursor, query)

    def traces(self, query: TracesQuery) -> Json:
        """`/api/traces`: newest first."""
        with self._reader(query.window, query.background) as cursor:
            if query.edge or query.node:
                self._ends.keep(cursor)
            return answer_traces(cursor, query)

    def trace(self, trace_id: str) -> Json | None:
        """`/api/traces/{id}`: spans in depth-first order; None if nothing of it is stored."""
        wanted = uuid.UUID(read_trace_id(trace_id))
        with self._reader(None, trace=wanted) as cursor:
            return answer_trace(cursor, wanted)

    def workloads(self) -> list[Json]:
        """The registry: one row per workload and version that is or was known."""
        with self._reader(None) as cursor:
            rows = ask_rows(cursor, "workloads", {})
        for row in rows:
            first_us = row.pop("first_us")
            row["first_seen"] = (
                None if first_us is None else rfc3339(_EPOCH + timedelta(microseconds=first_us))
            )
        return rows

    def sql(self, statement: str, format: str) -> Any:
        """One ad-hoc statement, in a worker of its own; what the store's worker answers."""
        return self._store.sql(statement, format)

    def status(self) -> Json:
        """The store's own numbers, and ``revision``: it changes when there is something new to show."""
        status = self._store.status()
        return status | {"revision": f"{status.get('loaded_rows', 0)}"}

    def is_stuck(self) -> bool:
        """Does DuckDB no longer answer? Then only a new process does."""
        return self._limit.is_stuck()

    def known_imports(self, digests: Iterable[str]) -> set[str]:
        """Those of the digests (hex) whose import is here."""
        return set(self._store.known_imports(list(digests)))

    def store_stats(self) -> Json:
        """`/api/store/stats`: what the folder holds and how long it is kept."""
        return stats(self._store)

    def start_job(self, kind: str, options: Mapping[str, Any]) -> Json:
        """Begin long work on the store (`store.jobs`): its state, as ``current_job`` tells it."""
        return self._jobs.start(kind, options)

    def current_job(self) -> Json | None:
        """The running job, or how the last one ended; None before the first."""
        return self._jobs.current()

    def _is_exact(self, cursor: Any, query: GraphQuery | TimeseriesQuery) -> bool:
        """Rows up to a length of the window, and where the question says so."""
        wanted = query.exact or query.window.seconds <= self._store.settings.exact_window_s
        return choose_percentiles(cursor, query.window, wanted)

    @contextmanager
    def _reader(
        self, window: Window | None, background: bool = False, trace: uuid.UUID | None = None
    ) -> Iterator[Any]:
        self._ensure_macros()
        around = (window.from_time - _MARGIN, window.to_time + _MARGIN) if window else (None, None)
        with self._store.reader(*around, trace) as cursor, self._limit.on(cursor):
            if background:
                cursor.execute(source("ask/show_background"))
            if window:
                leave_out_metrics(cursor)
                leave_out_loose_rows(cursor)
                leave_out_spans(cursor)
                keep_span_links(cursor, Window(*around))
            yield cursor

    def _ensure_macros(self) -> None:
        """Once per database: the store may have been reopened."""
        with self._install:
            if self._installed_in is not self._store.database:
                install_macros(self._store)
                self._installed_in = self._store.database
