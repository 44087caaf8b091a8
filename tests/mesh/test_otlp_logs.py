"""Real Envoys whose access logs come as OTLP log records that name nobody: the same truth."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidelight.mesh import Mesh
from sidelight.mesh.topology import parse_topology
from tests.mesh.conftest import wait_until_counted
from tests.mesh.tallies import told_client_view, told_server_view, true_client_view, true_server_view
from tests.running_server import Server

pytestmark = pytest.mark.mesh

REQUESTS = 200
REFUSALS = Path(__file__).parents[2] / "fixtures" / "mesh" / "refusals.yaml"


def test_access_logs_by_otlp_tell_what_callers_got(server: Server, tmp_path: Path) -> None:
    """Istio's default line in an empty resource: client and server view are the applications' own counts,
    refusals and all, no record is left among the logs, and the names come from the spans of the same addresses
    (so that a database, which has none, stays nameless)."""
    topology = parse_topology(yaml.safe_load(REFUSALS.read_text()) | {"access_logs": "otlp"})
    began = datetime.now(UTC)
    with Mesh(topology, grpc_target=server.grpc, work_dir=tmp_path / "mesh") as mesh:
        mesh.start()
        assert mesh.drive(REQUESTS, 20) == REQUESTS
        mesh.settle()
        truth = mesh.truth()
        wait_until_counted(server)
    assert truth["unexpected"] == []
    window = {"from_": began.isoformat(), "to": datetime.now(UTC).isoformat()}
    graph = server.get("/api/graph", **window)
    assert named(told_client_view(graph)) == named(true_client_view(truth))
    assert named(told_server_view(graph)) == named(true_server_view(truth))
    assert {edge["counted_from"] for edge in graph["edges"]} == {"access_log"}
    (counted,) = server.sql(
        "SELECT (SELECT count(*) FROM logs WHERE body LIKE '[20%') AS lines, "
        "(SELECT count(*) FROM observations WHERE signal = 'otlp_log') AS requests"
    )
    assert counted["lines"] == 0
    assert counted["requests"] >= 2 * REQUESTS


def named(tally: Counter[Any]) -> Counter[Any]:
    """Without the database's connections."""
    return Counter({key: count for key, count in tally.items() if "tcp" not in key})
