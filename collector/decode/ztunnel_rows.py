"""Fields of ztunnel's lines → rows of `observations`, and what they teach of the pods at both ends.

One ztunnel speaks for every pod of its node, so the proxy of a row is the *pod it speaks for*: the caller where
the line is outbound (`source`), the called one where it is inbound (`destination`). What must stay true: a row
is a connection that ended; its signal is 'ztunnel', for it tells nothing of the requests within; a pod behind a
waypoint is not taught the waypoint's address, nor the waypoint the pod's service.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode import limits
from collector.decode.access_log_emitter import ip_of
from collector.decode.access_log_fields import Reject, text_map
from collector.decode.access_log_values import address, cut, non_negative, number, typed, whole, with_moments
from collector.decode.attributes import merge_maps
from collector.decode.text import offsets_of
from collector.decode.ztunnel_errors import flags_and_details
from store.schema import IDENTITIES, MOMENT, OBSERVATIONS

SIGNAL = "ztunnel"
_TUNNEL_PORT = ":15008"
_SPIFFE = r"^spiffe://[^/]+/ns/(?P<namespace>[^/]+)/sa/(?P<account>[^/]+)$"
_DURATION_MS_MAX = 10 * 366 * 86_400_000  # a connection of ten years; anything longer is a broken number

Columns = dict[str, pa.Array]


def ztunnel_rows(fields: pa.Table) -> tuple[pa.Table, pa.Table, list[Reject]]:
    """``fields`` as `parse_ztunnel` gives them → `observations`, `identities` (both of export 0), rejects."""
    fields, rejects, ends = with_moments(fields)
    columns = {name: whole(fields[name]) for name in fields.column_names}
    if not fields.num_rows:
        return OBSERVATIONS.empty_table(), IDENTITIES.empty_table(), rejects
    columns |= _ends(columns)
    duration_ms = number(pc.replace_substring_regex(columns["duration"], r"ms$", ""))
    sound = pc.and_(pc.greater_equal(duration_ms, 0), pc.less(duration_ms, _DURATION_MS_MAX))
    duration_us = pc.multiply(pc.if_else(sound, duration_ms, pa.scalar(None, pa.int64())), 1000)
    # The line is written when the connection ends; a row's time is its start.
    times = pc.subtract(ends.cast(pa.int64()), pc.fill_null(duration_us, 0)).cast(MOMENT)
    return _observations(columns, times, duration_us), _identities(columns, times), rejects


def _ends(columns: Columns) -> Columns:
    """Who stands at both ends: ``*.ip``, ``*.namespace``, ``*.account``, ``*.emitter``; ``target``, where the
    connection leads within the tunnel; ``passed_on``: ``dst`` is a waypoint or gateway that passes it on."""
    made: Columns = {}
    for side in ("src", "dst"):
        identity = pc.extract_regex(columns[f"{side}.identity"], _SPIFFE)
        # The certificate's namespace first: some versions write the service's name for the namespace.
        namespace = pc.coalesce(pc.struct_field(identity, "namespace"), columns[f"{side}.namespace"])
        made[f"{side}.namespace"] = namespace
        made[f"{side}.account"] = pc.struct_field(identity, "account")
        made[f"{side}.emitter"] = pc.binary_join_element_wise(columns[f"{side}.workload"], namespace, ".")
        made[f"{side}.ip"] = ip_of(columns[f"{side}.addr"])
    inner = address(columns["dst.hbone_addr"])
    same = pc.fill_null(pc.equal(ip_of(inner), made["dst.ip"]), False)
    made["target"] = pc.if_else(same, inner, columns["dst.addr"])
    made["passed_on"] = pc.and_(columns["dst.hbone_addr"].is_valid(), pc.invert(same))
    return made


def _observations(columns: Columns, times: pa.Array, duration_us: pa.Array) -> pa.Table:
    count = len(times)
    nothing = pa.scalar(None, pa.string())
    outbound = pc.equal(columns["direction"], "outbound")
    failed = pc.equal(columns["message"], "connection failed")
    flags, details = flags_and_details(columns["error"], failed)
    sent, received = (non_negative(number(columns[name])) for name in ("bytes_sent", "bytes_recv"))
    mutual = pc.or_(columns["src.identity"].is_valid(), columns["dst.identity"].is_valid())
    came_about = pc.invert(pc.is_in(flags, pa.array(["UF", "UH", "NR"])))
    values: Columns = {
        "export": pa.array(np.zeros(count, np.int32)),
        "time": times,
        "duration_us": duration_us,
        "reporter": pc.if_else(outbound, "source", "destination"),
        "signal": pa.repeat(SIGNAL, count),
        "emitter": pc.if_else(outbound, columns["src.emitter"], columns["dst.emitter"]),
        "protocol": pa.repeat("tcp", count),
        "authority": columns[
            "dst.service"
        ],  # whom the caller addressed; of TCP nothing else names the service
        "response_flags": flags,
        "response_code_details": details,
        "source_address": columns["src.addr"],
        "upstream_address": pc.if_else(failed, nothing, columns["target"]),
        "downstream_local_address": pc.if_else(outbound, nothing, columns["target"]),
        "source_principal": columns["src.identity"],
        "destination_principal": columns["dst.identity"],
        # ztunnel's own view (its metrics are turned round, its log is not): an outbound one sends to the called
        # side, an inbound one to the caller. `request_bytes` are the caller's.
        "request_bytes": pc.if_else(outbound, sent, received),
        "response_bytes": pc.if_else(outbound, received, sent),
        # Identities are logged of mutual TLS only.
        "tls": pc.if_else(came_about, pc.if_else(mutual, "mutual", "none"), nothing),
        "attributes": _attributes(columns, count),
    }
    arrays = [typed(values.get(one.name), one, count) for one in OBSERVATIONS]
    return pa.Table.from_arrays(arrays, schema=OBSERVATIONS)


def _attributes(columns: Columns, count: int) -> pa.Array:
    named = {name: cut(columns[name]) for name in ("error", "dst.hbone_addr")}
    parts = []
    for maps in (text_map(named, count), columns["extra"]):
        offsets = offsets_of(maps)
        rows = np.repeat(np.arange(len(maps), dtype=np.int32), np.diff(offsets))
        keys, items = (part[offsets[0] : offsets[-1]] for part in (maps.keys, maps.items))
        keys = pc.utf8_slice_codeunits(keys, 0, limits.NAME_BYTES // 4)
        parts.append(
            (rows, keys, pc.utf8_slice_codeunits(pc.fill_null(items, ""), 0, limits.TEXT_BYTES // 4))
        )
    return merge_maps(count, parts)


def _identities(columns: Columns, times: pa.Array) -> pa.Table:
    """Each pod once, at each address. What workload it is of, its name tells (the macro `pod_workload`)."""
    nothing = pa.scalar(None, pa.string())
    passed_on = columns["passed_on"]
    # Through the tunnel without its inner address told (April 2024), a waypoint looks like the pod itself.
    in_tunnel = pc.and_(columns["dst.hbone_addr"].is_null(), pc.ends_with(columns["dst.addr"], _TUNNEL_PORT))
    own_service = pc.if_else(pc.or_(passed_on, in_tunnel), nothing, columns["dst.service"])
    ends = [
        {"service": pa.nulls(len(times), pa.string()), "node_type": pa.nulls(len(times), pa.string())},
        {"service": own_service, "node_type": pc.if_else(passed_on, "waypoint", nothing)},
    ]
    tables = [
        pa.table(
            {
                "time": times,
                "emitter": cut(columns[f"{side}.emitter"]),
                "address": pc.utf8_trim(columns[f"{side}.ip"], "[]"),
                "cluster": cut(columns[f"{side}.cluster"]),
                "namespace": cut(columns[f"{side}.namespace"]),
                "pod": cut(columns[f"{side}.workload"]),
                "service": cut(end["service"]),
                "service_account": cut(columns[f"{side}.account"]),
                "node_type": end["node_type"],
            }
        )
        for side, end in zip(("src", "dst"), ends, strict=True)
    ]
    told = pa.concat_tables(tables)
    told = told.filter(told["emitter"].is_valid())
    names = [name for name in told.column_names if name != "time"]
    once = told.group_by(names, use_threads=False).aggregate([("time", "min")])
    values = {name: whole(once[name]) for name in names} | {
        "export": pa.array(np.zeros(len(once), np.int32)),
        "time": whole(once["time_min"]),
        "evidence": pa.repeat("file", len(once)),
    }
    arrays = [typed(values.get(one.name), one, len(once)) for one in IDENTITIES]
    return pa.Table.from_arrays(arrays, schema=IDENTITIES)
