"""Truth and graph brought to one form, so that they can be compared with ==."""

from __future__ import annotations

from collections import Counter
from typing import Any

# (caller workload, service, version or None, protocol, kind of answer) → how many
Tally = Counter[tuple[str, str, str | None, str, str]]


def true_client_view(truth: dict[str, Any]) -> Tally:
    """What callers got, as they counted it. gRPC is told by its status where an answer came."""
    tally: Tally = Counter()
    for row in truth["client"]:
        code = row["code"]
        if row["protocol"] == "grpc" and row["version"] is not None:
            code = f"grpc {row['grpc_status']}"
        elif row["protocol"] == "tcp":
            code = "connection"
        tally[row["caller"], short(row["service"]), row["version"], row["protocol"], code] += row["count"]
    return tally


def told_client_view(graph: dict[str, Any]) -> Tally:
    """What the graph's edges say callers got."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    tally: Tally = Counter()
    for edge in graph["edges"]:
        source, target = nodes[edge["source"]], nodes[edge["target"]]
        if target["kind"] == "gateway":
            continue  # the outside client's own leg; what it got is the gateway's row, told once
        version = None if target["kind"] == "service" else target["version"]
        caller = source["workload"] or source["kind"]
        key = (caller, short(target["service"]), version, edge["protocol"])
        if edge["protocol"] == "tcp":
            tally[(*key, "connection")] += edge["requests"]
        elif edge["protocol"] == "grpc" and edge["grpc_codes"]:
            for status, count in edge["grpc_codes"].items():
                tally[(*key, f"grpc {status}")] += count
        else:
            for code, count in edge["codes"].items():
                tally[(*key, code)] += count
    return tally


def true_server_view(truth: dict[str, Any]) -> Counter[tuple[str, str, str]]:
    """(workload, caller workload, protocol) → requests received: what the applications counted, and what their
    sidecars refused in their place, as the callers counted it (our workloads are called SERVICE-VERSION)."""
    tally: Counter[tuple[str, str, str]] = Counter()
    for row in truth["server"]:
        tally[row["workload"], row["caller"], row["protocol"]] += row["requests"]
    for row in truth["client"]:
        if row["denied"]:
            workload = f"{short(row['service'])}-{row['version']}"
            tally[workload, row["caller"], row["protocol"]] += row["count"]
    return tally


def told_server_view(graph: dict[str, Any]) -> Counter[tuple[str, str, str]]:
    nodes = {node["id"]: node for node in graph["nodes"]}
    tally: Counter[tuple[str, str, str]] = Counter()
    for edge in graph["edges"]:
        source, target = nodes[edge["source"]], nodes[edge["target"]]
        if target["kind"] == "workload" and edge["server"] and edge["server"]["requests"]:
            caller = source["workload"] or source["kind"]
            tally[target["workload"], caller, edge["protocol"]] += edge["server"]["requests"]
    return tally


def short(host: str | None) -> str:
    """'reviews.default.svc.cluster.local' → 'reviews'."""
    return (host or "unknown").partition(".")[0]
