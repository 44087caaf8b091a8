"""The only home of attribute keys, and of what proxies' names mean.

Which attribute becomes which column (Envoy's names, OpenTelemetry's old and new ones), how an Istio
node id splits, which version values mean "none", which workload a pod name belongs to. What must
stay true: everything here works on whole columns; a heuristic only fills what nobody said.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode.attributes import AttributeTable, KnownKeys, Parsed
from collector.decode.text import integers
from store.schema import IDENTITIES

TEXT = pa.string()
_NULL = pa.scalar(None, TEXT)

# Column of `spans` → attribute keys, the first present wins; the others stay in the map.
SPAN_TEXT: dict[str, tuple[str, ...]] = {
    "method": ("http.method", "http.request.method"),
    "url": ("http.url", "url.full", "http.target", "url.path"),
    "upstream_address": ("upstream_address",),
    "peer_address": ("peer.address", "network.peer.address", "net.sock.peer.addr"),
    "request_id": ("guid:x-request-id",),
    "user_agent": ("user_agent", "user_agent.original", "http.user_agent"),
}
SPAN_NUMBERS: dict[str, tuple[str, ...]] = {
    "status_code": ("http.status_code", "http.response.status_code"),
    "request_bytes": ("request_size", "http.request.body.size", "http.request_content_length"),
    "response_bytes": ("response_size", "http.response.body.size", "http.response_content_length"),
}
GRPC_STATUS = ("grpc.status_code", "rpc.grpc.status_code", "rpc.response.status_code", "rpc.status_code")
# What a client, producer or consumer calls or takes from, by the semantic conventions, new and old.
TARGET_TEXT: dict[str, tuple[str, ...]] = {
    "target_system": ("db.system.name", "db.system", "messaging.system", "rpc.system.name", "rpc.system"),
    "target_name": (
        *("db.namespace", "db.name"),
        *("messaging.destination.template", "messaging.destination.name", "messaging.destination"),
        *("service.peer.name", "peer.service"),
    ),
    "target_operation": ("messaging.operation.type", "messaging.operation"),
}
TARGET_HOST = ("server.address", "net.peer.name", "net.sock.peer.name", "http.host")
TARGET_PORT = ("server.port", "net.peer.port", "net.sock.peer.port")
DATABASE = ("db.system.name", "db.system")
QUEUE = (
    *("messaging.system", "messaging.destination.template", "messaging.destination.name"),
    "messaging.destination",
)
RESPONSE_FLAGS = "response_flags"
UPSTREAM_CLUSTER = "upstream_cluster"
UPSTREAM_CLUSTER_NAME = "upstream_cluster.name"  # Envoy's alt_stat_name: mostly the cluster and a ';'
DOWNSTREAM_CLUSTER = "downstream_cluster"
COMPONENT = "component"
NODE_ID = "node_id"
_SPAN_IDENTITY = {
    "app": "istio.canonical_service",
    "version": "istio.canonical_revision",
    "namespace": "istio.namespace",
    "cluster": "istio.cluster_id",
    "zone": "zone",
}
SPAN_KEYS = KnownKeys(
    [
        *(key for keys in (*SPAN_TEXT.values(), *SPAN_NUMBERS.values()) for key in keys),
        *(key for keys in TARGET_TEXT.values() for key in keys),
        *TARGET_HOST,
        *TARGET_PORT,
        *GRPC_STATUS,
        *_SPAN_IDENTITY.values(),
        *(RESPONSE_FLAGS, UPSTREAM_CLUSTER, UPSTREAM_CLUSTER_NAME, DOWNSTREAM_CLUSTER, COMPONENT, NODE_ID),
    ]
)

SERVICE_NAME = "service.name"
RESOURCE_IDENTITY: dict[str, tuple[str, ...]] = {
    "address": ("k8s.pod.ip",),
    "pod": ("k8s.pod.name",),
    "namespace": ("k8s.namespace.name", "service.namespace"),
    "workload": (
        "k8s.deployment.name",
        "k8s.statefulset.name",
        "k8s.daemonset.name",
        "k8s.cronjob.name",
        "k8s.job.name",
    ),
    "app": (SERVICE_NAME,),
    "version": ("service.version",),
    "cluster": ("k8s.cluster.name",),
    "zone": ("cloud.availability_zone",),
}
SDK_NAME = "telemetry.sdk.name"  # 'envoy': its service.name is 'APP.NAMESPACE', no application's name
INSTANCE_ID = "service.instance.id"
RESOURCE_KEYS = KnownKeys(
    [SDK_NAME, INSTANCE_ID, *(key for keys in RESOURCE_IDENTITY.values() for key in keys)]
)

# What an access log's labels (attributes of its record, else of its resource) may say of its writer.
LOG_LABELS: dict[str, tuple[str, ...]] = {
    "node_id": ("node_id", "node_name", "node.id"),
    "pod": ("pod_name", "k8s.pod.name"),
    "namespace": ("pod_namespace", "k8s.namespace.name", "namespace"),
    "workload": ("workload_name", "workload"),
    "app": ("canonical_name", "app"),
    "version": ("canonical_revision", "version"),
    "cluster": ("cluster_id", "k8s.cluster.name"),
    "service_account": ("service_account",),
    "zone": ("zone", "zone_name"),
    "direction": ("listener_direction",),
}
NODE_CLUSTER = "cluster_name"  # of Envoy's built-in labels: the application, by Istio 'APP.NAMESPACE'
RESOURCE_LABELS = {
    "zone": RESOURCE_IDENTITY["zone"],
    "workload": RESOURCE_IDENTITY["workload"],
    "version": RESOURCE_IDENTITY["version"],
    "namespace": RESOURCE_IDENTITY["namespace"],
}
# What is said of an access log's writer by its resource; other attributes of the resource are kept with the row.
WRITER_KEYS = frozenset(
    [
        NODE_CLUSTER,
        *RESOURCE_IDENTITY["address"],
        *(key for keys in (*LOG_LABELS.values(), *RESOURCE_LABELS.values()) for key in keys),
    ]
)

_GRPC_NAMES = """
    ok cancelled unknown invalidargument deadlineexceeded notfound alreadyexists permissiondenied
    resourceexhausted failedprecondition aborted outofrange unimplemented internal unavailable dataloss
    unauthenticated
