"""``/metrics``: what this server counts of itself, as Prometheus reads it.

The collectors replace a snapshot file each second (``DATA/run/*.metrics.json``); the store's own
numbers come from ``status()``. Every name begins with ``sidelight_``. What must stay true: a broken or
missing snapshot costs its own numbers and nothing else.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dashboard import query_times

Series = dict[str, Any]  # {"name", "type", "help", "samples": [{"labels": {…}, "value": n}]}

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_AGE_S = 60.0


def from_snapshots(data: Path | None) -> list[Series]:
    """The series of all living collectors."""
    found: list[Series] = []
    for path in sorted((data / "run").glob("*.metrics.json")) if data else []:
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            if time.time() - float(body.get("time", 0)) <= MAX_AGE_S:
                found += [one for one in body["series"] if _NAME.fullmatch(one["name"])]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return found


def from_status(status: dict[str, Any], prefix: str = "sidelight_store") -> list[Series]:
    """Every number in ``status``, nested names joined by ``_``, as gauges."""
    found: list[Series] = []
    for name, value in status.items():
        full = f"{prefix}_{re.sub(r'[^a-zA-Z0-9_]', '_', str(name))}"
        if isinstance(value, dict):
            found += from_status(value, full)
        elif isinstance(value, bool | int | float):
            found.append(_gauge(full, f"{name}, from the store's status.", float(value)))
    return found


def own() -> list[Series]:
    """This process's resident memory and processor time, where the system tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return []
    return [
        _gauge("sidelight_store_process_resident_bytes", "Memory of the store's process.", pages * 4096.0),
        _gauge(
            "sidelight_store_process_cpu_seconds",
            "Processor time of the store's process.",
            time.process_time(),
        ),
    ]


def everything(data: Path | None, status: dict[str, Any]) -> list[Series]:
    """The series of all our processes."""
    return [*from_snapshots(data), *own(), *query_times.series(), *from_status(status)]


def exposition(series: Iterable[Series]) -> str:
    """The text format 0.0.4; samples of one name (several collectors) are put together."""
    by_name: dict[str, Series] = {}
    for one in series:
        known = by_name.setdefault(one["name"], {**one, "samples": []})
        known["samples"] = [*known["samples"], *one["samples"]]
    lines: list[str] = []
    for name, one in sorted(by_name.items()):
        lines += [f"# HELP {name} {_line(one.get('help', ''))}", f"# TYPE {name} {one.get('type', 'gauge')}"]
        for sample in one["samples"]:
            labels = ",".join(f'{k}="{_escape(str(v))}"' for k, v in sample["labels"].items())
            lines.append(f"{name}{{{labels}}} {sample['value']}" if labels else f"{name} {sample['value']}")
    return "\n".join(lines) + "\n"


def _gauge(name: str, text: str, value: float) -> Series:
    return {"name": name, "type": "gauge", "help": text, "samples": [{"labels": {}, "value": value}]}


def _line(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", " ")


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
