"""What applications' spans and resources say: who emits, whom a span calls.

What must stay true: whole columns, no Python per span; an application in a pod bears the name its sidecar
bears, so that both are one instance. The attribute keys live in `collector.decode.identity`.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode.attributes import AttributeTable
from collector.decode.identity import (
    DATABASE,
    INSTANCE_ID,
    QUEUE,
    RESOURCE_IDENTITY,
    SDK_NAME,
    SERVICE_NAME,
    TARGET_HOST,
    TARGET_PORT,
    TARGET_TEXT,
    identities,
    known_version,
    not_empty,
)
from collector.decode.text import take

_NULL = pa.scalar(None, pa.string())
_CALLS = pa.array(["client", "producer", "consumer"])


def target_columns(
    table: AttributeTable, kinds: pa.StringArray, is_proxy: pa.BooleanArray
) -> dict[str, pa.Array]:
    """The `target_…` columns of spans; null but for applications' clients, producers and consumers.

    The attributes stay in the map too: these columns are our reading of them.
    """
    calls = pc.and_(pc.is_in(kinds, _CALLS), pc.invert(is_proxy))
    if not pc.any(calls).as_py():
        return dict.fromkeys(
            ("target_kind", "target_address", *TARGET_TEXT), pa.nulls(table.rows, pa.string())
        )
    columns = {"target_kind": target_kinds(table), "target_address": target_addresses(table)}
    columns |= {name: not_empty(table.peek(*keys)) for name, keys in TARGET_TEXT.items()}
    return {name: pc.if_else(calls, column, _NULL) for name, column in columns.items()}


def application_emitters(table: AttributeTable) -> pa.StringArray:
    """Who emits a resource's spans: its pod 'POD.NAMESPACE' (as its sidecar), else the pod's '@IP', else
    'NAME/INSTANCE.NAMESPACE' of the service (no pod's name holds a '/'; without instance the version).

    Null for Envoys, which name themselves in each span, and for resources that name nobody.
    """
    namespaces = table.peek(*RESOURCE_IDENTITY["namespace"])
    pods = pc.binary_join_element_wise(table.peek("k8s.pod.name"), namespaces, ".")
    addresses = pc.binary_join_element_wise("@", table.peek("k8s.pod.ip"), "")
    names = not_empty(table.peek(SERVICE_NAME))
    instances = pc.coalesce(table.peek(INSTANCE_ID, "k8s.pod.name"), table.peek("service.version"), "")
    services = pc.binary_join_element_wise(names, instances, "/")
    services = pc.binary_join_element_wise(services, pc.coalesce(namespaces, ""), ".")
    envoys = pc.fill_null(pc.equal(table.peek(SDK_NAME), "envoy"), False)
    return pc.if_else(envoys, _NULL, pc.coalesce(pods, addresses, services))


def application_identities(table: AttributeTable, emitters: pa.StringArray, **rows: pa.Array) -> pa.Table:
    """What resources without pod or address say of the services they describe, a row per resource."""
    said = {column: table.peek(*RESOURCE_IDENTITY[column]) for column in ("app", "cluster", "zone")}
    said["namespace"] = table.peek(*RESOURCE_IDENTITY["namespace"])
    said["version"] = known_version(table.peek(*RESOURCE_IDENTITY["version"]))
    said["workload"] = pc.coalesce(table.peek(*RESOURCE_IDENTITY["workload"]), said["app"])
    said["pod"] = pc.coalesce(table.peek(INSTANCE_ID, "k8s.pod.name"), said["app"])
    is_service = pc.fill_null(pc.match_substring(emitters, "/"), False)
    said["emitter"] = pc.if_else(is_service, emitters, _NULL)
    return identities(table.rows, **rows, **said | {"evidence": pa.repeat("resource", table.rows)})


def target_addresses(table: AttributeTable) -> pa.StringArray:
    """Whom a span calls, as 'HOST:PORT', 'HOST', '[IPv6]:PORT'."""
    hosts = not_empty(table.peek(*TARGET_HOST))
    is_v6 = pc.fill_null(pc.match_substring_regex(hosts, r"^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:"), False)
    hosts = pc.if_else(is_v6, pc.binary_join_element_wise("[", hosts, "]", ""), hosts)
    ports = table.peek(*TARGET_PORT)
    without = pc.fill_null(
        pc.match_substring_regex(hosts, r"^[^\]]*:[0-9]+$"), False
    )  # http.host has its own
    ports = pc.if_else(without, _NULL, ports)
    return pc.coalesce(pc.binary_join_element_wise(hosts, ports, ":"), hosts)


def target_kinds(table: AttributeTable) -> pa.StringArray:
    """'database' | 'queue' | null, by which system a span names."""
    kinds = np.where(table.positions(QUEUE) >= 0, 1, -1)
    kinds[table.positions(DATABASE) >= 0] = 0
    return take(pa.array(["database", "queue"]), kinds)
