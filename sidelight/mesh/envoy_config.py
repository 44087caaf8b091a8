"""One Envoy's whole configuration: who it is, its listeners and clusters, and its admin address.

The node's id and metadata are what Istio writes: they are all that Sidelight learns about a pod.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sidelight.mesh.clusters import clusters_of, pod_bind
from sidelight.mesh.listeners import listeners_of
from sidelight.mesh.plan import Plan, Pod
from sidelight.mesh.topology import ADMIN_PORT

SPAN_FLUSH_MS = 500


def envoy_config(plan: Plan, pod: Pod, certificates: Path, log_dir: Path, collector: str) -> dict[str, Any]:
    """The bootstrap of a pod's Envoy, ready for json.dump; `collector` is HOST:PORT of the gRPC intake."""
    return {
        "node": _node(plan, pod),
        "admin": {"address": {"socket_address": {"address": pod.ip, "port_value": ADMIN_PORT}}},
        "cluster_manager": {"upstream_bind_config": pod_bind(pod)},
        "layered_runtime": {
            "layers": [
                {"name": "mesh", "static_layer": {"tracing.opentelemetry.flush_interval_ms": SPAN_FLUSH_MS}}
            ]
        },
        "static_resources": {
            "listeners": listeners_of(plan, pod, certificates, log_dir),
            "clusters": clusters_of(plan, pod, certificates, collector),
        },
    }


def _node(plan: Plan, pod: Pod) -> dict[str, Any]:
    labels = {
        "app": pod.app,
        "pod-template-hash": pod.name.rsplit("-", 2)[1],
        "security.istio.io/tlsMode": "istio",
        "service.istio.io/canonical-name": pod.app,
        "service.istio.io/canonical-revision": pod.version or "latest",
    }
    if pod.version:
        labels["version"] = pod.version
    owner = f"kubernetes://apis/apps/v1/namespaces/{pod.namespace}/deployments/{pod.workload_name}"
    return {
        "id": pod.node_id,
        "cluster": f"{pod.app}.{pod.namespace}",
        "locality": {"region": "region-1", "zone": "zone-a"},
        "metadata": {
            "CLUSTER_ID": plan.topology.cluster,
            "INSTANCE_IPS": pod.ip,
            "ISTIO_VERSION": "1.30.0",
            "LABELS": labels,
            "MESH_ID": plan.topology.mesh_id,
            "NAME": pod.name,
            "NAMESPACE": pod.namespace,
            "NODE_NAME": "node-1",
            "OWNER": owner,
            "SERVICE_ACCOUNT": pod.account,
            "WORKLOAD_NAME": pod.workload_name,
        },
    }
