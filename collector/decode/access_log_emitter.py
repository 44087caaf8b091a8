"""Whose log a file is: the pod from its path, and from its lines address, kind of proxy and service.

A line does not say who wrote it. The path names the pod; an outbound line's ``upstream_local_address`` and
an inbound line's ``downstream_local_address`` are the pod's own; Istio's SNI on an inbound line names the
service, and the subset the caller meant. What must stay true: what is only a habit of naming (hash suffixes,
``-v1``) is used where nothing better is shown, and a loopback address teaches nobody's name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath

import pyarrow as pa
import pyarrow.compute as pc

from collector.decode.access_log_values import by_value, plain, whole
from store.schema import IDENTITIES

_NAME = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_KUBELET = re.compile(rf"(?:^|/)(?P<ns>{_NAME})_(?P<pod>[a-z0-9][-.a-z0-9]*)_[0-9a-f-]{{8,}}/[^/]+/[^/]+$")
_CONTAINERS = re.compile(
    rf"(?:^|/)(?P<pod>[a-z0-9][-.a-z0-9]*)_(?P<ns>{_NAME})_[-a-z0-9]+-[0-9a-f]{{64}}\.log"
)
_FILE = re.compile(r"^(?P<body>.+?)\.(?:istio|envoy|access)\.(?:log|json|jsonl|txt)(?:\.\d+)?(?:\.gz)?$")
_NS_POD = re.compile(rf"^(?P<ns>{_NAME})_(?P<pod>[a-z0-9][-.a-z0-9]*)$")
_POD_NS = re.compile(rf"^(?P<pod>[a-z0-9][-.a-z0-9]*)\.(?P<ns>{_NAME})$")
_POD = re.compile(rf"^(?P<pod>{_NAME})$")

# Kubernetes draws name suffixes from this alphabet; some tools write hexadecimal instead.
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIXES = (
    re.compile(rf"^(.+)-[{_SAFE}]{{5,10}}-[{_SAFE}]{{5}}$"),  # Deployment
    re.compile(r"^(.+)-(?=[a-z]*\d)[a-z0-9]{6,10}-[a-z0-9]{5}$"),
    re.compile(r"^(.+)-\d+$"),  # StatefulSet
    re.compile(rf"^(.+)-(?=[a-z]*\d)[{_SAFE}]{{5}}$"),  # DaemonSet, ReplicaSet
)
_VERSIONED = re.compile(r"^(.+)-(v\d+(?:[.-]\d+)*)$")
SNI = r"^outbound_\.(?P<port>\d+)_\.(?P<subset>[^_]*|_)_\.(?P<host>.+)$"
_OLD_INBOUND = r"^inbound\|\d+\|[^|]*\|(?P<host>[^|]+)$"
_OWN_NAME = r"^outbound\|\d*\|[^|]*\|(?P<service>[^.|]+)\.(?P<ns>[^.|]+)\.svc\."
_LOOPBACK = ("127.0.0.1", "127.0.0.6", "::1", "::6", "[::1]", "[::6]", "0.0.0.0", "[::]", "")  # noqa: S104
_ADDRESSES_MAX = 4
_ADDRESS_SHARE_MIN = 0.01
_DISTINCT_MAX = 1000


@dataclass(frozen=True)
class Pod:
    """Who the command line or the path says wrote the file."""

    pod: str
    namespace: str | None


def pod_of_option(text: str) -> Pod | None:
    """``NS/POD`` as given to --emitter; None if it is not of that form."""
    namespace, _, pod = text.strip().partition("/")
    return Pod(pod, namespace) if namespace and pod and "/" not in pod else None


def pod_of_path(path: str) -> Pod | None:
    """The pod a path names: kubelet's folders, POD.istio.log, POD.NS.istio.log, NS_POD.istio.log."""
    text = PurePath(path).as_posix()
    found = _KUBELET.search(text) or _CONTAINERS.search(text)
    if found is None:
        body = _FILE.match(PurePath(path).name)
        if body is None:
            return None
        found = next((hit for form in (_NS_POD, _POD, _POD_NS) if (hit := form.match(body["body"]))), None)
    return Pod(found["pod"], found.groupdict().get("ns")) if found else None


def workload_of(pod: str) -> str:
    """The pod's name without the suffixes its owner gave it (a habit of naming, not a fact)."""
    for suffix in _SUFFIXES:
        if found := suffix.match(pod):
            return found[1]
    return pod


def version_of(workload: str) -> tuple[str, str | None]:
    """(app, version): ``reviews-v2`` → ('reviews', 'v2')."""
    found = _VERSIONED.match(workload)
    return (found[1], found[2]) if found else (workload, None)


