"""Real Envoys, the whole server: what the graph says is what callers got and versions received, exactly."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.mesh.conftest import LivedMesh
from tests.mesh.tallies import (
    short,
    told_client_view,
    told_server_view,
    true_client_view,
    true_server_view,
)
from tests.running_server import run_cli

pytestmark = pytest.mark.mesh


def test_the_client_view_is_what_callers_got(lived: LivedMesh) -> None:
    """Per caller, service, answering version and code, over thousands of requests, to the last one."""
    truth = true_client_view(lived.truth)
    assert sum(truth.values()) > 5000
    assert told_client_view(lived.graph) == truth


def test_the_server_view_is_what_versions_received(lived: LivedMesh) -> None:
    """Per version and caller, attempts included: what the applications counted themselves."""
    assert told_server_view(lived.graph) == true_server_view(lived.truth)


def test_the_share_is_what_each_version_answered(lived: LivedMesh) -> None:
    """share = answered by this version / answered by any version of that service, for this caller."""
    answered: Counter[tuple[str, str]] = Counter()
    by_version: Counter[tuple[str, str, str | None]] = Counter()
    for (caller, service, version, _, _), count in true_client_view(lived.truth).items():
        if version is not None:
            answered[caller, service] += count
            by_version[caller, service, version] += count
    nodes = {node["id"]: node for node in lived.graph["nodes"]}
    told = {}
    for edge in lived.graph["edges"]:
        source, target = nodes[edge["source"]], nodes[edge["target"]]
        if target["kind"] == "workload":
            told[source["workload"] or source["kind"], short(target["service"]), target["version"]] = edge[
                "share"
            ]
        elif target["kind"] == "service":
            assert edge["share"] is None
    true = {key: count / answered[key[0], key[1]] for key, count in by_version.items()}
    assert told == pytest.approx(true)
    assert told["productpage-v1", "reviews", "v1"] == pytest.approx(0.8, abs=0.02)


def test_what_no_version_answered_is_explained(lived: LivedMesh) -> None:
    """Aborts, rate limits, the open circuit, ejected pods and clients that gave up: edges to the service's node,
    with their flags."""
    lost = {
        (edge_of["source"], edge_of["target"]): edge_of["edge"]
        for edge_of in named_edges(lived.graph)
        if edge_of["kind"] == "service"
    }
    aborts = [edge for (_, target), edge in lost.items() if target == "ratings"]
    assert aborts
    for edge in aborts:
        assert edge["flags"] == {"FI": edge["codes"]["503"], "RL": edge["codes"]["429"]}
        assert edge["errors"] == edge["flags"]["FI"] == edge["requests"] - edge["flags"]["RL"]
    circuit = lost["productpage-v1", "stock"]
    assert circuit["flags"] == {"UO": circuit["requests"]}
    ejected = lost["productpage-v1", "offers"]
    assert ejected["flags"] == {"UH": ejected["requests"]}
    assert ejected["codes"] == {"503": ejected["requests"]}
    gone = lost["productpage-v1", "reviews"]
    assert gone["client_gone"] == gone["requests"] == gone["codes"]["0"]
    assert gone["success_rate"] is None
    assert "DC" in gone["flags"]


def test_what_a_sidecar_refused_ends_at_its_version(lived: LivedMesh) -> None:
    """RBAC and JWT have no flag: the caller got 403 and 401 from the version, whose own proxy says why."""
    refused: Counter[tuple[str, str, str]] = Counter()
    for named in named_edges(lived.graph):
        for code in {"401", "403"} & named["edge"]["codes"].keys():
            assert named["kind"] == "workload"
            refused[named["target"], named["edge"]["protocol"], code] += named["edge"]["codes"][code]
    shut = {(e["source"], e["target"]): e["edge"] for e in named_edges(lived.graph)}["stock-v1", "mongodb-v1"]
    refused["mongodb-v1", "tcp", "-"] = shut["server"]["errors"]
    assert shut["server"]["errors"] == shut["server"]["requests"] == shut["requests"] > 0
    begin, end = lived.window["from_"].rstrip("Z"), lived.window["to"].rstrip("Z")
    told = lived.server.sql(
        "SELECT destination_workload AS workload, protocol, coalesce(status_code::text, '-') AS code, count(*) AS n"
        " FROM observations WHERE reporter = 'destination' AND signal = 'als'"
        f" AND time >= TIMESTAMP '{begin}' AND time < TIMESTAMP '{end}'"
        " AND regexp_matches(response_code_details, '^(rbac|jwt_authn)_access_denied') GROUP BY ALL"
    )
    assert Counter({(one["workload"], one["protocol"], one["code"]): one["n"] for one in told}) == refused
    assert {workload for workload, _, _ in refused} == {
        "ratings-v1",
        "ratings-v2",
        "offers-v1",
        "offers-v2",
        "mongodb-v1",
    }


def test_websockets_are_successes(lived: LivedMesh) -> None:
    """Code 101 whoever hung up first: nobody left and nothing failed."""
    talked = [e["edge"] for e in named_edges(lived.graph) if "101" in e["edge"]["codes"]]
    assert sum(edge["codes"]["101"] for edge in talked) > 0
    for edge in talked:
        assert edge["client_gone"] == 0
        assert edge["errors"] == edge["codes"].get("500", 0)


def test_retries_show_as_attempts_and_never_as_requests(lived: LivedMesh) -> None:
    """Ratings v2's 503s were retried: callers saw no 503 of theirs, servers received more than was asked."""
    ratings = [e["edge"] for e in named_edges(lived.graph) if e["target"].startswith("ratings-")]
    assert sum(edge["attempts"] or 0 for edge in ratings) > sum(edge["requests"] for edge in ratings)
    assert sum(edge["server"]["errors"] for edge in ratings) > sum(edge["errors"] for edge in ratings)


