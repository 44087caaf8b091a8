"""Which pod gets which name, loopback address and port.

What must stay true: two meshes on one machine never share an address. A mesh holds a bound socket on `.1` of
its /24 for as long as it lives, and takes the first /24 whose `.1` is free.
"""

from __future__ import annotations

import hashlib
import socket
import uuid
from dataclasses import dataclass

from sidelight.mesh.topology import ADMIN_PORT, OUTBOUND_PORT, Service, Topology, Workload

LOCK_PORT = 15_999
_CONSONANTS = "bcdfghjklmnpqrstvwxz2456789"


class PlanError(Exception):
    """No room for the mesh on this machine; the text says which address or port and what to do."""


@dataclass(frozen=True)
class Pod:
    """One pod: an address, an Envoy unless it has no sidecar, and an application unless it is the gateway."""

    name: str
    namespace: str
    ip: str
    app: str
    version: str | None
    workload_name: str
    account: str
    sidecar: bool
    workload: Workload | None

    @property
    def is_gateway(self) -> bool:
        return self.workload is None

    @property
    def node_id(self) -> str:
        kind = "router" if self.is_gateway else "sidecar"
        return f"{kind}~{self.ip}~{self.name}.{self.namespace}~{self.namespace}.svc.cluster.local"

    @property
    def uid(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.{self.namespace}"))


@dataclass(frozen=True)
class Plan:
    """A topology with addresses. `client_ip` is where the outside client calls from."""

    topology: Topology
    prefix: str
    gateway: Pod
    gateway_port: int
    pods: tuple[Pod, ...]

    @property
    def client_ip(self) -> str:
        first, second, _ = self.prefix.split(".")
        return f"{first}.{second}.200.1"

    @property
    def gateway_url(self) -> str:
        return f"http://{self.gateway.ip}:{self.gateway_port}{self.topology.gateway.path}"

    @property
    def proxies(self) -> list[Pod]:
        return [pod for pod in (self.gateway, *self.pods) if pod.sidecar]

    def endpoints(self, service: Service, version: str | None = None) -> list[Pod]:
        """The pods behind a service, or behind one version of it."""
        return [
            pod
            for pod in self.pods
            if pod.workload is not None
            and pod.workload.service == service.name
            and (version is None or pod.version == version)
        ]

    def service_of(self, pod: Pod) -> Service | None:
        if pod.workload is None or pod.workload.service is None:
            return None
        return self.topology.services[pod.workload.service]


def make_plan(topology: Topology, prefix: str, gateway_port: int | None = None) -> Plan:
    """Gives addresses from `.2` on: the gateway first, then every pod in the file's order.

    Without `gateway_port` the first free one is taken, from the topology's on; everything else is a pure
    function.
    """
    edge = topology.gateway
    gateway = Pod(
        name=_pod_name(edge.name, 0),
        namespace=edge.namespace,
        ip=f"{prefix}.2",
        app=edge.name,
        version=None,
        workload_name=edge.name,
        account=f"{edge.name}-service-account",
        sidecar=True,
        workload=None,
    )
    pods: list[Pod] = []
    for workload in topology.workloads.values():
        for replica in range(workload.replicas):
            pods.append(_pod(workload, replica, f"{prefix}.{len(pods) + 3}"))
    if len(pods) > 250:
        raise PlanError(
            f"{len(pods)} pods do not fit into one /24 of loopback addresses; use fewer replicas."
        )
    port = gateway_port or _free_gateway_port(gateway.ip, edge.port)
    return Plan(topology, prefix, gateway, port, tuple(pods))


def _pod(workload: Workload, replica: int, ip: str) -> Pod:
    return Pod(
        name=_pod_name(workload.name, replica),
        namespace=workload.namespace,
        ip=ip,
        app=workload.app,
        version=workload.version,
        workload_name=workload.name,
        account=workload.account,
        sidecar=workload.sidecar,
        workload=workload,
    )


def _pod_name(workload: str, replica: int) -> str:
    """A name as a Kubernetes deployment gives it: the same for the same workload and replica."""
    return f"{workload}-{_letters(workload, 9)}-{_letters(f'{workload}/{replica}', 5)}"


def _letters(seed: str, length: int) -> str:
    digest = hashlib.sha256(seed.encode()).digest()
    return "".join(_CONSONANTS[byte % len(_CONSONANTS)] for byte in digest[:length])


def claim_prefix() -> tuple[str, socket.socket]:
    """The first free loopback /24 and the socket that keeps it; close the socket to give it back."""
    for second in range(42, 100):
        prefix = f"127.{second}.0"
        lock = socket.socket()
        try:
            lock.bind((f"{prefix}.1", LOCK_PORT))
        except OSError:
            lock.close()
            continue
        return prefix, lock
    raise PlanError("No free loopback address from 127.42.0.1 to 127.99.0.1: stop a mesh that still runs.")


def check_ports(plan: Plan) -> None:
    """A program that listens on all addresses takes its port from every pod; says so before Envoy would."""
    wanted = {ADMIN_PORT, OUTBOUND_PORT}
    for service in plan.topology.services.values():
        wanted |= {service.port, service.app_port}
    for port in sorted(wanted):
        if not _is_free(plan.gateway.ip, port):
            raise PlanError(
                f"Port {port} is taken on all loopback addresses: stop what listens on 0.0.0.0:{port}."
            )


def _free_gateway_port(ip: str, first: int) -> int:
    for port in range(first, min(first + 100, 65536)):
        if _is_free(ip, port):
            return port
    raise PlanError(f"No free port for the gateway from {first} on at {ip}.")


def _is_free(ip: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
        except OSError:
            return False
    return True
