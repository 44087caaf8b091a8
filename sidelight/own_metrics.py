"""Our own metrics by OTLP, to wherever the settings say (also to ourselves).

The same series as ``/metrics``, of all processes, sent by the store's. What must stay true: an endpoint that is
away costs a line in the log and nothing else; sent to ourselves, an export of ours is one more export a round and
causes no other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

Series = dict[str, Any]  # as in dashboard.metrics

_TIMEOUT_S = 5


class OwnMetrics:
    """Sends what ``read`` returns every ``interval_s`` until ``stop``."""

    def __init__(self, endpoint: str, interval_s: float, read: Callable[[], list[Series]]) -> None:
        """``endpoint``: ``http://HOST:PORT`` or ``https://HOST:PORT`` of an OTLP receiver over gRPC."""
        exporter = OTLPMetricExporter(
            endpoint=endpoint, insecure=endpoint.startswith("http://"), timeout=_TIMEOUT_S
        )
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))
        resource = Resource.create({"service.name": "sidelight"})
        self._provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        self._meter = self._provider.get_meter("sidelight")
        self._read = read
        self._interval_s = interval_s
        self._latest: dict[str, Series] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="own-metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=_TIMEOUT_S)
        self._provider.shutdown(timeout_millis=1000)

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            self._refresh()
            self._provider.force_flush(_TIMEOUT_S * 1000)

    def _refresh(self) -> None:
        latest: dict[str, Series] = {}
        for one in self._read():
            known = latest.setdefault(one["name"], one | {"samples": []})
            known["samples"] = known["samples"] + one["samples"]
        begun, self._latest = self._latest, latest
        for name in latest.keys() - begun.keys():
            self._begin(latest[name])

    def _begin(self, one: Series) -> None:
        name = str(one["name"])

        def observe(_: CallbackOptions) -> Iterable[Observation]:
            for sample in self._latest.get(name, {"samples": []})["samples"]:
                yield Observation(sample["value"], sample["labels"])

        if one["type"] == "counter":
            self._meter.create_observable_counter(
                name.removesuffix("_total"), [observe], description=one["help"]
            )
        else:
            self._meter.create_observable_gauge(name, [observe], description=one["help"])
