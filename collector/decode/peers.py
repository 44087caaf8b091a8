"""Istio's peer metadata (filter state ``upstream_peer``, ``downstream_peer``) → `identities` of the other side.

A proxy exchanges it with the proxy it is connected to, so it names a pod that may never report itself.
Its forms: the new Struct and its JSON, the older ``wasm.*`` Struct of node metadata, the FlatBuffer of
Istio 1.5 to 1.8 (node_info.fbs), the baggage text (``k8s.deployment.name=…,…``) and the endpoint metadata
``workload;namespace;service;revision;cluster``. What must stay true: each distinct value is read once and
never raises; an address that is not the peer's own (a tunnel, a gateway between networks) teaches nothing.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode import identity, limits
from collector.decode.numbering import codes_of, numbered

TEXT = pa.string()
KEYS = ("upstream_peer", "downstream_peer")
_DISTINCT_MAX = 4096  # of one call: what comes beyond is learned from the next
_PARTS = ("pod", "namespace", "workload", "app", "version", "cluster", "service_account", "zone")
# HBONE's tunnel, and the gateway between networks, which passes TLS on: the address is not the peer's.
_PASSED_ON = r":(15008|15443)$"
_NO_POD = r"^\[?(127\.0\.0\.[16]|::1|::6)\]?:"
_APP_LABELS = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
_VERSION_LABELS = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")
_BAGGAGE = {
    "k8s.namespace.name": "namespace",
    "k8s.cluster.name": "cluster",
    "service.name": "service",
    "service.version": "revision",
    "app.name": "app",
    "app.version": "version",
    "k8s.deployment.name": "workload",
    "k8s.cronjob.name": "workload",
    "k8s.job.name": "workload",
    "k8s.pod.name": "workload",
    "k8s.instance.name": "name",
    "cloud.availability_zone": "availability_zone",
}
_FLAT_TEXTS = {0: "NAME", 1: "NAMESPACE", 3: "OWNER", 4: "WORKLOAD_NAME", 9: "CLUSTER_ID", 11: "IDENTITY"}
_FLAT_LABELS = 2
_FLAT_LABELS_MAX = 64

Peer = dict[str, str | None]


def peer_identities(
    rows: pa.Table, upstream: pa.Array, downstream: pa.Array, own_cluster: pa.Array
) -> pa.Table:
    """What ``upstream`` and ``downstream``, one per row of ``rows`` (`observations`), say of both ends.

    ``own_cluster``: the reporting proxy's; a peer of another cluster may be behind a gateway of its own. All three
    may be dictionaries.
    """
    sides = [("upstream_address", upstream), ("source_address", downstream)]
    told = [
        _told_once(rows, rows[at], said, own_cluster) for at, said in sides if said.null_count < len(said)
    ]
    if not told:
        return identity.identities(0)
    table = pa.concat_tables(told)
    passed_on = pc.or_(
        pc.match_substring_regex(table["at"], _PASSED_ON), pc.match_substring_regex(table["at"], _NO_POD)
    )
    table = table.filter(pc.invert(passed_on))
    ip = pc.replace_substring_regex(table["at"], r"^\[?([^\]]*?)\]?:\d+$", r"\1")
    once = (
        table.set_column(table.column_names.index("at"), "at", ip)
        .group_by(["at", "said", "own"], use_threads=False)
        .aggregate([("time", "min"), ("export", "min")])
        .slice(0, _DISTINCT_MAX)
    )
    read: dict[str, Peer] = {text: read_peer(text) for text in pc.unique(once["said"]).to_pylist()}
    peers = [read[text] for text in once["said"].to_pylist()]
    far = [
        own is not None and peer["cluster"] not in (None, own)
        for own, peer in zip(once["own"].to_pylist(), peers, strict=True)
    ]
    columns = {name: pa.array([peer[name] for peer in peers], TEXT) for name in _PARTS}
    emitter = pc.binary_join_element_wise(columns["pod"], columns["namespace"], ".")
    found = identity.identities(
        len(peers),
        **columns,
        export=once["export_min"].combine_chunks(),
        time=once["time_min"].combine_chunks(),
        address=once["at"].combine_chunks(),
        emitter=emitter,
        evidence=pa.repeat("peer", len(peers)),
    )
    told_who = pc.or_(found["workload"].is_valid(), emitter.is_valid())
    return found.filter(pc.and_(told_who, pa.array(~np.array(far, bool))))


def _told_once(rows: pa.Table, at: pa.ChunkedArray, said: pa.Array, own: pa.Array) -> pa.Table:
    """Where a side is, what was said of it and by whose cluster, each such three once, with the first time."""
    at = at.combine_chunks()
    usable = np.flatnonzero(pc.and_(said.is_valid(), at.is_valid()).to_numpy(zero_copy_only=False))
    which, first = numbered([codes_of(column)[usable] for column in (said, at, own)])
    chosen = pa.array(usable)
    when = pa.table(
        {"which": which, "export": rows["export"].take(chosen), "time": rows["time"].take(chosen)}
    )
    least = when.group_by("which", use_threads=False).aggregate([("time", "min"), ("export", "min")])
    shown = pa.array(usable[first])
    texts = {
        name: column.take(shown).cast(TEXT) for name, column in (("at", at), ("said", said), ("own", own))
    }
    return pa.table({"export": least["export_min"], "time": least["time_min"], **texts})


def read_peer(text: str) -> Peer:
    """Who a peer is, by any of the forms as text; all None where it says nothing readable."""
    said = _said(text)
    labels = said.get("LABELS") or said.get("labels")
    labels = labels if isinstance(labels, dict) else {}
    version = _first(said, ("revision", "version")) or _first(labels, _VERSION_LABELS)
    account = _first(said, ("identity", "IDENTITY")) or ""
    return {
        "pod": _first(said, ("name", "NAME")),
        "namespace": _first(said, ("namespace", "NAMESPACE")),
        "workload": _first(said, ("workload", "WORKLOAD_NAME")),
        "app": _first(said, ("service", "app")) or _first(labels, _APP_LABELS),
        "version": None if version in ("latest", "unknown") else version,
        "cluster": _first(said, ("cluster", "CLUSTER_ID")),
        "service_account": account.rpartition("/sa/")[2] if "/sa/" in account else None,
        "zone": _first(said, ("availability_zone",)),
    }


def flat_node_json(raw: bytes) -> str | None:
    """The FlatBuffer of a node as the JSON of the metadata it was made of; None if it is none."""
    try:
        return json.dumps(_flat_node(raw), ensure_ascii=False, separators=(",", ":"))
    except (struct.error, ValueError):
        return None


def _said(text: str) -> dict[str, Any]:
    if text.startswith("{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}
    parts = text.split(";")
    if len(parts) == 5:
        return dict(zip(("workload", "namespace", "service", "revision", "cluster"), parts, strict=True))
    pairs = [pair.partition("=") for pair in text.split(",")[:32]]
    return {_BAGGAGE[key.strip()]: value for key, _, value in pairs if key.strip() in _BAGGAGE}


def _first(said: dict[str, Any], names: tuple[str, ...]) -> str | None:
    for name in names:
        value = said.get(name)
        if isinstance(value, str) and value:
            return value[: limits.NAME_BYTES // 4].encode("utf-8", "replace").decode()
    return None


def _flat_node(raw: bytes) -> dict[str, Any]:
    """Its root table: offsets all the way, each checked by ``struct`` against the end of the bytes."""
    root = _offset(raw, 0)
    found: dict[str, Any] = {}
    for slot, name in _FLAT_TEXTS.items():
        if at := _slot(raw, root, slot):
            found[name] = _flat_text(raw, at + _offset(raw, at))
    if at := _slot(raw, root, _FLAT_LABELS):
        at += _offset(raw, at)
        labels = {}
        for index in range(min(_offset(raw, at), _FLAT_LABELS_MAX)):
            entry = at + 4 + 4 * index
            entry += _offset(raw, entry)
            key, value = (_slot(raw, entry, slot) for slot in (0, 1))
            if key and value:
                labels[_flat_text(raw, key + _offset(raw, key))] = _flat_text(
                    raw, value + _offset(raw, value)
                )
        found["LABELS"] = labels
    if not found.get("NAME") and not found.get("WORKLOAD_NAME"):
        raise ValueError("no node")
    return found


def _offset(raw: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", raw, at)[0])


def _slot(raw: bytes, table: int, slot: int) -> int:
    """Where a table's field stands; 0 where it is absent."""
    vtable = table - int(struct.unpack_from("<i", raw, table)[0])
    if vtable < 0:
        raise ValueError("a table without its description")
    (size,) = struct.unpack_from("<H", raw, vtable)
    if size < 6 + 2 * slot:
        return 0
    (offset,) = struct.unpack_from("<H", raw, vtable + 4 + 2 * slot)
    return table + int(offset) if offset else 0


def _flat_text(raw: bytes, at: int) -> str:
    size = _offset(raw, at)
    if at + 4 + size > len(raw):
        raise ValueError("cut short")
    return raw[at + 4 : at + 4 + size].decode()