@dataclass
class Emitter:
    """What is known of one file's writer so far; it learns from each chunk before its rows are built."""

    pod: Pod | None
    namespace: str | None = None
    fixed_name: str | None = None  # the name is the same in all rows of a file: the first chunk decides
    _own: Counter[str] = field(default_factory=Counter)
    _direct: Counter[str] = field(default_factory=Counter)  # direct peers of outbound rows
    _listeners: Counter[str] = field(default_factory=Counter)  # local side of outbound rows
    _services: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    _inbound_rows: int = 0
    _waypoint_rows: int = 0
    _outbound_rows: int = 0

    def __post_init__(self) -> None:
        if self.pod is not None:
            self.namespace = self.pod.namespace
            if self.namespace is None and (self.fixed_name or "").startswith(f"{self.pod.pod}."):
                self.namespace = (self.fixed_name or "").removeprefix(f"{self.pod.pod}.")

    @property
    def name(self) -> str | None:
        """``POD.NAMESPACE``, as in the node id; only the pod where no namespace was known at first."""
        if self.pod is None or self.fixed_name is not None:
            return self.fixed_name
        return f"{self.pod.pod}.{self.namespace}" if self.namespace else self.pod.pod

    @property
    def signal(self) -> str:
        return "file"

    def names(self, columns: dict[str, pa.Array]) -> pa.Array:
        """The one name, for each row."""
        return pa.repeat(pa.scalar(self.name, pa.string()), len(columns["line"]))

    def learn(self, fields: pa.Table) -> None:
        cluster = _text(fields["cluster"])
        inbound, waypoint = _is(by_value(is_inbound, cluster)), _is(by_value(is_waypoint, cluster))
        outbound = pc.and_(cluster.is_valid(), pc.invert(pc.or_(inbound, waypoint)))
        self._inbound_rows += _sum(inbound)
        self._waypoint_rows += _sum(waypoint)
        self._outbound_rows += _sum(outbound)
        remote = _text(fields["downstream_remote"])
        direct = pc.and_(outbound, pc.invert(_is(by_value(is_forwarded, remote))))
        _add(self._own, _text(fields["upstream_local"]).filter(outbound))
        _add(self._own, _text(fields["downstream_local"]).filter(inbound))
        _add(self._direct, remote.filter(direct))
        _add(self._listeners, _text(fields["downstream_local"]).filter(outbound))
        self._learn_services(cluster.filter(inbound), _text(fields["sni"]).filter(inbound))
        if self.pod is not None and self.namespace is None and fields.num_rows:
            authority = _text(fields["authority"]).filter(outbound)
            self.namespace = self._service_namespace() or _namespace_shown(
                cluster.filter(outbound), authority
            )
        if fields.num_rows:
            self.fixed_name = self.name

    @property
    def node_type(self) -> str | None:
        """'sidecar' | 'router' | 'waypoint', or None while nothing tells."""
        if self._waypoint_rows:
            return "waypoint"
        if self._inbound_rows:
            return "sidecar"
        own = self._main_address()
        if self._outbound_rows and own:
            # A sidecar's callers are its own pod; a gateway's are strangers, and its listener is its pod's.
            foreign = sum(count for ip, count in self._direct.items() if ip != own)
            if foreign != self._direct[own]:
                return "router" if foreign > self._direct[own] else "sidecar"
            return "router" if self._listeners[own] * 2 > self._listeners.total() else "sidecar"
        return "router" if self.pod and "gateway" in self.pod.pod else None

    def reporters(self, columns: dict[str, pa.Array]) -> pa.Array:
        """'source' | 'destination' | 'gateway' | 'waypoint' for each row."""
        cluster = columns["cluster"]
        mine = {"router": "gateway", "waypoint": "waypoint"}.get(self.node_type or "")
        no_cluster = mine if mine or not cluster.null_count else self._without_cluster(columns)
        named = pc.if_else(_is(by_value(is_inbound, cluster)), "destination", mine or "source")
        named = pc.if_else(_is(by_value(is_waypoint, cluster)), "waypoint", named)
        return pc.if_else(cluster.is_null(), no_cluster or "source", named)

    def _without_cluster(self, columns: dict[str, pa.Array]) -> pa.Array:
        """No route, early errors, formats without cluster: the caller's side if its own pod is the peer."""
        own = pa.array(self.addresses(loopback=True), pa.string())
        remote, local = (by_value(ip_of, columns[f"downstream_{end}"]) for end in ("remote", "local"))
        from_self = pc.is_in(remote, own)
        if self._inbound_rows:  # where all addresses are one (tests on loopback) nothing else tells
            from_self = pc.and_(from_self, pc.invert(pc.is_in(local, own)))
        return pc.if_else(pc.or_(from_self, remote.is_null()), "source", "destination")

    def addresses(self, loopback: bool = False) -> list[str]:
        """The emitter's own IPs, most seen first."""
        total = self._own.total()
        seen = [
            ip for ip, count in self._own.most_common(_ADDRESSES_MAX) if count >= total * _ADDRESS_SHARE_MIN
        ]
        return [ip for ip in seen if ip and (loopback or ip not in _LOOPBACK)]

    def identities(self, time: pa.Scalar) -> pa.Table:
        """What the lines teach: one row per own address (one without address if none is known)."""
        if self.pod is None and not (self._service()[0] and len(self.addresses()) == 1):
            return IDENTITIES.empty_table()  # perhaps the logs of several pods in one file
        row = self._description() | {"export": 0, "time": time.as_py(), "emitter": self.name}
        rows = [row | {"address": address.strip("[]")} for address in self.addresses()] or [row]
        return pa.Table.from_pylist(rows, schema=IDENTITIES)

    def _description(self) -> dict[str, str | None]:
        router = self.node_type in ("router", "waypoint")
        service, subset = (None, None) if router else self._service()
        workload = workload_of(self.pod.pod) if self.pod else None
        app, version = version_of(workload) if workload else (None, None)
        first_label = service.split(".")[0] if service else None
        return {
            "evidence": "sni" if service else "file",
            "node_type": self.node_type,
            "namespace": self.namespace,
            "pod": self.pod.pod if self.pod else None,
            "workload": workload,
            "app": first_label or app,
            "version": subset or version,
            "service": service,
        }

    def _service(self) -> tuple[str | None, str | None]:
        """(host, subset) as callers named it; a subset only if all who named one named the same."""
        if not self._services:
            return None, None
        host = self._services.most_common(1)[0][0][0]
        subsets = {subset for one, subset in self._services if one == host and subset}
        return host, subsets.pop() if len(subsets) == 1 else None

    def _learn_services(self, clusters: pa.Array, names: pa.Array) -> None:
        for text, count in _value_counts(names):
            if found := re.match(SNI, text):
                subset = found["subset"] if found["subset"] not in ("", "_", "latest", "unknown") else None
                self._services[found["host"], subset] += count
        for text, count in _value_counts(clusters):
            if found := re.match(_OLD_INBOUND, text.rstrip(";")):
                self._services[found["host"], None] += count

    def _service_namespace(self) -> str | None:
        """A service selects pods of its own namespace only."""
        labels = (self._service()[0] or "").split(".")
        return labels[1] if len(labels) > 2 and labels[2] == "svc" else None

    def _main_address(self) -> str | None:
        known = [ip for ip, _ in self._own.most_common() if ip]
        return known[0] if known else None


