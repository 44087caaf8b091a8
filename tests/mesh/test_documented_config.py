"""The Envoy and Istio configuration of docs/inputs.md, given to real Envoys as it stands there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidelight.mesh import Mesh, runner
from sidelight.mesh.access_logs import COLLECTOR_CLUSTER
from sidelight.mesh.envoy_config import envoy_config
from sidelight.mesh.topology import parse_topology
from tests.running_server import Server, wait_for

pytestmark = pytest.mark.mesh

ROOT = Path(__file__).parents[2]
PAIR = yaml.safe_load((ROOT / "fixtures" / "mesh" / "pair.yaml").read_text())
BLOCKS = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "inputs.md").read_text(), re.DOTALL)
REQUESTS = 60
LOGGED = "observations WHERE signal = 'otlp_log'"
SPIFFE = "spiffe://cluster.local/ns"


def documented(key: str) -> Any:
    """What stands under ``key`` in the one YAML block that begins with it."""
    (found,) = [block for block in map(yaml.safe_load, BLOCKS) if key in block]
    return found[key]


def otlp_loggers(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if node.get("name") == "envoy.access_loggers.open_telemetry":
            yield node["typed_config"]
        node = list(node.values())
    if isinstance(node, list):
        for one in node:
            yield from otlp_loggers(one)


def test_real_envoys_take_the_documented_configuration(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recommended labels, as istiod hands them on, fill their columns; the gateway sends Envoy's built-in labels
    instead; and the statistics of the sink are those of the proxy that its environment names."""
    (provider,) = documented("extensionProviders")
    labels = provider["envoyOtelAls"]["logFormat"]["labels"]
    pairs = [{"key": name, "value": {"string_value": operator}} for name, operator in labels.items()]

    def as_documented(plan: Any, pod: Any, *rest: Any) -> dict[str, Any]:
        config = envoy_config(plan, pod, *rest)
        for logger in otlp_loggers(config):
            if pod.is_gateway:
                logger["disable_builtin_labels"] = False
            else:
                logger["attributes"] = {"values": pairs}
        clusters = config["static_resources"]["clusters"]
        (collector,) = [one for one in clusters if one["name"] == COLLECTOR_CLUSTER]
        clusters.append(deepcopy(collector) | {"name": "sidelight"})
        return config | {"stats_sinks": documented("stats_sinks"), "stats_flush_interval": "1s"}

    monkeypatch.setattr(runner, "envoy_config", as_documented)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=pod-0,k8s.namespace.name=store")
    topology = PAIR | {"access_logs": "otlp"}
    with Mesh(parse_topology(topology), grpc_target=server.grpc, work_dir=tmp_path / "mesh") as mesh:
        mesh.start()
        assert mesh.drive(REQUESTS, 20) == REQUESTS
        mesh.settle()
        assert mesh.truth()["unexpected"] == []
        wait_for(
            lambda: len(server.sql(f"FROM {LOGGED}")) >= 4 * REQUESTS, 120, "every proxy's row has arrived"
        )
    outbound, inbound, gateway = (
        server.sql(f"FROM {LOGGED} AND reporter = '{reporter}'")
        for reporter in ("source", "destination", "gateway")
    )
    principals = {
        "source_principal": f"{SPIFFE}/store/sa/shop",
        "destination_principal": f"{SPIFFE}/store/sa/backend",
    }
    for row in outbound:
        assert row["emitter"].startswith("shop-v1-")
        assert row["destination_principal"] == principals["destination_principal"]
        assert (row["attempts"], row["destination_service"]) == (1, "backend.store.svc.cluster.local")
        assert row["attributes"].keys() == {"upstream_service_time"}
    called = [row for row in inbound if row["emitter"].startswith("backend-")]
    assert len(outbound) == len(called) == len(gateway) == REQUESTS
    for row in called:
        assert {name: row[name] for name in principals} == principals
        assert (row["tls"], row["attributes"].keys()) == ("mutual", {"upstream_service_time"})
    assert any(row["duration_us"] % 1000 for row in outbound)
    # Behind the gateway the shop's peer is the gateway: the direct address, not the one of X-Forwarded-For.
    (peers,) = {(row["source_workload"], bool(row["forwarded_for"])) for row in inbound if row not in called}
    assert peers == ("istio-ingressgateway", True)
    assert {row["attributes"]["resource.log_name"] for row in gateway} == {"otel_envoy_accesslog"}
    accounts = server.sql(
        "SELECT DISTINCT app, service_account, zone FROM workloads WHERE service_account IS NOT NULL"
    )
    assert {(row["app"], row["service_account"], row["zone"]) for row in accounts} == {
        ("shop", "shop", "zone-a"),
        ("backend", "backend", "zone-a"),
    }
    (sink,) = server.sql(
        "SELECT count(*) AS points FROM metric_points WHERE resource['k8s.pod.name'] = 'pod-0'"
    )
    assert sink["points"] > 100
