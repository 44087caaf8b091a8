"""Where everything stands: layered left to right, boxes two deep (namespace, app). Pure, no clock.

Each container has a coordinate system of its own whose origin never moves; a container's place in
its parent is the place of that origin. So a box that grows keeps its content where it was. With a
previous layout, what is known keeps column and height, a newcomer goes beside its neighbours, and
items are pushed apart only where they collide. What must stay true: no two nodes overlap, no two
boxes of a level overlap, a box holds its nodes, and the same input gives the same output.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean

from dashboard.graph.ranks import Weights, ranks, without_strays
from dashboard.graph.spread import spread

NODE_WIDTH, NODE_HEIGHT = 142.0, 44.0
ROOT = ""
SWEEPS = 12
STRAIGHTENINGS = 6
# Absent items a container remembers beside four times the present ones.
MEMORY = 64


@dataclass(frozen=True)
class LayoutNode:
    """``boxes``: the ids of the boxes it stands in, outermost first (at most two)."""

    id: str
    boxes: tuple[str, ...] = ()


@dataclass
class Placed:
    """One container's memory: column and height of the origin of each item in it."""

    rank: dict[str, int] = field(default_factory=dict)
    y: dict[str, float] = field(default_factory=dict)


@dataclass
class Layout:
    """``centres``: node id → (x, y). ``containers`` is what the next layout is kept stable by."""

    centres: dict[str, tuple[float, float]] = field(default_factory=dict)
    containers: dict[str, Placed] = field(default_factory=dict)
    settled: int = 0  # how many nodes there were when it was last laid out afresh


@dataclass(frozen=True)
class Gaps:
    column: float
    row: float
    top: float
    side: float


GAPS = (Gaps(96, 62, 0, 0), Gaps(150, 26, 30, 30), Gaps(110, 14, 24, 24))


@dataclass
class _Box:
    """A box's extent around its own origin, with the room for title and border."""

    left: float
    top: float
    right: float
    bottom: float


def layout(nodes: list[LayoutNode], edges: list[tuple[str, str]], previous: Layout | None = None) -> Layout:
    """Centres for all nodes. ``edges`` may repeat and may name unknown nodes (ignored).

    With ``previous``, stable against it; unless the graph has grown by half since it was last laid
    out afresh: then keeping every place would make a muddle, and everything is arranged anew.
    """
    if previous is None or len(nodes) > 1.5 * previous.settled:
        found = _Layouter(nodes, edges, Layout()).run()
        found.settled = len(nodes)
    else:
        found = _Layouter(nodes, edges, previous).run()
        found.settled = previous.settled
    return found


