"""Who sends an access log stream: `StreamAccessLogsMessage.Identifier` → the proxy's identity.

Envoy puts it in the first message of a stream only, about 62 KB of it a list of extensions. What must
stay true: it is read in Python once per distinct identifier, and never raises; what a node does not
say is null.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from collector.decode.wire import BrokenWire, bytes_field, decode_text, struct_value

_NODE_ID = re.compile(r"(?P<kind>[^~]*)~(?P<ip>[^~]*)~(?P<name>[^~]*)~")
_NO_VERSION = {"latest", "unknown", ""}
_APP_LABELS = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
_VERSION_LABELS = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")
_MAX_TEXT = 1024
_MAX_ADDRESSES = 16
_CACHED = 4096


@dataclass(frozen=True)
class ProxyNode:
    """A proxy as its node says: emitter 'POD.NAMESPACE', addresses without ports; None: not said."""

    emitter: str | None = None
    node_type: str | None = None
    addresses: tuple[str, ...] = ()
    cluster: str | None = None
    namespace: str | None = None
    pod: str | None = None
    workload: str | None = None
    app: str | None = None
    version: str | None = None
    service_account: str | None = None
    zone: str | None = None


NOBODY = ProxyNode()
_cache: OrderedDict[bytes, ProxyNode] = OrderedDict()


def split_identifier(message: bytes) -> bytes | None:
    """Field 1 of a StreamAccessLogsMessage: to be held per stream; None where there is none."""
    return bytes_field(message, 1)


def read_identifier(identifier: bytes | None) -> ProxyNode:
    """The proxy behind an identifier's bytes; NOBODY where they say nothing readable."""
    if not identifier:
        return NOBODY
    digest = hashlib.blake2b(identifier, digest_size=16).digest()
    node = _cache.get(digest)
    if node is None:
        try:
            node = _read_node(bytes_field(identifier, 1) or b"")
        except BrokenWire:
            node = NOBODY
        _cache[digest] = node
        while len(_cache) > _CACHED:
            _cache.popitem(last=False)
    return node


def _read_node(raw: bytes) -> ProxyNode:
    node_id = _text(bytes_field(raw, 1)) or ""
    metadata = struct_value(bytes_field(raw, 3) or b"")
    locality = bytes_field(raw, 4) or b""
    labels = metadata.get("LABELS")
    labels = labels if isinstance(labels, dict) else metadata  # before Istio 1.2 they stood among the others
    istio = _NODE_ID.match(node_id)
    name = istio["name"] if istio else ""
    pod, _, namespace = name.rpartition(".")
    version = _first(labels, _VERSION_LABELS)
    workload = _string(metadata.get("WORKLOAD_NAME"))
    return ProxyNode(
        emitter=(name if istio else node_id) or None,
        node_type=(istio["kind"] or None) if istio else None,
        addresses=_addresses(istio["ip"] if istio else "", metadata.get("INSTANCE_IPS")),
        cluster=_string(metadata.get("CLUSTER_ID")),
        namespace=_string(metadata.get("NAMESPACE")) or namespace or None,
        pod=_string(metadata.get("NAME")) or pod or None,
        workload=workload,
        app=_first(labels, _APP_LABELS) or workload or _app_of_cluster(_text(bytes_field(raw, 2)), namespace),
        version=None if version in _NO_VERSION else version,
        service_account=_string(metadata.get("SERVICE_ACCOUNT")),
        zone=_text(bytes_field(locality, 2)),
    )


def _addresses(own: str, listed: Any) -> tuple[str, ...]:
    named = [own, *(listed.split(",") if isinstance(listed, str) else [])]
    return tuple(dict.fromkeys(address.strip()[:64] for address in named if address.strip()))[:_MAX_ADDRESSES]


def _app_of_cluster(cluster: str | None, namespace: str) -> str | None:
    """Istio's node.cluster is APP.NAMESPACE, other meshes' is the service's name."""
    return (cluster.removesuffix(f".{namespace}") if namespace else cluster) or None if cluster else None


def _first(labels: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next((found for name in names if (found := _string(labels.get(name)))), None)


def _string(value: Any) -> str | None:
    return value[:_MAX_TEXT] if isinstance(value, str) and value else None


def _text(raw: bytes | None) -> str | None:
    return decode_text(raw)[:_MAX_TEXT] if raw else None