def is_inbound(clusters: pa.Array) -> pa.Array:
    """Of the callee's side: ``inbound|PORT||``, InboundPassthroughCluster."""
    return pc.or_(pc.starts_with(clusters, "inbound|"), pc.starts_with(clusters, "InboundPassthroughCluster"))


def is_waypoint(clusters: pa.Array) -> pa.Array:
    return pc.starts_with(clusters, "inbound-vip|")


def is_forwarded(remotes: pa.Array) -> pa.Array:
    """``IP:0``: the address is of X-Forwarded-For, not of the connection."""
    return pc.ends_with(remotes, ":0")


def ip_of(addresses: pa.Array) -> pa.Array:
    """``10.0.0.1:80`` → ``10.0.0.1``, ``[::1]:80`` → ``[::1]``."""
    return pc.replace_substring_regex(addresses, r":\d+$", "")


def _namespace_shown(clusters: pa.Array, authorities: pa.Array) -> str | None:
    """A bare host name is looked up in the caller's own namespace: ``reviews`` that was routed to
    ``reviews.default.svc...`` was called from ``default``."""
    pairs = pa.table({"cluster": clusters, "authority": authorities}).group_by(["cluster", "authority"])
    shown: set[str] = set()
    for pair in pairs.aggregate([([], "count_all")]).slice(0, _DISTINCT_MAX).to_pylist():
        found = re.match(_OWN_NAME, pair["cluster"] or "")
        if found and (pair["authority"] or "").partition(":")[0] == found["service"]:
            shown.add(found["ns"])
    return shown.pop() if len(shown) == 1 else None


def _add(seen: Counter[str], addresses: pa.Array) -> None:
    seen.update(dict(_value_counts(addresses, ip_of)))
    if len(seen) > 4 * _DISTINCT_MAX:  # a gateway's callers are many
        kept = seen.most_common(_DISTINCT_MAX)
        seen.clear()
        seen.update(dict(kept))


def _value_counts(
    values: pa.Array, brought_to: Callable[[pa.Array], pa.Array] | None = None
) -> list[tuple[str, int]]:
    """How often each value occurs, the most frequent first; ``brought_to`` what several have in common."""
    counted = pc.value_counts(values.drop_null())
    found, counts = plain(counted.field("values")), counted.field("counts")
    if brought_to is not None:
        same = pa.table({"value": brought_to(found), "count": counts}).group_by("value", use_threads=False)
        found, counts = map(whole, same.aggregate([("count", "sum")]).columns)
    order = pc.array_sort_indices(counts, order="descending")[:_DISTINCT_MAX]
    return list(zip(found.take(order).to_pylist(), counts.take(order).to_pylist(), strict=True))


def _is(values: pa.Array) -> pa.Array:
    return pc.fill_null(values, False)


def _sum(values: pa.Array) -> int:
    return pc.sum(values).as_py() or 0


def _text(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    array = whole(values)
    is_text = pa.types.is_string(array.type) or pa.types.is_dictionary(array.type)
    return array if is_text else array.cast(pa.string())
