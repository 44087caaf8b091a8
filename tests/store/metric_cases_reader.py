"""Reads the plain-text cases of `tests/store/metric_cases`: points (and rows) in, edges out.

The layout is that of `edge_cases_reader`; a case may have a table `points` besides. Its columns: `at` and
`start` in seconds after noon, `source` and `target` ('reviews-v1' is version v1 of app reviews, 'reviews.'
only the service, `-` nobody known), `pod` (the reporting pod's name, by its resource), `metric` (a name of
`_METRICS` or a metric's own), `value`, or `sum` and `buckets` ('1=50 5=2 inf=0').
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.store.edge_cases_reader import Case, Row

# Short name → metric and type.
_METRICS = {
    "requests": ("istio_requests_total", "sum"),
    "duration": ("istio_request_duration_milliseconds", "histogram"),
    "response_bytes": ("istio_response_bytes", "histogram"),
    "connections": ("istio_tcp_connections_opened_total", "sum"),
    "sent": ("istio_tcp_sent_bytes_total", "sum"),
    "received": ("istio_tcp_received_bytes_total", "sum"),
}
_DEFAULTS = {
    "start": "-3600", "reporter": "source", "metric": "requests", "code": "200", "flags": "-", "grpc": "",
    "protocol": "http", "temporality": "cumulative", "policy": "unknown", "pod": None,
    "source": "a-v1", "target": "reviews-v1",
}  # fmt: skip


def metric_tables(case: Case) -> dict[str, list[dict[str, Any]]]:
    """`points` → rows of `metric_points` and of `resources`, one for each pod."""
    given: list[Row] = [{**_DEFAULTS, **row} for row in case.tables.get("points", [])]
    pods = list(dict.fromkeys(row["pod"] for row in given))
    return {
        "metric_points": [_point(case, row, pods.index(row["pod"])) for row in given],
        "resources": [
            {"resource": number, "attributes": _resource(case, pod)} for number, pod in enumerate(pods)
        ],
    }


def _resource(case: Case, pod: str | None) -> list[tuple[str, str]]:
    if pod is None:
        return [("service.name", "istio-mesh")]
    if pod.startswith("@"):
        return [("service.instance.id", f"{pod[1:]}:15020")]
    return [("k8s.pod.name", pod), ("k8s.namespace.name", case.namespace)]


def _point(case: Case, row: Row, resource: int) -> dict[str, Any]:
    name, kind = _METRICS.get(str(row["metric"]), (str(row["metric"]), "sum"))
    kind = "histogram" if row.get("buckets") else kind
    point: dict[str, Any] = {
        "resource": resource, "name": name, "type": kind, "temporality": row["temporality"], "monotonic": True,
        "time": case.noon + timedelta(seconds=float(row["at"] or 0)),
        "start_time": row["start"] and case.noon + timedelta(seconds=float(row["start"])),
        "attributes": _istio(case, row) if name.startswith("istio") else _envoy(row),
    }  # fmt: skip
    if kind == "sum":
        return point | {"value": float(row["value"] or 0), "value_int": int(row["value"] or 0)}
    parts = [part.split("=") for part in str(row["buckets"]).split()]
    counts = [int(count) for _, count in parts]
    bounds = [float(bound) for bound, _ in parts if bound != "inf"]
    return point | {
        "bounds": bounds,
        "bucket_counts": counts,
        "count": sum(counts),
        "sum": float(row["sum"] or 0),
    }


def _istio(case: Case, row: Row) -> list[tuple[str, str]]:
    labels = {
        "reporter": row["reporter"], "request_protocol": row["protocol"], "response_flags": row["flags"] or "-",
        "connection_security_policy": row["policy"],
        **_end("source", row["source"], case), **_end("destination", row["target"], case),
    }  # fmt: skip
    app = (row["target"] or "").split("-v")[0].rstrip(".")
    host = app if "." in app else f"{app}.{case.namespace}.svc.cluster.local"
    labels["destination_service"] = host if app else "unknown"
    if row["protocol"] != "tcp":
        labels |= {"response_code": row["code"], "grpc_response_status": row["grpc"] or ""}
    return sorted((name, str(value)) for name, value in labels.items())


def _end(side: str, text: str | None, case: Case) -> dict[str, str]:
    """The labels of one end as Istio writes them: 'unknown' for what the proxy was not told."""
    if text is None or text.endswith(".") or "." in text:
        names = ("workload", "workload_namespace", "app", "version", "cluster", "canonical_service")
        return {f"{side}_{name}": "unknown" for name in names} | {f"{side}_canonical_revision": "latest"}
    app, _, version = text.partition("-v")
    version = f"v{version}" if version else "latest"
    return {
        f"{side}_workload": text, f"{side}_workload_namespace": case.namespace, f"{side}_app": app,
        f"{side}_version": version, f"{side}_cluster": "Kubernetes", f"{side}_canonical_service": app,
        f"{side}_canonical_revision": version,
    }  # fmt: skip


def _envoy(row: Row) -> list[tuple[str, str]]:
    labels = {"envoy.cluster_name": str(row["target"]).replace("/", "|")}  # '|' ends a cell
    code = row["code"] or ""
    if code.endswith("xx"):
        labels["envoy.response_code_class"] = code[0]
    elif not row.get("buckets"):
        labels["envoy.response_code"] = code
    return sorted(labels.items())
