"""Envoy's access logs as OTLP log records → `observations`, and what they teach of their writers.

A record is an access log when its body is a line of a known format, or its attributes are one's fields
(both: the attributes win). Nothing else tells: Istio's ``envoyOtelAls`` sends an empty resource. What must
stay true: no Python statement per record; a record that only looks like a line stays an ordinary log.

The writer is, in this order: the node id (resource ``node_name``, or a label), the pod a resource or
label names, the pod's own address in the row (where a relay sends, that is all there is), the sending
connection's address ('@IP' for the last two).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode import identity
from collector.decode.access_log_emitter import SNI, ip_of, is_forwarded, is_inbound, is_waypoint
from collector.decode.access_log_rows import build_rows
from collector.decode.access_log_values import by_value, mask, plain, whole
from collector.decode.attributes import AttributeTable
from collector.decode.numbering import codes_of, numbered
from collector.decode.otlp import Opened
from collector.decode.otlp_access_fields import read_fields
from collector.decode.peers import peer_identities
from collector.decode.text import spread, take
from collector.decode.types import Export
from store.schema import IDENTITIES, MOMENT, OBSERVATIONS

TEXT = pa.string()
NULL = pa.scalar(None, TEXT)
_START = r"^(?P<seconds>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?P<fraction>\.\d{1,6})?Z?$"
_INBOUND_DIRECTION, _OUTBOUND_DIRECTION = "1", "2"  # of %CEL(xds.listener_direction)%
_DESCRIBED = ("pod", "namespace", "workload", "app", "version", "cluster", "service_account", "zone")
_REPORTERS = pa.array(["source", "gateway", "destination", "waypoint"])


@dataclass(frozen=True)
class AccessLogs:
    """``taken``: which of the records given were access logs (the others are ordinary logs)."""

    taken: np.ndarray
    observations: pa.Table
    identities: pa.Table


class _Writers:
    """Who wrote each row, for ``build_rows``: from columns of our own among the fields."""

    @property
    def signal(self) -> str:
        return "otlp_log"

    def names(self, columns: dict[str, pa.Array]) -> pa.Array:
        return columns["emitter"]

    def reporters(self, columns: dict[str, pa.Array]) -> pa.Array:
        return columns["reporter"]


def read_access_logs(
    exports: Sequence[Export],
    opened: Opened,
    records: np.ndarray,
    table: AttributeTable,
    body: pa.StringArray,
    shared: dict[str, pa.Array],
    sent_time: pa.Array,
) -> AccessLogs:
    """Find the access logs among ``records``. ``shared``: the records' `time`, `trace_id` and `span_id`.

    ``sent_time`` is null where the record says none: then the start its line says is better than when it came.
    """
    fields, taken = read_fields(opened, records, table, body)
    if fields is None:
        return AccessLogs(taken, OBSERVATIONS.empty_table(), IDENTITIES.empty_table())
    at = fields["line"].to_numpy()
    fields = _set(fields, "time", _times(fields, at, sent_time, shared["time"]))
    export_of = opened.export_of[records][at]
    named = _Named.of(opened, records, table, at)
    clusters = _Clusters.of(fields)
    own = _own_addresses(fields, clusters) if named.needs_addresses else pa.nulls(len(at), TEXT)
    emitter = _emitters(named, own, fields, exports, export_of)
    fields = fields.append_column("emitter", emitter)
    fields = fields.append_column("reporter", _reporters(fields, named, clusters, own, emitter))
    rows = build_rows(fields, _Writers())
    kept = rows.lines
    position = np.full(len(taken), -1, np.int64)
    position[at] = np.arange(len(at))
    rows_at = position[kept]
    observed = rows.observations
    observed = _set(observed, "export", pa.array(export_of[rows_at].astype(np.int32)))
    for name in ("trace_id", "span_id"):
        if shared[name].null_count < len(shared[name]):
            observed = _set(observed, name, shared[name].take(pa.array(kept)))
    others = peer_identities(observed, *rows.peers, own_cluster=take(named.clusters, named.which[rows_at]))
    learned = [*_identities(named, emitter, own, observed, rows_at), others]
    return AccessLogs(taken, observed, identity.distinct(pa.concat_tables(learned)))


def _times(fields: pa.Table, at: np.ndarray, sent_time: pa.Array, known: pa.Array) -> pa.StringArray:
    """When each request began, as text: when it was sent says the record, else its line, else when it came."""
    sent = _stamp(sent_time.take(pa.array(at)))
    if not sent.null_count:
        return sent
    return pc.coalesce(sent, _start_said(fields), _stamp(known.take(pa.array(at))))


@dataclass(frozen=True)
class _Named:
    """What resources and labels say of each row's writer: a writer of the rows once, however many it wrote."""

    which: np.ndarray  # of the writers, for each row
    columns: dict[str, pa.Array]  # of the writers' length
    node_type: pa.StringArray
    direction: pa.StringArray

    @classmethod
    def of(cls, opened: Opened, records: np.ndarray, table: AttributeTable, at: np.ndarray) -> _Named:
        group = opened.group_of(records)[at]
        places = {name: table.positions(keys)[at] for name, keys in identity.LOG_LABELS.items()}
        which, first = numbered([group, *(table.entries_at(place) for place in places.values())])
        group = group[first]
        resource = opened.resources["attributes"].combine_chunks()

        def said(name: str) -> pa.Array:
            values = table.at(places[name][first])
            for key in (*identity.LOG_LABELS[name], *identity.RESOURCE_LABELS.get(name, ())):
                values = pc.coalesce(values, spread(_looked_up(resource, key), group))
            return pc.if_else(pc.is_in(values, pa.array(["", "-"])), NULL, values)

        node = identity.split_node_ids(said("node_id"))
        columns = {name: said(name) for name in _DESCRIBED}
        columns["version"] = identity.known_version(columns["version"])
        columns["pod"] = pc.coalesce(node["pod"], columns["pod"])
        columns["namespace"] = pc.coalesce(node["namespace"], columns["namespace"])
        columns["workload"] = pc.coalesce(columns["workload"], identity.workload_of_pod(columns["pod"]))
        service = spread(_looked_up(resource, identity.NODE_CLUSTER), group)
        service = identity.app_of_node_cluster(service, columns["namespace"])
        columns["app"] = pc.coalesce(columns["app"], pc.if_else(node["emitter"].is_valid(), service, NULL))
        by_pod = pc.binary_join_element_wise(columns["pod"], columns["namespace"], ".")
        columns["emitter"] = pc.coalesce(node["emitter"], by_pod, columns["pod"])
        columns["address"] = node["address"]
        columns["node_type"] = node["node_type"]
        return cls(which, columns, node["node_type"], said("direction"))

    @property
    def clusters(self) -> pa.DictionaryArray:
        """The mesh's name for where each writer runs."""
        return self.columns["cluster"].dictionary_encode()

    @property
    def needs_addresses(self) -> bool:
        """Whether a writer is known in part only, so that the addresses in its rows must tell."""
        return any(self.columns[name].null_count for name in ("emitter", "address", "node_type"))

    def rows_of(self, writers: pa.Array) -> np.ndarray:
        """The mask of the rows whose writer a boolean column (null: no) marks."""
        return mask(writers)[self.which]


