"""The shape of a mesh: services, workloads, who calls whom, and which request meets which fault.

Everything that goes wrong in the mesh is decided by the number of a request (`ends_with`) or by a workload's
own count (`every`), never by chance: two runs of the same topology meet the same faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from sidelight.mesh.reader import Reader, TopologyError
from sidelight.mesh.service_rules import ServiceRules, read_rules

__all__ = [
    "Answer",
    "Call",
    "Gateway",
    "GiveUp",
    "Service",
    "Topology",
    "TopologyError",
    "Workload",
    "default_topology",
    "load_topology",
]

ACCESS_LOGS = ("als", "otlp")
"""How sidecars send their access logs: Envoy's access log service, or OTLP log records as Istio's
``envoyOtelAls`` makes them."""
PROTOCOLS = ("http", "grpc", "tcp")
APP_PORT_OFFSET = 10_000
OUTBOUND_PORT = 15_001
ADMIN_PORT = 15_000


@dataclass(frozen=True)
class Service:
    """A Kubernetes service: a name, a port, and the rules that the Envoys around it apply."""

    name: str
    namespace: str
    port: int
    protocol: str
    mtls: bool
    split: tuple[tuple[str, int], ...]
    rules: ServiceRules
    methods: tuple[str, ...]

    @property
    def host(self) -> str:
        return f"{self.name}.{self.namespace}.svc.cluster.local"

    @property
    def app_port(self) -> int:
        """Where the application listens; its Envoy has the service's port."""
        return self.port + APP_PORT_OFFSET


@dataclass(frozen=True)
class GiveUp:
    """A caller that hangs up after this long, for these requests only."""

    after_ms: int
    ends_with: tuple[str, ...]


@dataclass(frozen=True)
class Call:
    """One call a workload makes for each request it answers; `times` at once for a burst.

    A call over `websocket` asks one question and hangs up. Where the service wants a token, all requests have
    a good one but those whose numbers end as listed.
    """

    service: str
    times: int
    websocket: bool
    ends_with: tuple[str, ...]
    without_token: tuple[str, ...]
    expired_token: tuple[str, ...]
    give_up: GiveUp | None


@dataclass(frozen=True)
class Answer:
    """How an application answers some requests: late, with an HTTP status, or with a gRPC status."""

    status: int | None
    grpc_status: int | None
    delay_ms: int
    every: int | None
    ends_with: tuple[str, ...]
    method: str | None


@dataclass(frozen=True)
class Workload:
    """A deployment: one version of a service's application, or a caller that serves nothing."""

    name: str
    namespace: str
    service: str | None
    version: str
    app: str
    replicas: int
    account: str
    sidecar: bool
    starts_every: int | None
    calls: tuple[Call, ...]
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Gateway:
    """The ingress gateway: an Envoy of type router that hands everything to one service."""

    name: str
    namespace: str
    service: str
    host: str
    path: str
    port: int


@dataclass(frozen=True)
class Topology:
    """A whole mesh; its parts refer to each other by name and all names resolve.

    `document` is what it was read from: plain mappings that can be handed to another process.
    """

    name: str
    cluster: str
    mesh_id: str
    trust_domain: str
    access_logs: str
    gateway: Gateway
    services: dict[str, Service]
    workloads: dict[str, Workload]
    document: dict[str, Any] = field(repr=False, compare=False)

    def backing(self, service: str) -> list[Workload]:
        """The workloads behind a service, in the file's order."""
        return [workload for workload in self.workloads.values() if workload.service == service]

    def called_by(self, workload: Workload) -> list[Service]:
        """The services a workload calls, each once."""
        return [self.services[name] for name in dict.fromkeys(call.service for call in workload.calls)]


def default_topology() -> Path:
    """The bookinfo shape that `sidelight demo` runs."""
    return Path(__file__).parent / "topologies" / "bookinfo.yaml"