def test_mutual_tls_is_told_edge_by_edge(lived: LivedMesh) -> None:
    """Most edges are mutual TLS; the plain-text one says so."""
    mtls = {(e["source"], e["target"]): e["edge"]["mtls"] for e in named_edges(lived.graph)}
    assert mtls["productpage-v1", "details-v1"] == 1.0
    assert mtls["productpage-v1", "stock-v1"] == 0.0


def test_sql_and_graph_count_the_same(lived: LivedMesh) -> None:
    """`SELECT count(*) FROM requests` and `edges(from, to)` are the graph's own numbers."""
    begin, end = lived.window["from_"].rstrip("Z"), lived.window["to"].rstrip("Z")
    (requests,) = lived.server.sql(
        f"SELECT count(*) AS n FROM requests WHERE time >= TIMESTAMP '{begin}' AND time < TIMESTAMP '{end}'"
    )
    (edges,) = lived.server.sql(
        f"SELECT sum(requests) AS n, sum(errors) AS errors FROM edges(TIMESTAMP '{begin}', TIMESTAMP '{end}')"
    )
    told = sum(edge["requests"] for edge in lived.graph["edges"])
    assert requests["n"] == edges["n"] == told
    assert edges["errors"] == sum(edge["errors"] for edge in lived.graph["edges"])


def test_a_trace_holds_proxies_and_applications_without_orphans(lived: LivedMesh) -> None:
    """One request's waterfall: one root, proxies' and applications' spans nested by parent."""
    found = lived.server.get("/api/traces", **lived.window, service="productpage", limit=20)["traces"]
    assert found
    trace = lived.server.get(f"/api/traces/{found[-1]['trace_id']}")
    spans = trace["spans"]
    assert [span["depth"] for span in spans].count(0) == 1
    assert not any(span["warnings"] for span in spans)
    assert {span["is_proxy"] for span in spans} == {True, False}
    assert max(span["depth"] for span in spans) >= 5


@pytest.mark.parametrize("kind", ["text", "json"])
def test_imported_files_tell_the_same_as_live(lived: LivedMesh, kind: str, tmp_path: Path) -> None:
    """The Istio files of the same proxies: the same requests, errors and codes; attempts unknown, and whether a gRPC
    call failed, which these formats do not show. Imported again they add nothing."""
    files = log_files(lived, kind)
    assert len(files) == len(lived.mesh.plan.proxies)
    data = str(tmp_path / "data")
    imported = imported_graph(lived, files, data)
    assert comparable(imported) == comparable(lived.graph)
    assert {edge["attempts"] for edge in imported["edges"]} == {None}
    (grpc,) = [edge for edge in imported["edges"] if edge["protocol"] == "grpc"]
    assert (grpc["unknown"], grpc["errors"], grpc["success_rate"]) == (grpc["requests"], 0, None)
    assert imported_graph(lived, files, data) == imported