def _looked_up(maps: pa.MapArray, key: str) -> pa.StringArray:
    return pc.map_lookup(maps, pa.scalar(key), "first")


@dataclass(frozen=True)
class _Clusters:
    """What each row's upstream cluster says; masks of the rows."""

    absent: np.ndarray
    inbound: np.ndarray
    waypoint: np.ndarray

    @classmethod
    def of(cls, fields: pa.Table) -> _Clusters:
        names = whole(fields["cluster"])
        return cls(
            mask(names.is_null()), mask(by_value(is_inbound, names)), mask(by_value(is_waypoint, names))
        )


def _own_addresses(fields: pa.Table, clusters: _Clusters) -> pa.StringArray:
    """The writer's own IP as its row shows it: where an inbound request came in, an outbound one went out."""
    local, upstream = _ips(fields, "downstream_local"), _ips(fields, "upstream_local")
    address = pc.if_else(pa.array(clusters.inbound), local, upstream)
    return pc.if_else(pa.array(clusters.absent), NULL, address)


def _emitters(
    named: _Named, own: pa.StringArray, fields: pa.Table, exports: Sequence[Export], export_of: np.ndarray
) -> pa.StringArray | pa.DictionaryArray:
    emitter = take(named.columns["emitter"].dictionary_encode(), named.which)
    if not emitter.null_count:
        return emitter
    peer = take(pa.array([export.peer for export in exports], TEXT), export_of)
    foreign = pc.fill_null(pc.not_equal(own, peer), False).to_numpy(zero_copy_only=False)
    relayed = np.bincount(export_of[foreign], minlength=len(exports))[export_of] > 0
    # Behind a relay a row without an address of its own is known by its caller's, if that is shown.
    direct = pc.if_else(_is_hidden(fields), NULL, _ips(fields, "downstream_remote"))
    address = pc.if_else(pa.array(relayed), pc.coalesce(own, direct), peer)
    return pc.coalesce(plain(emitter), pc.binary_join_element_wise("@", address, ""))