def load_topology(path: Path | None = None) -> Topology:
    """Reads and checks a topology file (None: the default); a TopologyError says in a sentence what is wrong
    and where."""
    path = path or default_topology()
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TopologyError(f"{path}: cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TopologyError(f"{path}: is not YAML: {' '.join(str(error).split())}.") from error
    return parse_topology(document, path.name)


def parse_topology(document: Any, where: str = "topology") -> Topology:
    """Builds a Topology from what YAML gave; `where` begins every complaint."""
    top = Reader(document, where)
    services = {name: part.read(partial(_service, name)) for name, part in top.parts("services")}
    workloads = {name: part.read(partial(_workload, name)) for name, part in top.parts("workloads")}
    topology = Topology(
        name=top.name("name"),
        cluster=top.text("cluster", "Kubernetes"),
        mesh_id=top.text("mesh_id", "cluster.local"),
        trust_domain=top.text("trust_domain", "cluster.local"),
        access_logs=top.one_of("access_logs", ACCESS_LOGS, "als"),
        gateway=top.part("gateway").read(_gateway),
        services=services,
        workloads=workloads,
        document=document,
    )
    top.nothing_else()
    for complaint in _contradictions(topology):
        raise TopologyError(f"{where}: {complaint}")
    return topology


def _gateway(part: Reader) -> Gateway:
    return Gateway(
        name=part.name("name", "istio-ingressgateway"),
        namespace=part.name("namespace", "istio-system"),
        service=part.name("service"),
        host=part.text("host", "*"),
        path=part.text("path", "/"),
        port=part.whole("port", 1024, 65535, 8080),
    )


def _service(name: str, part: Reader) -> Service:
    return Service(
        name=name,
        namespace=part.name("namespace", "default"),
        port=part.whole("port", 1024, 65535 - APP_PORT_OFFSET),
        protocol=part.one_of("protocol", PROTOCOLS, "http"),
        mtls=part.flag("mtls", True),
        split=part.weights("split"),
        rules=read_rules(part),
        methods=part.names("methods"),
    )


def _workload(name: str, part: Reader) -> Workload:
    service = part.optional_name("service")
    return Workload(
        name=name,
        namespace=part.name("namespace", "default"),
        service=service,
        version=part.name("version", "v1"),
        app=part.name("app", service or name),
        replicas=part.whole("replicas", 1, 20, 1),
        account=part.name("service_account", service or name),
        sidecar=part.flag("sidecar", True),
        starts_every=part.optional_whole("starts_every", 1, 1_000_000),
        calls=part.each("calls", _call),
        answers=part.each("answers", _answer),
    )


def _call(part: Reader) -> Call:
    return Call(
        service=part.name("service"),
        times=part.whole("times", 1, 100, 1),
        websocket=part.flag("websocket", False),
        ends_with=part.endings("ends_with"),
        without_token=part.endings("without_token"),
        expired_token=part.endings("expired_token"),
        give_up=part.optional("give_up", _give_up),
    )


def _give_up(part: Reader) -> GiveUp:
    return GiveUp(part.whole("after_ms", 10, 60_000), part.endings("ends_with"))


def _answer(part: Reader) -> Answer:
    answer = Answer(
        status=part.optional_whole("status", 400, 599),
        grpc_status=part.optional_whole("grpc_status", 1, 16),
        delay_ms=part.whole("delay_ms", 0, 60_000, 0),
        every=part.optional_whole("every", 1, 1_000_000),
        ends_with=part.endings("ends_with"),
        method=part.optional_name("method"),
    )
    if answer.status is None and answer.grpc_status is None and not answer.delay_ms:
        part.complain("needs `status`, `grpc_status` or `delay_ms`")
    return answer


def _contradictions(topology: Topology) -> Iterator[str]:
    """What is wrong between the parts, as sentences; the first one is reported."""
    if topology.gateway.service not in topology.services:
        yield f"gateway.service: there is no service `{topology.gateway.service}`."
    elif topology.services[topology.gateway.service].protocol != "http":
        yield "gateway.service: the gateway needs a service with protocol http."
    for service in topology.services.values():
        yield from _service_contradictions(topology, service)
    for workload in topology.workloads.values():
        yield from _workload_contradictions(topology, workload)


def _service_contradictions(topology: Topology, service: Service) -> Iterator[str]:
    where = f"services.{service.name}"
    backing = topology.backing(service.name)
    if not backing:
        yield f"{where}: no workload has `service: {service.name}`."
    for workload in backing:
        if workload.namespace != service.namespace:
            place = f"is in namespace {workload.namespace}, its service in {service.namespace}"
            yield f"workloads.{workload.name}: {place}."
    versions = {workload.version for workload in backing}
    accounts = {workload.account for workload in topology.workloads.values()}
    for version, _ in service.split:
        if version not in versions:
            yield f"{where}.split: no workload of {service.name} has version {version}."
    if service.port in (OUTBOUND_PORT, ADMIN_PORT):
        yield f"{where}.port: {service.port} is the sidecar's own."
    if service.protocol == "tcp":
        for rule in ["split"] * bool(service.split) + service.rules.of_requests():
            yield f"{where}.{rule}: needs protocol http or grpc."
    if service.protocol == "tcp" and service.rules.denials and len(versions) > 1:
        yield f"{where}.denials: with protocol tcp only one version can be told to have refused."
    for denial in service.rules.denials:
        if denial.account and not service.mtls:
            yield f"{where}.denials: without mtls nobody shows the account {denial.account}."
        if denial.account and denial.account not in accounts:
            yield f"{where}.denials: no workload has the service account {denial.account}."
    if service.rules.jwt and topology.gateway.service == service.name:
        yield f"{where}.jwt: the gateway's client has no token."
    if bool(service.methods) != (service.protocol == "grpc"):
        yield f"{where}.methods: a gRPC service lists its methods, another has none."


def _workload_contradictions(topology: Topology, workload: Workload) -> Iterator[str]:
    where = f"workloads.{workload.name}"
    if workload.service is not None and workload.service not in topology.services:
        yield f"{where}.service: there is no service `{workload.service}`."
        return
    own = topology.services[workload.service] if workload.service else None
    if own is None and workload.starts_every is None:
        yield f"{where}: serves nothing, so it needs `starts_every` to ever call anyone."
    if own is not None and workload.starts_every is not None:
        yield f"{where}.starts_every: only a workload without a service starts calls by itself."
    if own is not None and not workload.sidecar:
        yield f"{where}.sidecar: a workload that serves `{own.name}` needs its sidecar."
    if own is None and workload.answers:
        yield f"{where}.answers: serves nothing, so it answers nothing."
    for answer in workload.answers:
        if own is not None and answer.status and own.protocol != "http":
            yield f"{where}.answers: `status` needs protocol http; {own.name} speaks {own.protocol}."
        if own is not None and answer.grpc_status and own.protocol != "grpc":
            yield f"{where}.answers: `grpc_status` needs protocol grpc; {own.name} speaks {own.protocol}."
        if own is not None and answer.method is not None and answer.method not in own.methods:
            yield f"{where}.answers: {own.name} has no method {answer.method}."
    for call in workload.calls:
        called = topology.services.get(call.service)
        if called is None:
            yield f"{where}.calls: there is no service `{call.service}`."
        elif called.protocol == "tcp" and own is not None and called.port == own.port:
            yield f"{where}.calls: {called.name} and {own.name} both need port {own.port} in one pod."
        elif (call.give_up or call.websocket) and called.protocol != "http":
            yield f"{where}.calls: give_up and websocket need a service with protocol http."
        elif call.websocket and call.give_up:
            yield f"{where}.calls: nobody gives up a websocket."
        elif (call.without_token or call.expired_token) and not called.rules.jwt:
            yield f"{where}.calls: {called.name} wants no token (`jwt: true`)."
        elif not workload.sidecar and called.protocol != "http":
            yield f"{where}.calls: a workload without sidecar can only call http services."
    yield from _circles(topology, workload)


def _circles(topology: Topology, start: Workload) -> Iterator[str]:
    """A mesh whose calls come back to their start would never stop answering itself."""
    seen, waiting = set(), [call.service for call in start.calls]
    while waiting:
        service = waiting.pop()
        if service == start.service:
            yield f"workloads.{start.name}.calls: leads back to {service} itself."
            return
        if service not in seen:
            seen.add(service)
            waiting += [call.service for each in topology.backing(service) for call in each.calls]
