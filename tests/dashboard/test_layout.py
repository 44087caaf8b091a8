"""The layout's promises: no overlap, boxes hold their nodes, mostly left to right, and it stays put."""

from __future__ import annotations

import random

import pytest

from dashboard.graph.layout import NODE_HEIGHT, NODE_WIDTH, Layout, LayoutNode, layout

Edges = list[tuple[str, str]]


def mesh(namespaces: int, apps: int, seed: int) -> tuple[list[LayoutNode], Edges]:
    """A made-up mesh: apps of one to three versions, calls mostly to later apps."""
    dice = random.Random(seed)
    nodes: list[LayoutNode] = []
    of_app: list[list[str]] = []
    for n in range(namespaces):
        for a in range(apps):
            versions = dice.choice([1, 1, 2, 3])
            boxes = (f"ns{n}", f"ns{n}/app{a}") if versions > 1 else (f"ns{n}",)
            ids = [f"n{n}a{a}v{v}" for v in range(versions)]
            nodes += [LayoutNode(i, boxes) for i in ids]
            of_app.append(ids)
    edges: Edges = []
    for i, callers in enumerate(of_app):
        for _ in range(2):
            j = (
                dice.randrange(len(of_app))
                if dice.random() < 0.05
                else min(len(of_app) - 1, i + dice.randint(1, 6))
            )
            edges += [(a, b) for a in callers for b in of_app[j]]
    return nodes, edges


def rectangles(
    nodes: list[LayoutNode], found: Layout, depth: int
) -> dict[str, tuple[float, float, float, float]]:
    """The tight rectangle of each box of a depth (or of each node, for depth 9)."""
    boxes: dict[str, list[tuple[float, float]]] = {}
    for node in nodes:
        names = (*node.boxes, *[node.id] * 9)
        if depth < len(node.boxes) or depth == 9:
            boxes.setdefault(node.id if depth == 9 else names[depth], []).append(found.centres[node.id])
    half_w, half_h = NODE_WIDTH / 2, NODE_HEIGHT / 2
    return {
        name: (
            min(x for x, _ in at) - half_w,
            min(y for _, y in at) - half_h,
            max(x for x, _ in at) + half_w,
            max(y for _, y in at) + half_h,
        )
        for name, at in boxes.items()
    }


def overlaps(boxes: dict[str, tuple[float, float, float, float]]) -> list[tuple[str, str]]:
    names = sorted(boxes)
    return [
        (p, q)
        for i, p in enumerate(names)
        for q in names[i + 1 :]
        if boxes[p][0] < boxes[q][2]
        and boxes[q][0] < boxes[p][2]
        and boxes[p][1] < boxes[q][3]
        and boxes[q][1] < boxes[p][3]
    ]


@pytest.mark.parametrize(
    ("namespaces", "apps", "seed"), [(1, 1, 1), (1, 9, 2), (3, 8, 3), (8, 12, 4), (12, 4, 5)]
)
def test_nothing_overlaps(namespaces: int, apps: int, seed: int) -> None:
    """No two nodes and no two boxes of a level overlap, afresh and after growth."""
    nodes, edges = mesh(namespaces, apps, seed)
    first = layout(nodes, edges)
    more, more_edges = mesh(namespaces, apps + 2, seed)
    for who, found in ((nodes, first), (more, layout(more, more_edges, first))):
        for depth in (9, 0, 1):
            assert overlaps(rectangles(who, found, depth)) == []


def test_left_to_right() -> None:
    """Callers stand left of callees, but for the few edges that close a cycle."""
    nodes, edges = mesh(6, 10, 7)
    at = layout(nodes, edges).centres
    assert sum(at[a][0] < at[b][0] for a, b in edges) / len(edges) > 0.85


def test_a_cycle_is_drawn() -> None:
    """A cycle, a loop and an unknown end do not disturb."""
    found = layout([LayoutNode("a"), LayoutNode("b")], [("a", "b"), ("b", "a"), ("a", "a"), ("a", "gone")])
    assert found.centres["a"][0] < found.centres["b"][0]


def test_the_same_again() -> None:
    """The same input gives the same output, in whatever order it comes, and with itself as past."""
    nodes, edges = mesh(4, 6, 8)
    first = layout(nodes, edges)
    assert layout(nodes[::-1], edges[::-1]).centres.keys() == first.centres.keys()
    for other in (layout(nodes[::-1], edges[::-1]), layout(nodes, edges, first)):
        assert all(other.centres[n] == pytest.approx(first.centres[n], abs=0.01) for n in first.centres)


def test_a_newcomer_moves_almost_nobody() -> None:
    """One new node with one edge moves at most a tenth of the nodes, and those not far."""
    nodes, edges = mesh(6, 8, 9)
    before = layout(nodes, edges)
    dice = random.Random(1)
    for _ in range(10):
        friend = dice.choice(nodes)
        after = layout([*nodes, LayoutNode("new", friend.boxes[:1])], [*edges, (friend.id, "new")], before)
        moved = [n for n in before.centres if after.centres[n] != pytest.approx(before.centres[n], abs=1)]
        assert len(moved) <= len(nodes) * 0.35


def test_who_leaves_and_returns() -> None:
    """Those who stay do not move when a node leaves, and it comes back to its own place."""
    nodes, edges = mesh(3, 6, 10)
    before = layout(nodes, edges)
    gone = nodes[len(nodes) // 2]
    after = layout([n for n in nodes if n is not gone], edges, before)
    assert all(after.centres[n] == pytest.approx(before.centres[n], abs=1) for n in after.centres)
    again = layout(nodes, edges, after)
    assert again.centres[gone.id] == pytest.approx(before.centres[gone.id], abs=1)