def _reporters(
    fields: pa.Table, named: _Named, clusters: _Clusters, own: pa.StringArray, emitter: pa.Array
) -> pa.StringArray:
    """By the listener's direction and the cluster; a gateway by its node id, else by its strangers."""
    by_sni = clusters.absent & mask(by_value(_is_of_istio, whole(fields["sni"])))
    inbound = clusters.inbound | by_sni | named.rows_of(pc.equal(named.direction, _INBOUND_DIRECTION))
    waypoint = clusters.waypoint | named.rows_of(pc.equal(named.node_type, "waypoint"))
    gateway = named.rows_of(pc.equal(named.node_type, "router"))
    if named.node_type.null_count:
        unknown = named.rows_of(named.node_type.is_null())
        gateway |= unknown & _is_mostly_strange(fields, own, emitter, inbound)
    codes = np.where(waypoint, 3, np.where(inbound, 2, np.where(gateway, 1, 0)))
    return take(_REPORTERS, codes)


def _is_mostly_strange(
    fields: pa.Table, own: pa.StringArray, emitter: pa.Array, inbound: np.ndarray
) -> np.ndarray:
    """Whether a writer's outbound requests come mostly from others than its own pod: then it is a gateway.

    Where the caller's address is hidden (X-Forwarded-For) the listener tells: a gateway's is its pod's, a
    sidecar's the service's.
    """
    listener, remote = _ips(fields, "downstream_local"), _ips(fields, "downstream_remote")
    strange = pc.if_else(_is_hidden(fields), pc.equal(listener, own), pc.not_equal(remote, own))
    told = ~inbound & mask(own.is_valid())
    names = emitter.dictionary_encode()
    codes = pc.fill_null(
        names.indices, len(names.dictionary)
    ).to_numpy()  # the nameless are nobody's neighbours
    weight = np.where(mask(strange), 1, -1)
    weight[~told] = 0
    score = np.bincount(codes, weight, minlength=int(codes.max(initial=0)) + 1)
    return score[codes] > 0


def _identities(
    named: _Named, emitter: pa.Array, own: pa.StringArray, observed: pa.Table, rows: np.ndarray
) -> list[pa.Table]:
    """What the rows teach: the named writers' description, and what service callers meant by their SNI."""
    writers, addresses = named.which[rows], codes_of(own)[rows]
    _, first = numbered([writers, addresses])
    described = {name: take(column, writers[first]) for name, column in named.columns.items()}
    address = pc.coalesce(described["address"], take(own, rows[first]))
    by_name = identity.identities(
        len(first),
        **described
        | _when(observed, first)
        | {"address": address, "evidence": pa.repeat("resource", len(first))},
    ).filter(described["emitter"].is_valid())
    sni = whole(observed["sni"])
    called = np.flatnonzero(
        mask(pc.and_(sni.is_valid(), pc.equal(whole(observed["reporter"]), "destination")))
    )
    _, first = numbered(
        [writers[called], addresses[called], codes_of(emitter)[rows[called]], codes_of(sni)[called]]
    )
    first = called[first]
    meant = pc.extract_regex(take(sni, first), SNI)
    subset, host = pc.struct_field(meant, 1), pc.struct_field(meant, 2)
    address = pc.coalesce(take(named.columns["address"], writers[first]), take(own, rows[first]))
    by_sni = identity.identities(
        len(first),
        **_when(observed, first),
        emitter=take(emitter, rows[first]),
        address=address,
        evidence=pa.repeat("sni", len(first)),
        service=host,
        version=pc.if_else(pc.is_in(subset, pa.array(["", "_"])), NULL, subset),
    ).filter(host.is_valid())
    return [by_name, by_sni]


def _when(observed: pa.Table, rows: np.ndarray) -> dict[str, pa.Array]:
    return {name: take(observed[name].combine_chunks(), rows) for name in ("export", "time")}


def _ips(fields: pa.Table, name: str) -> pa.StringArray:
    """A field's addresses without port, and without the brackets of IPv6, as connections' addresses are written."""
    return plain(by_value(lambda found: pc.utf8_trim(ip_of(found), characters="[]"), whole(fields[name])))


def _is_hidden(fields: pa.Table) -> pa.BooleanArray:
    """Whether the caller's own address is not known: X-Forwarded-For says another, or nothing does."""
    return pc.fill_null(by_value(is_forwarded, whole(fields["downstream_remote"])), True)


def _is_of_istio(names: pa.Array) -> pa.Array:
    return pc.starts_with(names, "outbound_")


def _start_said(fields: pa.Table) -> pa.StringArray:
    """The line's own start, null where it is not in Envoy's usual form."""
    parts = pc.extract_regex(whole(fields["time"]), _START)
    seconds = pc.strptime(pc.struct_field(parts, 0), "%Y-%m-%dT%H:%M:%S", "s", error_is_null=True)
    return pc.binary_join_element_wise(seconds.cast(TEXT), pc.struct_field(parts, 1), "")


def _stamp(moments: pa.Array) -> pa.StringArray:
    return moments.cast(MOMENT).cast(TEXT)


def _set(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    index = table.column_names.index(name)
    return table.set_column(index, table.schema.field(index).with_type(values.type), values)
