"""What the collector counts of itself, through opentelemetry-sdk.

What must stay true: every export is counted once as received and, where it was not taken, once as
refused with its reason; nothing here holds one line or label per record. A snapshot file is replaced
whole each second, so that the store's process can serve it under /metrics.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint, Sum

Series = dict[str, Any]  # {"name", "type", "help", "samples": [{"labels": {..}, "value": n}]}


class _Sums:
    """One counter's sums per label values. An SDK counter's ``add`` takes 5 us, some times a message; a sum 0.3."""

    def __init__(self, *labels: str) -> None:
        self._labels = labels
        self._lock = threading.Lock()
        self._sums: dict[tuple[str, ...], int] = {}

    def add(self, amount: int, *values: str) -> None:
        with self._lock:
            self._sums[values] = self._sums.get(values, 0) + amount

    def observe(self, _: CallbackOptions) -> Iterable[Observation]:
        with self._lock:
            sums = dict(self._sums)
        return [
            Observation(amount, dict(zip(self._labels, values, strict=True)))
            for values, amount in sums.items()
        ]


class Metrics:
    """Counters per source ('otlp_traces', 'als', ...). Safe to call from any thread."""

    def __init__(self, collector: str) -> None:
        self.collector = collector
        self._reader = InMemoryMetricReader()
        self._provider = MeterProvider(metric_readers=[self._reader], shutdown_on_exit=False)
        self._meter = self._provider.get_meter("sidelight.collector")
        self._received = self._counter("received_exports", "Export requests that arrived.", "source")
        self._received_bytes = self._counter("received_bytes", "Their bytes, after decompression.", "source")
        self._refused = self._counter(
            "refused_exports", "Export requests that were not taken, by reason.", "source", "reason"
        )
        self._accepted = self._counter("accepted_records", "Records kept.", "source")
        self._rejected = self._counter("rejected_records", "Bad records among good ones, not kept.", "source")
        self._journalled = self._counter(
            "journalled_bytes", "Bytes written to the journal and synced.", "source"
        )
        self._braked = self._counter(
            "braked_streams", "Times an access log stream was made to wait for room.", "source"
        )
        self._followed_lines = self._counter("followed_lines", "Lines of followed files that were read.")

    def _counter(self, name: str, description: str, *labels: str) -> _Sums:
        sums = _Sums(*labels)
        self._meter.create_observable_counter(f"sidelight_{name}", [sums.observe], description=description)
        return sums

    def received(self, source: str, size_bytes: int) -> None:
        self._received.add(1, source)
        self._received_bytes.add(size_bytes, source)

    def refused(self, source: str, reason: str) -> None:
        self._refused.add(1, source, reason)

    def accepted(self, source: str, records: int) -> None:
        self._accepted.add(records, source)

    def rejected(self, source: str, records: int) -> None:
        self._rejected.add(records, source)

    def journalled(self, source: str, size_bytes: int) -> None:
        self._journalled.add(size_bytes, source)

    def braked(self, source: str) -> None:
        self._braked.add(1, source)

    def followed_lines(self, lines: int) -> None:
        self._followed_lines.add(lines)

    def gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        """A value read whenever a snapshot is taken."""

        def observe(_: CallbackOptions) -> Iterable[Observation]:
            yield Observation(read())

        self._meter.create_observable_gauge(name, [observe], description=description)

    def snapshot(self) -> list[Series]:
        """Every series with its samples; counters end in ``_total`` as Prometheus wants it."""
        data = self._reader.get_metrics_data()
        if data is None:
            return []
        found: list[Series] = []
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    counts = isinstance(metric.data, Sum)
                    samples = [
                        {
                            "labels": {"collector": self.collector} | dict(point.attributes or {}),
                            "value": point.value,
                        }
                        for point in metric.data.data_points
                        if isinstance(point, NumberDataPoint)
                    ]
                    found.append(
                        {
                            "name": metric.name + ("_total" if counts else ""),
                            "type": "counter" if counts else "gauge",
                            "help": metric.description,
                            "samples": samples,
                        }
                    )
        return found

    def write(self, path: Path, extra: dict[str, Any]) -> None:
        """Replace ``path`` by the snapshot and ``extra`` (plain JSON), whole or not at all."""
        body = {"time": time.time(), "pid": os.getpid(), "collector": self.collector} | extra
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(body | {"series": self.snapshot()}), encoding="utf-8")
        partial.replace(path)


def prometheus_text(series: Iterable[Series]) -> str:
    """The exposition format 0.0.4; series of one name (several collectors) are put together."""
    by_name: dict[str, Series] = {}
    for one in series:
        known = by_name.setdefault(one["name"], one | {"samples": []})
        known["samples"] = known["samples"] + one["samples"]
    lines: list[str] = []
    for name, one in sorted(by_name.items()):
        lines += [f"# HELP {name} {one['help']}", f"# TYPE {name} {one['type']}"]
        for sample in one["samples"]:
            labels = ",".join(f'{key}="{_escape(str(value))}"' for key, value in sample["labels"].items())
            lines.append(f"{name}{{{labels}}} {sample['value']}")
    return "\n".join(lines) + "\n" if lines else ""


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