"""
_GRPC_INDEX = pa.array(_GRPC_NAMES.split())  # in the order of their numbers
# Kubernetes' generated names use no vowels and no 0, 1, 3.
_HASH = "[bcdfghjklmnpqrstvwxz2456789]"
_POD_NAMES = (
    rf"^(.+)-{_HASH}{{6,10}}-{_HASH}{{5}}$",  # Deployment: ReplicaSet hash, pod suffix
    rf"^(.+)-{_HASH}{{5}}$",  # DaemonSet
    r"^(.+)-[0-9]+$",  # StatefulSet
)
_NODE_ID = r"^(?P<kind>[^~]*)~(?P<ip>[^~]*)~(?P<name>[^~]*)~"
_POD_NAMESPACE = r"^(?P<pod>.+)\.(?P<namespace>[^.]+)$"


def grpc_status(text: pa.StringArray) -> Parsed:
    """A number, or any spelling of a status name, as a number."""
    numbers, failed = integers(text)
    if failed is None:
        return _small(numbers)
    plain = pc.replace_substring(pc.utf8_lower(text), "_", "")
    named = pc.index_in(plain, _GRPC_INDEX)
    both = pc.coalesce(numbers, named.cast(pa.int64()))
    return _small(both, failed & ~both.is_valid().to_numpy(zero_copy_only=False))


def small_integers(text: pa.StringArray) -> Parsed:
    """Decimal text as int32 (codes); anything else is not read."""
    return _small(*integers(text))


def not_negative(text: pa.StringArray) -> Parsed:
    """Decimal text as int64 sizes; a negative one is not read."""
    numbers, failed = integers(text)
    return _limited(numbers, failed, 0, 1 << 62), _failed(numbers, failed, 0, 1 << 62)


def _small(numbers: pa.Array, failed: np.ndarray | None = None) -> Parsed:
    low, high = -(1 << 31), (1 << 31) - 1
    kept = _limited(numbers, failed, low, high)
    return kept.cast(pa.int32()), _failed(numbers, failed, low, high)


def _limited(numbers: pa.Array, failed: np.ndarray | None, low: int, high: int) -> pa.Array:
    bad = _failed(numbers, failed, low, high)
    return numbers if bad is None else pc.if_else(pa.array(bad), pa.scalar(None, pa.int64()), numbers)


def _failed(numbers: pa.Array, failed: np.ndarray | None, low: int, high: int) -> np.ndarray | None:
    outside = pc.fill_null(pc.or_(pc.less(numbers, low), pc.greater(numbers, high)), False)
    if not pc.any(outside).as_py():
        return failed
    mask = outside.to_numpy(zero_copy_only=False)
    return mask if failed is None else mask | failed


def absent_if_dash(text: pa.StringArray, instead: str | None) -> pa.StringArray:
    """Envoy writes '-' for nothing."""
    return pc.if_else(pc.equal(text, "-"), pa.scalar(instead, TEXT), text)


def known_version(text: pa.StringArray) -> pa.StringArray:
    """'latest', 'unknown' and '' say no version."""
    nothing = pc.is_in(text, pa.array(["latest", "unknown", "", "-"]))
    return pc.if_else(nothing, _NULL, text)


def workload_of_pod(pods: pa.StringArray) -> pa.StringArray:
    """The workload behind a generated pod name, guessed by Kubernetes' habits; else the name itself."""
    guessed = pods
    for pattern in reversed(_POD_NAMES):
        fits = pc.match_substring_regex(pods, pattern)
        guessed = pc.if_else(fits, pc.replace_substring_regex(pods, pattern, r"\1"), guessed)
    return guessed


