"""Reads the plain-text cases of `tests/store/cases`: pods and rows in, edges out.

A case begins with ``== one sentence``; its tables begin with a name and a colon, then a line of column
names, then rows, cells separated by ``|``. ``-`` is null; a column left out takes the default here.
All cases are loaded into one store: each is moved to a namespace (`default`), a network (`10.0.0.`) and
an hour of its own.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

NOON = datetime(2026, 11, 21, 12, 0, 0)
Row = dict[str, str | None]

_POD = {"node_type": "sidecar", "cluster": "Kubernetes", "evidence": "als_node"}
_ROW = {"signal": "als", "reporter": "source", "protocol": "http", "code": "200", "details": "via_upstream"}
_WHOLE = {"duration_us", "status_code", "grpc_status", "attempts", "request_bytes", "response_bytes"}


@dataclass
class Case:
    """One case: its sentence, and its tables by name."""

    sentence: str
    noon: datetime
    namespace: str
    tables: dict[str, list[Row]] = field(default_factory=dict)

    def identities(self) -> list[dict[str, Any]]:
        """`pods` → rows of the shared schema's `identities`."""
        rows = []
        for pod in self.tables.get("pods", []):
            cells = dict(pod)
            time = self.noon + timedelta(seconds=float(cells.pop("at", None) or 0))
            row: dict[str, Any] = {**_POD, "namespace": self.namespace, "time": time, **cells}
            emitter = row.get("emitter") or ""
            row.setdefault("pod", emitter.rpartition(".")[0] or None)
            rows.append(row)
        return rows

    def observations(self) -> list[dict[str, Any]]:
        """`rows` → rows of `observations`; `at` is seconds after noon, `n` copies."""
        return [row for given in self.tables.get("rows", []) for row in _observations(self, given)]

    def spans(self) -> list[dict[str, Any]]:
        """`spans` → the proxies' listener spans; `calls` → applications' spans."""
        proxies = [row for given in self.tables.get("spans", []) for row in _spans(self, given)]
        return proxies + [row for given in self.tables.get("calls", []) for row in _calls(self, given)]


def read_cases(folder: Path) -> list[Case]:
    """Every case of every file, in order."""
    cases: list[Case] = []
    for path in sorted(folder.glob("*.txt")):
        cases += _read_file(path, len(cases))
    return cases


def _read_file(path: Path, before: int) -> list[Case]:
    cases: list[Case] = []
    header: list[str] | None = None
    name = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if text.startswith("=="):
            number = before + len(cases)
            cases.append(Case(text.lstrip("= "), NOON + timedelta(hours=number), f"case{number}"))
        elif text.endswith(":") and "|" not in text:
            name, header = text[:-1], None
            cases[-1].tables[name] = []
        elif text and not text.startswith("#"):
            moved = text.replace("10.0.0.", f"10.{number}.0.").replace("default", cases[-1].namespace)
            cells = [cell.strip() for cell in moved.split("|")]
            if header is None:
                header = cells
            else:
                values = [None if cell == "-" else cell for cell in cells]
                cases[-1].tables[name].append(dict(zip(header, values, strict=True)))
    return cases


def _observations(case: Case, given: Row) -> list[dict[str, Any]]:
    cells = {**_ROW, **given}
    row: dict[str, Any] = {
        "time": case.noon + timedelta(seconds=float(cells.pop("at", None) or 0)),
        "duration_us": int(float(cells.pop("ms", None) or 10) * 1000),
        "status_code": _number(cells.pop("code")),
        "response_flags": cells.pop("flags", None) or "",
        "response_code_details": cells.pop("details"),
        "upstream_cluster": _cluster(case, cells.pop("to", None)),
        "source_address": cells.pop("from", None),
        "upstream_address": cells.pop("upstream", None),
        "downstream_local_address": cells.pop("local", None),
    }
    copies = int(cells.pop("n", None) or 1)
    row |= {name: _number(value) if name in _WHOLE else value for name, value in cells.items()}
    return [dict(row) for _ in range(copies)]


def _spans(case: Case, given: Row) -> list[dict[str, Any]]:
    cells = dict(given)
    time = case.noon + timedelta(seconds=float(cells.pop("at", None) or 0))
    row: dict[str, Any] = {
        "time": time,
        "time_ns": int((time - datetime(1970, 1, 1)).total_seconds() * 1e9),
        "duration_ns": 10_000_000,
        **_ids(cells),
        "is_proxy": True,
        "name": "reviews:9080/*",
        "method": "GET",
        "status": "unset",
        "kind": cells.pop("kind", None) or "client",
        "status_code": _number(cells.pop("code", None) or "200"),
        "response_flags": cells.pop("flags", None) or "",
        "upstream_cluster": _cluster(case, cells.pop("to", None)),
        "peer_address": cells.pop("from", None),
    }
    copies = int(cells.pop("n", None) or 1)
    return [{**row, **cells} for _ in range(copies)]


def _calls(case: Case, given: Row) -> list[dict[str, Any]]:
    """`target` is 'database:postgresql:orders'; `to` the address called; `from` the direct peer's."""
    cells = dict(given)
    time = case.noon + timedelta(seconds=float(cells.pop("at", None) or 0))
    target = ((cells.pop("target", None) or "::").split(":") + [""] * 3)[:3]
    row: dict[str, Any] = {
        "time": time,
        "time_ns": int((time - datetime(1970, 1, 1)).total_seconds() * 1e9),
        "duration_ns": int(float(cells.pop("ms", None) or 10) * 1e6),
        **_ids(cells),
        "is_proxy": False,
        "name": "GET",
        "status": cells.pop("status", None) or "unset",
        "status_code": _number(cells.pop("code", None)),
        "grpc_status": _number(cells.pop("grpc", None)),
        "target_address": cells.pop("to", None),
        "peer_address": cells.pop("from", None),
    }
    row |= {
        f"target_{part}": text or None for part, text in zip(("kind", "system", "name"), target, strict=True)
    }
    copies = int(cells.pop("n", None) or 1)
    return [{**row, **cells} for _ in range(copies)]


def _ids(cells: Row) -> dict[str, Any]:
    """`trace`, `span` and `parent` are small numbers."""
    return {
        "trace_id": uuid.UUID(int=int(cells.pop("trace", None) or 7)).bytes,
        "span_id": int(cells.pop("span", None) or 1),
        "parent_span_id": _number(cells.pop("parent", None)),
    }


def _cluster(case: Case, text: str | None) -> str | None:
    """'reviews' or 'reviews/v2' → Istio's outbound cluster; ':9080' → the inbound one; else as it stands, and
    so what follows '=' (with '/' for the '|' that ends a cell)."""
    if text is not None and text.startswith("="):
        return text[1:].replace("/", "|")
    if text is None or ("/" not in text and not text.startswith(":") and not text.islower()):
        return text
    if text.startswith(":"):
        return f"inbound|{text[1:]}||"
    host, _, subset = text.partition("/")
    full = host if "." in host else f"{host}.{case.namespace}.svc.cluster.local"
    return f"outbound|9080|{subset}|{full}"


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
