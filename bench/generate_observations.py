"""Observations of a busy mesh: the shape `/api/graph` is measured on.

Every request is reported twice, by the caller and by the callee; the gateway calls five services. The
same arguments always give the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.schema import OBSERVATIONS

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MINUTE_US = 60_000_000


@dataclass(frozen=True)
class Pod:
    workload: str
    service: str
    version: str
    address: str
    gateway: bool

    @property
    def emitter(self) -> str:
        return f"{self.workload}-5d9c7b6f4-{self.address.rpartition('.')[2]}.shop"


def make_pods(workloads: int) -> list[Pod]:
    """Two pods of every workload; the first is the gateway, every fourth service has two versions."""
    pods: list[Pod] = []
    service = 0
    for number in range(workloads):
        second_version = number % 4 == 3
        service += not second_version
        name = "gateway" if number == 0 else f"svc{service:02d}"
        version = "v2" if second_version else "v1"
        for replica in range(2):
            address = f"10.1.{number}.{replica + 1}"
            pods.append(
                Pod(f"{name}-{version}", f"{name}.shop.svc.cluster.local", version, address, number == 0)
            )
    return pods


def make_edges(pods: list[Pod], seed: int) -> list[tuple[int, int]]:
    """Pairs (caller pod, callee pod): every service calls the next three, all pods of it."""
    services = list(dict.fromkeys(pod.service for pod in pods))
    draw = np.random.default_rng(seed)
    pairs: list[tuple[int, int]] = []
    for index, pod in enumerate(pods):
        at = services.index(pod.service)
        targets = services[at + 1 : at + 4]
        if pod.gateway:
            targets = list(draw.choice(services[1:], size=5, replace=False))
        pairs += [(index, other) for other, callee in enumerate(pods) if callee.service in targets]
    return pairs


def minute_rows(pods: list[Pod], pairs: list[tuple[int, int]], rate: int, minute: int) -> pa.Table:
    """One minute of rows of both sides, sorted by time."""
    draw = np.random.default_rng(1000 + minute)
    count = rate * 60
    # A few edges carry most of the traffic; which ones is the same in every minute.
    busiest = np.random.default_rng(11).permutation(len(pairs))
    pair = busiest[draw.zipf(1.3, count) % len(pairs)]
    start = int(START.timestamp() * 1e6) + minute * MINUTE_US + np.sort(draw.integers(0, MINUTE_US, count))
    duration = (draw.lognormal(8.5, 0.8, count)).astype(np.int64)
    fate = draw.random(count)
    code = np.where(fate < 0.01, 503, np.where(fate < 0.03, 404, 200)).astype(np.int32)
    flags = np.where(fate < 0.003, "UO", np.where(fate < 0.005, "URX", ""))
    details = np.where(fate < 0.003, "upstream_reset_before_response_started{overflow}", "via_upstream")
    answered = fate >= 0.003
    callers = np.array([a for a, _ in pairs])[pair]
    callees = np.array([b for _, b in pairs])[pair]
    grpc = np.array([pods[b].service[-20] in "13579" for _, b in pairs])[pair]
    ids = draw.integers(0, 2**63, (count, 2), dtype=np.uint64)
    sides = []
    for outbound in (True, False):
        keep = np.ones(count, bool) if outbound else answered
        here = callers if outbound else callees
        picked = {
            "time": start + (0 if outbound else 400),
            "duration_us": duration - (0 if outbound else np.minimum(duration // 2, 600)),
            "reporter": np.where([pods[i].gateway for i in here], "gateway", "source")
            if outbound
            else np.full(count, "destination"),
            "signal": np.full(count, "als"),
            "emitter": np.array([pod.emitter for pod in pods])[here],
            "protocol": np.where(grpc, "grpc", "http"),
            "method": np.where(grpc, "POST", "GET"),
            "authority": np.array([pod.service for pod in pods])[callees],
            "path": np.char.add("/items/", (pair % 50).astype(str)),
            "status_code": code,
            "response_flags": flags,
            "response_code_details": details,
            "source_address": np.char.add(np.array([p.address for p in pods])[callers], ":40000"),
            "request_bytes": draw.integers(0, 2000, count),
            "response_bytes": draw.integers(0, 20000, count),
            "attempts": np.where(answered, 1, 0).astype(np.int32),
            "span_id": ids[:, 1],
            "tls": np.full(count, "none" if outbound else "mutual"),
        }
        columns = {name: pa.array(values[keep]) for name, values in picked.items()}
        columns["grpc_status"] = pa.array(np.zeros(count, np.int32), mask=~grpc).filter(pa.array(keep))
        columns["upstream_address"] = pa.array(
            np.char.add(np.array([p.address for p in pods])[callees], ":9080"), mask=~answered
        ).filter(pa.array(keep))
        columns["request_id"] = pa.array(np.char.mod("%032x", ids[:, 0])[keep])
        columns["trace_id"] = _trace_ids(ids[keep])
        sides.append(_complete(columns))
    return pa.concat_tables(sides).sort_by("time")


def _trace_ids(ids: np.ndarray) -> pa.Array:
    raw = np.ascontiguousarray(ids).view("V16").reshape(-1)
    storage = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(raw), [None, pa.py_buffer(raw.tobytes())]
    )
    return pa.ExtensionArray.from_storage(pa.uuid(), storage)


def _complete(columns: dict[str, pa.Array]) -> pa.Table:
    """Every column of the schema, null where the generator says nothing."""
    rows = len(columns["time"])
    arrays, names = [], []
    for column in OBSERVATIONS:
        if column.name == "export":
            continue
        values = columns.get(column.name, pa.nulls(rows, column.type))
        arrays.append(values if isinstance(values.type, pa.UuidType) else pc.cast(values, column.type))
        names.append(column.name)
    return pa.table(arrays, names=names)


def instances_table(pods: list[Pod], minute: int = 0) -> pa.Table:
    """The registry: who is at which address, told in this minute."""
    return pa.Table.from_pylist(
        [
            {
                "address": pod.address,
                "emitter": pod.emitter,
                "valid_from": START.replace(tzinfo=None, minute=START.minute + minute),
                "valid_to": None,
                "cluster": "Kubernetes",
                "namespace": "shop",
                "pod": pod.emitter.partition(".")[0],
                "workload": pod.workload,
                "app": pod.workload.rpartition("-")[0],
                "version": pod.version,
                "service": pod.service,
                "service_account": pod.workload,
                "zone": "zone-a",
                "node_type": "router" if pod.gateway else "sidecar",
                "evidence": "als_node",
            }
            for pod in pods
        ],
        schema=pa.schema(
            [
                (name, pa.timestamp("us") if name.startswith("valid") else pa.string())
                for name in [
                    "address",
                    "emitter",
                    "valid_from",
                    "valid_to",
                    "cluster",
                    "namespace",
                    "pod",
                    "workload",
                    "app",
                    "version",
                    "service",
                    "service_account",
                    "zone",
                    "node_type",
                    "evidence",
                ]
            ]
        ),
    )
