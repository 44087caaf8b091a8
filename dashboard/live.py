"""What every open graph page shares: one tick, and one snapshot per tick and view.

However many browsers look at the same view, its graph is asked once per tick. A slow query slows
its own refresh down, not the server: a snapshot is kept at least four times as long as it took.
Positions are remembered per kind of view, so a node stays where it was when the window changes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dashboard.ask import ask
from dashboard.graph import elements
from dashboard.graph.layout import Layout
from dashboard.view_state import ViewState
from store.query_types import GraphQuery

LOOK_EVERY_S = 0.4  # how often the store is asked whether it has anything new
TICK_AT_LEAST_EVERY_S = 2.0  # the window slides on even when nothing arrives
REST = 4.0  # a snapshot rests this many times its own cost
KEEP_VIEWS = 32
MAX_NAMESPACES = 1000
# As long as Kubernetes lets one be. A longer one is shown, but not offered as a filter: the browser's
# dropdown indexes every piece of every name.
LONGEST_NAMESPACE = 63
KEEP_DRAWINGS = 4  # how many ticks a browser may lag behind and still get a patch


@dataclass
class Snapshot:
    """One view's graph (as /api/graph) and its positions. ``serial`` rises with every snapshot."""

    graph: dict[str, Any]
    positions: Layout
    seq: int
    made: float
    cost: float
    serial: int


@dataclass
class _View:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    snapshot: Snapshot | None = None
    drawings: dict[str, _Drawings] = field(default_factory=dict)  # by edge label


@dataclass
class _Drawings:
    """The last few drawings that differed, oldest first, and the snapshot the newest was checked against."""

    checked: int = -1
    kept: list[tuple[int, elements.Elements]] = field(default_factory=list)

    def update(self, snapshot: Snapshot, label: str) -> None:
        if self.checked == snapshot.serial:
            return
        self.checked = snapshot.serial
        drawn = elements.build(snapshot.graph, snapshot.positions, label)
        if not self.kept or self.kept[-1][1] != drawn:
            self.kept.append((snapshot.serial, drawn))
            del self.kept[:-KEEP_DRAWINGS]


class Live:
    """Ticks and snapshots. Lives on one event loop; ``queries`` is asked in the query pool."""

    def __init__(self, queries: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self.queries = queries
        self.seq = 0
        self._clock = clock
        self._serials = itertools.count(1)
        self._boot = uuid.uuid4().hex  # a browser may hold a drawing of the process before this one
        self._views: OrderedDict[str, _View] = OrderedDict()
        self._positions: dict[str, Layout] = {}
        self._last_tick = 0.0
        self._revision: Any = None
        self._looking = asyncio.Lock()
        # Every namespace seen in any graph: what the filter offers.
        self.namespaces: set[str] = set()
        self.never = False  # nothing has ever arrived, as far as the store says

    async def next_tick(self, last: int) -> int:
        """Wait until there is a tick after ``last`` and return its number."""
        while self.seq == last:
            async with self._looking:  # one caller looks for all; the others wait and see its result
                if self.seq == last:
                    await asyncio.sleep(LOOK_EVERY_S)
                    await self._look()
        return self.seq

    async def _look(self) -> None:
        try:
            status = await ask(self.queries.status)
        except Exception as error:  # the store may be restarting: keep ticking, pages say how old they are
            status = {"failed": repr(error)}
        self.never = nothing_arrived(status)
        revision = rows_by_table(status) or status
        now = self._clock()
        if revision != self._revision or now - self._last_tick >= TICK_AT_LEAST_EVERY_S:
            self._revision, self._last_tick = revision, now
            self.seq += 1

    async def snapshot(self, view: ViewState) -> Snapshot:
        """The view's graph at the current tick. Raises `store.errors.BadQuery` for a view it refuses."""
        return await self._fresh(self._entry(view), view)

    def _entry(self, view: ViewState) -> _View:
        key = json.dumps(view.graph_params(), sort_keys=True)
        entry = self._views.setdefault(key, _View())
        self._views.move_to_end(key)
        while len(self._views) > KEEP_VIEWS:
            self._views.popitem(last=False)
        return entry

    async def _fresh(self, entry: _View, view: ViewState) -> Snapshot:
        async with entry.lock:
            now, had = self._clock(), entry.snapshot
            if had and (had.seq == self.seq or now - had.made < had.cost * REST):
                return had
            seq = self.seq
            graph = await ask(self.queries.graph, GraphQuery.from_params(view.graph_params()))
            where = json.dumps([view.type, sorted(view.namespaces)])
            positions = await ask(elements.place, graph, self._positions.get(where))
            if graph["nodes"]:
                self._positions[where] = positions
                if len(self.namespaces) < MAX_NAMESPACES:
                    self.namespaces |= {
                        name
                        for node in graph["nodes"]
                        if (name := node.get("namespace")) and len(name) <= LONGEST_NAMESPACE
                    }
            done = self._clock()
            entry.snapshot = Snapshot(graph, positions, seq, done, done - now, next(self._serials))
            return entry.snapshot

    async def patch(self, view: ViewState, have: dict[str, Any] | None) -> dict[str, Any] | None:
        """What a browser that drew ``have`` = {"key", "serial"} must change; None when nothing changed.

        ``{"key", "serial", "base", "full", "put", "drop", "data", "at", "parent"}``; with ``full`` the
        browser drops whatever ``put`` does not name, else it must be at serial ``base``.
        """
        entry = self._entry(view)
        snapshot = await self._fresh(entry, view)
        key = json.dumps([self._boot, view.graph_params(), view.label], sort_keys=True)
        drawings = entry.drawings.setdefault(view.label, _Drawings())
        drawings.update(snapshot, view.label)
        serial, drawn = drawings.kept[-1]
        held = have.get("serial") if have and have.get("key") == key else None
        past = next((old for number, old in drawings.kept if number == held), None)
        if past is None:
            empty: elements.Elements = {}
            return {"key": key, "serial": serial, "base": None, "full": True, **elements.diff(empty, drawn)}
        changes = elements.diff(past, drawn)
        if not any(changes.values()):
            return None
        return {"key": key, "serial": serial, "base": held, "full": False, **changes}

    def rearrange(self) -> None:
        """Forget every position: the next snapshot is laid out afresh."""
        self._positions.clear()
        for entry in self._views.values():
            entry.snapshot = None


def rows_by_table(status: dict[str, Any]) -> dict[str, int]:
    """How many rows each table has, loaded and sealed together (sealing alone changes nothing to see)."""
    rows = status.get("rows")
    found: dict[str, int] = {}
    for table, counts in rows.items() if isinstance(rows, dict) else ():
        found[table] = (
            sum(n for n in counts.values() if isinstance(n, int)) if isinstance(counts, dict) else counts
        )
    return found


def nothing_arrived(status: dict[str, Any]) -> bool:
    """Whether the store knows its rows, and there are none of traffic."""
    rows = rows_by_table(status)
    return bool(rows) and not any(rows.get(table) for table in ("observations", "spans", "metric_points"))