def split_node_ids(node_ids: pa.StringArray) -> dict[str, pa.StringArray]:
    """Istio's TYPE~IP~POD.NS~DOMAIN as columns; a plain node id is an emitter without the rest."""
    parts = pc.extract_regex(node_ids, _NODE_ID)
    kind, address, name = (pc.struct_field(parts, index) for index in range(3))
    pods = pc.extract_regex(name, _POD_NAMESPACE)
    plain = pc.and_(pc.is_valid(node_ids), pc.not_equal(node_ids, ""))
    return {
        "emitter": not_empty(pc.coalesce(name, pc.if_else(plain, node_ids, _NULL))),
        "node_type": not_empty(kind),
        "address": not_empty(address),
        "pod": pc.struct_field(pods, 0),
        "namespace": pc.struct_field(pods, 1),
    }


def span_identities(
    table: AttributeTable, node_ids: pa.StringArray, first_rows: np.ndarray, rows: dict[str, pa.Array]
) -> pa.Table:
    """What proxies' spans say of their proxies: one row per entry of ``node_ids``.

    ``first_rows`` are the spans that first show each; ``rows`` holds their `export` and `time`.
    """
    said = {column: table_take(table, key, first_rows) for column, key in _SPAN_IDENTITY.items()}
    split = split_node_ids(node_ids)
    return identities(
        len(first_rows),
        **rows,
        **split
        | {
            "evidence": pa.repeat("span", len(first_rows)),
            "workload": workload_of_pod(split["pod"]),
            "app": said["app"],
            "version": known_version(said["version"]),
            "namespace": pc.coalesce(split["namespace"], said["namespace"]),
            "cluster": said["cluster"],
            "zone": said["zone"],
        },
    )


def resource_identities(table: AttributeTable, exports: np.ndarray, received: pa.Array) -> pa.Table:
    """What resources say of the pods they describe; those that name neither pod nor address teach nothing."""
    said = {column: table.peek(*keys) for column, keys in RESOURCE_IDENTITY.items()}
    envoys = pc.fill_null(pc.equal(table.peek(SDK_NAME), "envoy"), False)
    said["app"] = pc.if_else(envoys, _NULL, said["app"])
    said["version"] = known_version(said["version"])
    said["workload"] = pc.coalesce(said["workload"], workload_of_pod(said["pod"]))
    said["emitter"] = pc.binary_join_element_wise(said["pod"], said["namespace"], ".")
    found = identities(
        table.rows,
        export=pa.array(exports),
        time=received,
        evidence=pa.repeat("resource", table.rows),
        **said,
    )
    return found.filter(pc.or_(pc.is_valid(found["address"]), pc.is_valid(found["pod"])))


def table_take(table: AttributeTable, key: str, rows: np.ndarray) -> pa.StringArray:
    """The values of ``key`` at some rows only; they stay in the map."""
    return table.at(table.positions((key,))[rows])


def identities(rows: int, **columns: pa.Array) -> pa.Table:
    """An `identities` table; columns not given are null."""
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(rows, field.type)
        for field in IDENTITIES
    ]
    return pa.Table.from_arrays(arrays, schema=IDENTITIES)


def distinct(found: pa.Table) -> pa.Table:
    """Without the rows that repeat an earlier one but for its export and time."""
    if found.num_rows < 2:
        return found
    keys = [name for name in IDENTITIES.names if name not in ("export", "time")]
    numbered = found.append_column("row", pa.array(np.arange(found.num_rows)))
    first = numbered.group_by(keys, use_threads=False).aggregate([("row", "min")])["row_min"]
    return found.take(pa.array(np.sort(first.to_numpy())))


def app_of_node_cluster(clusters: pa.StringArray, namespaces: pa.StringArray) -> pa.StringArray:
    """The application that a node's cluster names: Istio adds the namespace, others have the service's name."""
    parts = pc.extract_regex(clusters, r"^(?P<app>.+)\.(?P<namespace>[^.]+)$")
    istio = pc.fill_null(pc.equal(pc.struct_field(parts, 1), namespaces), False)
    return pc.if_else(istio, pc.struct_field(parts, 0), clusters)


def not_empty(text: pa.StringArray) -> pa.StringArray:
    return pc.if_else(pc.equal(text, ""), _NULL, text)
