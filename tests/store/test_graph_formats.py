"""The graph as DOT and Mermaid: labels that say what the table says, and names that cannot break out."""

from __future__ import annotations

from store.graph_formats import to_dot, to_mermaid

HOSTILE = 'a"]; b -> c [label="<img src=x onerror=alert(1)>\n'


def graph(name: str) -> dict[str, object]:
    node = {"kind": "workload", "namespace": "default", "workload": name, "app": None, "service": None}
    edge = {"source": "x", "target": "y", "rate": 1.5, "errors": 2, "share": 0.8}
    return {"nodes": [node | {"id": "x"}, node | {"id": "y", "workload": "reviews-v1"}], "edges": [edge]}


def test_an_edge_says_rate_errors_and_share() -> None:
    """Both formats label an edge with its rate, its errors and the share of a split."""
    for text in (to_dot(graph("productpage-v1")), to_mermaid(graph("productpage-v1"))):
        assert "1.5/s, 2 errors, 80.0%" in text
        assert "productpage-v1 (default)" in text


def test_a_hostile_name_stays_inside_its_label() -> None:
    """Quotes, brackets and line breaks of a name are escaped: the text keeps its number of statements."""
    assert len(to_dot(graph(HOSTILE)).splitlines()) == len(to_dot(graph("plain")).splitlines())
    assert '\\"];' in to_dot(graph(HOSTILE))
    mermaid = to_mermaid(graph(HOSTILE))
    assert len(mermaid.splitlines()) == len(to_mermaid(graph("plain")).splitlines())
    assert "<" not in mermaid
