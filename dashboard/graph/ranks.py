"""From edges to columns: cycles broken, longest paths, sources pulled next to what they call.

Works on one level of boxes: `items` and the weighted edges between them. Deterministic: the same
input gives the same ranks whatever the order of its dictionaries.
"""

from __future__ import annotations

from collections import defaultdict

Weights = dict[tuple[str, str], float]

# An edge between two namespaces that carries less than this share of what either exchanges with others
# says little about their order; ranked by it, a mesh becomes one endless row.
STRAY = 0.15


def without_strays(weights: Weights) -> Weights:
    """Between boxes: only the stronger direction of each pair, and no edge that is a trifle to both ends."""
    total: defaultdict[str, float] = defaultdict(float)
    for (a, b), weight in weights.items():
        total[a] += weight
        total[b] += weight
    kept: Weights = {}
    for (a, b), weight in weights.items():
        back = weights.get((b, a), 0.0)
        if back > weight or (back == weight and back and b < a):
            continue
        if weight < STRAY * total[a] and weight < STRAY * total[b]:
            continue
        kept[a, b] = weight
    return kept


def ranks(items: list[str], weights: Weights) -> dict[str, int]:
    """A column (0, 1, …) for each item, so that most weight points right."""
    forward = _acyclic(sorted(items), weights)
    callees: defaultdict[str, list[str]] = defaultdict(list)
    callers: defaultdict[str, list[str]] = defaultdict(list)
    for a, b in sorted(forward):
        callees[a].append(b)
        callers[b].append(a)
    found: dict[str, int] = {}
    for item in _topological(sorted(items), callers, callees):
        found[item] = max((found[c] + 1 for c in callers[item]), default=0)
    for item in sorted(items):
        if callees[item] and not callers[item]:
            found[item] = min(found[c] for c in callees[item]) - 1
    lowest = min(found.values(), default=0)
    return {item: rank - lowest for item, rank in found.items()}


def _acyclic(items: list[str], weights: Weights) -> set[tuple[str, str]]:
    """The edges that agree with the greedy order of Eades, Lin and Smyth (heaviest outflow first)."""
    out: dict[str, dict[str, float]] = {i: {} for i in items}
    into: dict[str, dict[str, float]] = {i: {} for i in items}
    for (a, b), weight in weights.items():
        if a != b:
            out[a][b] = weight
            into[b][a] = weight
    left: list[str] = []
    right: list[str] = []
    remaining = set(items)

    def take(item: str) -> None:
        remaining.discard(item)
        for other in out[item]:
            into[other].pop(item, None)
        for other in into[item]:
            out[other].pop(item, None)

    while remaining:
        sinks = sorted(i for i in remaining if not out[i])
        if sinks:
            for sink in sinks:
                right.append(sink)
                take(sink)
            continue
        sources = sorted(i for i in remaining if not into[i])
        if not sources:
            # Everything left is in a cycle: give up the edges that carry least.
            sources = [max(sorted(remaining), key=lambda i: sum(out[i].values()) - sum(into[i].values()))]
        for source in sources:
            left.append(source)
            take(source)
    order = {item: i for i, item in enumerate(left + right[::-1])}
    return {(a, b) for (a, b) in weights if a != b and order[a] < order[b]}


def _topological(items: list[str], callers: dict[str, list[str]], callees: dict[str, list[str]]) -> list[str]:
    waiting = {i: len(callers[i]) for i in items}
    ready = [i for i in items if not waiting[i]]
    for item in ready:  # grows while it is walked
        for callee in callees[item]:
            waiting[callee] -= 1
            if not waiting[callee]:
                ready.append(callee)
    return ready
