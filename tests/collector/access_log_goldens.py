"""What the captured access logs decode to, one JSON line per row, so that a change shows as a diff.

`python -m tests.collector.access_log_goldens` writes fixtures/golden/access_log_*.jsonl again.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from collector.decode.access_log import READABLE, decode_chunk
from collector.decode.access_log_emitter import Emitter, Pod

FIXTURES = Path(__file__).parents[2] / "fixtures"
CAPTURES = FIXTURES / "captures" / "access_logs"
GOLDEN = FIXTURES / "golden"
ALL = frozenset(READABLE)
CLIENT = Pod("productpage-v1-564d4686f-t6s4m", "default")
SERVER = Pod("reviews-v1-7f9c4d8b6-x2x4z", "default")


def captured(name: str) -> bytes:
    return (CAPTURES / name).read_bytes()


def without_notes(data: bytes) -> bytes:
    """Without the ``#`` lines that say where the others are from."""
    return b"\n".join(line for line in data.split(b"\n") if not line.startswith(b"#"))


def public_lines() -> list[str]:
    return [line for line in without_notes(captured("public_lines.txt")).decode().split("\n") if line]


def public_json_lines() -> list[str]:
    records = captured("public_lines.jsonl").decode().splitlines()
    return [json.dumps(json.loads(record)["line"], separators=(",", ":")) for record in records]


def plain(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows without nulls and without what all rows share, ready for JSON."""
    return [
        {
            name: str(value)
            if name in ("time", "trace_id")
            else dict(value)
            if name == "attributes"
            else value
            for name, value in row.items()
            if value is not None and value != [] and name not in ("export", "signal")
        }
        for row in rows.to_pylist()
    ]


def decoded(data: bytes, pod: Pod | None) -> list[dict[str, Any]]:
    chunk = decode_chunk(data, 1, ALL, Emitter(pod))
    rows = plain(chunk.requests) + plain(chunk.connections)
    identities = [{"identity": row} for row in plain(chunk.identities)]
    rejects = [{"rejected": [one.line, one.reason]} for one in chunk.rejects]
    return rows + identities + rejects + ([{"skipped": chunk.skipped}] if chunk.skipped else [])


@cache
def goldens() -> dict[str, list[dict[str, Any]]]:
    files: dict[str, list[tuple[str, Pod | None]]] = {
        "istio": [
            ("client.istio.log", CLIENT),
            ("server.istio.log", SERVER),
            ("client.tcp.istio.log", CLIENT),
        ],
        "envoy": [("client.default.log", CLIENT), ("client.listener.log", CLIENT)],
        "json": [("client.istio.json", CLIENT), ("server.istio.json", SERVER), ("client.ext.json", CLIENT)],
        "ztunnel": [("ztunnel.txt", None)],
    }
    made = {
        name: [row for file, pod in of for row in decoded(without_notes(captured(file)), pod)]
        for name, of in files.items()
    }
    # Lines of many meshes: each is a file of its own.
    made["public"] = [
        row for line in public_lines() + public_json_lines() for row in decoded(line.encode() + b"\n", None)
    ]
    return made


def rendered(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def regenerate() -> None:
    for name, rows in goldens().items():
        (GOLDEN / f"access_log_{name}.jsonl").write_text(rendered(rows), encoding="utf-8")


if __name__ == "__main__":
    regenerate()