class _Layouter:
    def __init__(self, nodes: list[LayoutNode], edges: list[tuple[str, str]], previous: Layout) -> None:
        self.previous = previous
        self.path: dict[str, tuple[str, ...]] = {n.id: (ROOT, *n.boxes, n.id) for n in nodes}
        self.items: defaultdict[str, set[str]] = defaultdict(set)
        for path in self.path.values():
            for parent, child in pairwise(path):
                self.items[parent].add(child)
        self.depth = {p: i for path in self.path.values() for i, p in enumerate(path)}
        # Edges by the container in which their ends part: (child, child, node, node).
        self.edges: defaultdict[str, list[tuple[str, str, str, str]]] = defaultdict(list)
        for a, b in edges:
            if a == b or a not in self.path or b not in self.path:
                continue
            here, there = self.path[a], self.path[b]
            at = next(i for i, (p, q) in enumerate(zip(here, there, strict=False)) if p != q)
            self.edges[here[at - 1]].append((here[at], there[at], a, b))
        self.extent: dict[str, _Box] = {}
        # Node id → its centre, relative to the origin of each container it is in.
        self.local: dict[str, dict[str, tuple[float, float]]] = {}
        self.result = Layout()

    def run(self) -> Layout:
        for container in sorted(self.items, key=lambda c: (-self.depth.get(c, 0), c)):
            self._place(container)
        self.result.centres = self.local.get(ROOT, {})
        for container, placed in self.previous.containers.items():
            if len(self.result.containers) < 4 * len(self.items) + MEMORY:
                self.result.containers.setdefault(container, placed)
        return self.result

    def _place(self, container: str) -> None:
        items = sorted(self.items[container])
        gaps = GAPS[min(self.depth.get(container, 0), 2)]
        for item in items:
            if item in self.path:
                self.extent[item] = _Box(-NODE_WIDTH / 2, -NODE_HEIGHT / 2, NODE_WIDTH / 2, NODE_HEIGHT / 2)
                self.local[item] = {item: (0.0, 0.0)}
        weights: Weights = defaultdict(float)
        for a, b, _, _ in self.edges[container]:
            weights[a, b] += 1
        if container == ROOT:
            weights = without_strays(weights)
        known = self.previous.containers.get(container)
        kept = [i for i in items if known and i in known.rank]
        if known and kept:
            placed = self._beside(container, items, weights, known, gaps)
        else:
            placed = self._afresh(container, items, weights, gaps)
        self.result.containers[container] = placed
        self._close(container, placed, gaps)

    # -- from nothing ------------------------------------------------------------------------
    def _afresh(self, container: str, items: list[str], weights: Weights, gaps: Gaps) -> Placed:
        column = ranks(items, weights)
        rows: defaultdict[int, list[str]] = defaultdict(list)
        for item in items:
            rows[column[item]].append(item)
        near: defaultdict[str, list[str]] = defaultdict(list)
        for a, b, _, _ in self.edges[container]:
            near[a].append(b)
            near[b].append(a)
        at = {item: float(i) for row in rows.values() for i, item in enumerate(row)}
        for sweep in range(SWEEPS):
            for rank in sorted(rows, reverse=bool(sweep % 2)):
                row = rows[rank]
                pull = {i: fmean(at[n] for n in near[i]) if near[i] else at[i] for i in row}
                row.sort(key=lambda i: (pull[i], i))
                offset = (len(row) - 1) / 2
                for i, item in enumerate(row):
                    at[item] = i - offset
        y: dict[str, float] = {}
        for row in rows.values():
            self._stack(row, dict.fromkeys(row, 0.0), {}, y, gaps)
        for turn in range(STRAIGHTENINGS):
            for rank in sorted(rows, reverse=bool(turn % 2)):
                row = rows[rank]
                wanted = self._wanted(container, row, y)
                self._stack(row, wanted, {}, y, gaps)
        return Placed(column, y)

    # -- beside what is known ----------------------------------------------------------------
    def _beside(
        self, container: str, items: list[str], weights: Weights, known: Placed, gaps: Gaps
    ) -> Placed:
        column = {i: known.rank[i] for i in items if i in known.rank}
        y = {i: known.y[i] for i in column}
        callers: defaultdict[str, list[str]] = defaultdict(list)
        callees: defaultdict[str, list[str]] = defaultdict(list)
        for a, b in sorted(weights):
            callers[b].append(a)
            callees[a].append(b)
        fresh = ranks(items, weights)
        newcomers = sorted((i for i in items if i not in column), key=lambda i: (fresh[i], i))
        for item in newcomers:
            before = [column[c] for c in callers[item] if c in column]
            after = [column[c] for c in callees[item] if c in column]
            if before:
                column[item] = max(before) + 1
            elif after:
                column[item] = min(after) - 1
            else:
                column[item] = min(column.values(), default=0)
        for item in newcomers:
            placed_near = self._wanted(container, [item], y)
            below = max((y[i] + self.extent[i].bottom for i in y if column[i] == column[item]), default=0.0)
            y[item] = placed_near.get(item, below + gaps.row - self.extent[item].top)
        rows: defaultdict[int, list[str]] = defaultdict(list)
        for item in items:
            rows[column[item]].append(item)
        fixed = set(known.rank)
        # Who is away keeps its place in memory, so that it comes back to where it was.
        remembered = len(known.rank) <= 4 * len(items) + MEMORY
        for row in rows.values():
            row.sort(
                key=lambda i: (y[i] + (self.extent[i].top + self.extent[i].bottom) / 2, i not in fixed, i)
            )
            firmness = {i: 1000.0 if i in fixed else 1.0 for i in row}
            self._stack(row, {i: y[i] for i in row}, firmness, y, gaps)
        return Placed({**known.rank, **column}, {**known.y, **y}) if remembered else Placed(column, y)

    # -- pieces ------------------------------------------------------------------------------
    def _wanted(self, container: str, row: list[str], y: dict[str, float]) -> dict[str, float]:
        """The height at which an item's edges are level on average; only items with placed neighbours."""
        pulls: defaultdict[str, list[float]] = defaultdict(list)
        members = set(row)
        for a, b, start, end in self.edges[container]:
            start_y, end_y = self.local[a][start][1], self.local[b][end][1]
            if a in members and b in y:
                pulls[a].append(y[b] + end_y - start_y)
            if b in members and a in y:
                pulls[b].append(y[a] + start_y - end_y)
        return {item: fmean(values) for item, values in pulls.items()}

    def _stack(
        self,
        row: list[str],
        wanted: dict[str, float],
        firmness: dict[str, float],
        y: dict[str, float],
        gaps: Gaps,
    ) -> None:
        """Put a column's items as near to where they want to be as their order and sizes allow."""
        starts = [wanted.get(i, y.get(i, 0.0)) + self.extent[i].top for i in row]
        heights = [self.extent[i].bottom - self.extent[i].top + gaps.row for i in row]
        firm = [firmness.get(i, 1.0 if i in wanted else 0.2) for i in row]
        for item, top in zip(row, spread(starts, heights, firm), strict=True):
            y[item] = top - self.extent[item].top

    def _close(self, container: str, placed: Placed, gaps: Gaps) -> None:
        """Turn columns into x, and tell the parent how much room this container takes."""
        items = self.items[container]
        width: defaultdict[int, float] = defaultdict(float)
        for item in items:
            size = self.extent[item].right - self.extent[item].left
            width[placed.rank[item]] = max(width[placed.rank[item]], size)
        left: dict[int, float] = {}
        edge = 0.0
        for rank in sorted(r for r in width if r >= 0):
            left[rank] = edge
            edge += width[rank] + gaps.column
        edge = 0.0
        for rank in sorted((r for r in width if r < 0), reverse=True):
            edge -= width[rank] + gaps.column
            left[rank] = edge
        centres: dict[str, tuple[float, float]] = {}
        box = _Box(float("inf"), float("inf"), float("-inf"), float("-inf"))
        for item in sorted(items):
            extent = self.extent[item]
            size = extent.right - extent.left
            slack = (width[placed.rank[item]] - size) / 2
            x, y = left[placed.rank[item]] + slack - extent.left, placed.y[item]
            box.left, box.right = min(box.left, x + extent.left), max(box.right, x + extent.right)
            box.top, box.bottom = min(box.top, y + extent.top), max(box.bottom, y + extent.bottom)
            for node, (dx, dy) in self.local[item].items():
                centres[node] = (x + dx, y + dy)
        self.local[container] = centres
        self.extent[container] = _Box(
            box.left - gaps.side, box.top - gaps.top, box.right + gaps.side, box.bottom + gaps.side
        )
