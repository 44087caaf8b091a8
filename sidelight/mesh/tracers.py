"""OpenTelemetry for the applications: one provider per pod, one exporter for all of them.

The resource of a pod is what the Kubernetes operator would give it. Sharing the exporter saves a thread and a
connection per pod; spans still leave grouped by resource.
"""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer

from sidelight.mesh.plan import Plan, Pod

FLUSH_MS = 500
PATIENCE_SECONDS = 30


class Tracers:
    """Hands out tracers and sees to it that what they recorded is sent."""

    def __init__(self, plan: Plan, target: str) -> None:
        self._plan = plan
        exporter = OTLPSpanExporter(endpoint=target, insecure=True, timeout=PATIENCE_SECONDS)
        self._processor = BatchSpanProcessor(exporter, max_queue_size=65_536, schedule_delay_millis=FLUSH_MS)

    def of(self, pod: Pod) -> Tracer:
        provider = TracerProvider(resource=self._resource(pod), shutdown_on_exit=False)
        provider.add_span_processor(self._processor)
        return provider.get_tracer("sidelight.mesh")

    def flush(self) -> None:
        """Blocks until everything recorded so far was sent, or nobody took it for half a minute."""
        self._processor.force_flush(PATIENCE_SECONDS * 1000)

    def close(self) -> None:
        self._processor.shutdown()

    def _resource(self, pod: Pod) -> Resource:
        return Resource.create(
            {
                "service.name": pod.app,
                "service.namespace": pod.namespace,
                "service.version": pod.version or "",
                "service.instance.id": f"{pod.namespace}.{pod.name}.{pod.app}",
                "k8s.cluster.name": self._plan.topology.cluster,
                "k8s.namespace.name": pod.namespace,
                "k8s.deployment.name": pod.workload_name,
                "k8s.pod.name": pod.name,
                "k8s.pod.uid": pod.uid,
                "k8s.pod.ip": pod.ip,
            }
        )