def test_half_of_a_workloads_sidecars_tell_each_request_once(lived: LivedMesh, tmp_path: Path) -> None:
    """Without the lines of one of productpage's two pods its calls are told by whom it called; without those of
    details, by who called. Each request is there once, to the last one."""
    silent = next(pod for pod in lived.mesh.plan.pods if pod.workload_name == "productpage-v1")
    files = [path for path in log_files(lived, "json") if silent.name not in str(path)]
    assert len(files) == len(lived.mesh.plan.proxies) - 1
    called: Counter[tuple[str, str]] = Counter()
    for named in named_edges(imported_graph(lived, files, str(tmp_path / "one"))):
        service = next((one for one in ("details", "reviews") if named["target"].startswith(one)), None)
        if service:
            called[named["source"], service] += named["edge"]["requests"]
    for service in ("details", "reviews"):
        rows = [row for row in lived.truth["client"] if short(row["service"]) == service]
        assert {row["caller"] for row in rows} == {"productpage-v1"}
        spoken, unspoken = called["productpage-v1", service], called["unknown", service]
        assert spoken + unspoken == sum(row["count"] for row in rows)
        assert min(spoken, unspoken) > 0
    files = [path for path in log_files(lived, "json") if "_details-" not in str(path)]
    for named in named_edges(imported_graph(lived, files, str(tmp_path / "two"))):
        if named["target"].startswith("details"):
            assert named["source"] == "productpage-v1"
            assert (
                named["edge"]["requests"]
                == called["productpage-v1", "details"] + called["unknown", "details"]
            )
            assert named["edge"]["server"]["requests"] == 0


def imported_graph(lived: LivedMesh, files: list[Path], data: str) -> dict[str, Any]:
    """The graph of the mesh's time once these files are in the folder `data`."""
    told = run_cli("import", "--data", data, *map(str, files))
    assert told.returncode == 0, told.stderr
    asked = run_cli("graph", "--data", data, "--from", lived.window["from_"], "--to", lived.window["to"])
    assert asked.returncode == 0, asked.stderr
    found: dict[str, Any] = json.loads(asked.stdout)
    return found


def named_edges(graph: dict[str, Any]) -> list[dict[str, Any]]:
    """Edges with the names of their ends: workloads, or a service's first label."""
    nodes = {node["id"]: node for node in graph["nodes"]}

    def name(node: dict[str, Any]) -> str:
        return node["workload"] or (short(node["service"]) if node["kind"] == "service" else node["kind"])

    return [
        {
            "source": name(nodes[edge["source"]]),
            "target": name(nodes[edge["target"]]),
            "kind": nodes[edge["target"]]["kind"],
            "edge": edge,
        }
        for edge in graph["edges"]
    ]


def comparable(graph: dict[str, Any]) -> Counter[tuple[str, ...]]:
    """Requests and errors per edge and code, but for what a text line cannot show.

    A caller without proxy is named live by its own spans only, and gRPC statuses are not in these lines.
    """
    tally: Counter[tuple[str, ...]] = Counter()
    for named in named_edges(graph):
        edge = named["edge"]
        source = "unknown" if named["source"] == "legacy-batch-v1" else named["source"]
        key = (source, named["target"], named["kind"], edge["protocol"])
        tally[(*key, "requests")] += edge["requests"]
        if edge["protocol"] != "grpc":
            tally[(*key, "errors")] += edge["errors"]
        for code, count in edge["codes"].items():
            tally[(*key, code)] += count
    return tally


def log_files(lived: LivedMesh, kind: str) -> list[Path]:
    """In kubelet's layout, whose paths name the pods."""
    tree = {"text": "pods", "json": "pods-json"}[kind]
    return sorted(lived.mesh.log_dir.glob(f"{tree}/*/istio-proxy/0.log"))
