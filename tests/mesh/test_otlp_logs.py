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
from tests.running_server import Server, run_cli

pytestmark = pytest.mark.mesh

REQUESTS = 200
REFUSALS = Path(__file__).parents[2] / "fixtures" / "mesh" / "refusals.yaml"


def test_access_logs_by_otlp_tell_what_callers_got(server: Server, tmp_path: Path) -> None:
    """Istio's default line in an empty resource: client and server view are the applications' own counts,
    refusals, timeouts and all, no record is left among the logs, and the names come from the spans of the same
    addresses (so that a database, which has none, stays nameless). The files of the same proxies add nothing."""
    topology = parse_topology(yaml.safe_load(REFUSALS.read_text()) | {"access_logs": "otlp"})
    began = datetime.now(UTC)
    with Mesh(topology, grpc_target=server.grpc, work_dir=tmp_path / "mesh") as mesh:
        mesh.start()
        assert mesh.drive(REQUESTS, 20) == REQUESTS
        mesh.settle()
        truth = mesh.truth()
        wait_until_counted(server)
        files = sorted(mesh.log_dir.glob("pods/*/istio-proxy/0.log"))
    assert truth["unexpected"] == []
    window = {"from_": began.isoformat(), "to": datetime.now(UTC).isoformat()}
    graph = server.get("/api/graph", **window)
    assert named(told_client_view(graph)) == named(true_client_view(truth))
    assert named(told_server_view(graph)) == named(true_server_view(truth))
    assert {edge["counted_from"] for edge in graph["edges"]} == {"access_log"}
    late = [edge for edge in graph["edges"] if "UT" in edge["flags"]]
    assert [edge["codes"] for edge in late] == [{"504": REQUESTS // 10}]
    (counted,) = server.sql(
        "SELECT (SELECT count(*) FROM logs WHERE body LIKE '[20%') AS lines, "
        "(SELECT count(*) FROM observations WHERE signal = 'otlp_log') AS requests"
    )
    assert counted["lines"] == 0
    assert counted["requests"] >= 2 * REQUESTS
    told = run_cli("import", "--data", str(server.data), *map(str, files))
    assert told.returncode == 0, told.stderr
    wait_until_counted(server)
    together = server.get("/api/graph", **window)
    assert named(told_client_view(together)) == named(true_client_view(truth))
    assert named(told_server_view(together)) == named(true_server_view(truth))
    (both,) = server.sql("SELECT count(*) AS files FROM observations WHERE signal = 'file'")
    assert both["files"] >= counted["requests"]


def named(tally: Counter[Any]) -> Counter[Any]:
    """Without the database's connections."""
    return Counter({key: count for key, count in tally.items() if "tcp" not in key})
