"""Which decoder reads which kind of body: the one place that joins the door to the wire formats."""

from __future__ import annotations

from collector.decode.envoy_als import decode_als, split_identifier
from collector.decode.otlp_json import decode_logs_json, decode_metrics_json, decode_traces_json
from collector.decode.otlp_logs import decode_logs
from collector.decode.otlp_metrics import decode_metrics
from collector.decode.otlp_traces import decode_traces
from collector.decode.types import Export
from collector.intake import Decoder

__all__ = ["DECODERS", "split_identifier", "warm_up"]

DECODERS: dict[str, Decoder] = {
    "otlp_traces": decode_traces,
    "otlp_logs": decode_logs,
    "otlp_metrics": decode_metrics,
    "otlp_traces_json": decode_traces_json,
    "otlp_logs_json": decode_logs_json,
    "otlp_metrics_json": decode_metrics_json,
    "als": decode_als,
}


def warm_up() -> None:
    """Let the decoders build what they keep, before the first sender waits for it."""
    for decode in DECODERS.values():
        decode([Export(b"", None, 0)])
