"""``--names FILE``: names for addresses that nobody's telemetry names, such as VMs and external services.

The file is YAML: an address, then its workload's name or several fields.

    10.1.2.3: billing-vm
    10.1.2.4: {workload: orders-db, namespace: data, service: orders-db.corp}
    203.0.113.7: {service: api.example.com}

The last is the external host of that name, as callers by name reach it.

What must stay true: what it says goes through the journal like everything else that is told about an
address (evidence ``names``, the strongest), so it is there after a restart and repairs what is past.
"""

from __future__ import annotations

import ipaddress
import time
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from collector.journal import JournalWriter, writer_name
from store.frames import Batch, ExportMark
from store.schema import IDENTITIES

FIELDS = ("workload", "namespace", "app", "version", "service", "service_account", "cluster", "zone")
MAX_BYTES = 16 << 20
LONGEST = 253


class BadNames(ValueError):
    """A sentence: what is wrong, in the file or with the folder, and what was expected."""


def read_names(path: Path) -> Batch:
    """The file as a batch of identities. Raises BadNames."""
    try:
        content = path.read_bytes()
        if len(content) > MAX_BYTES:
            raise BadNames(f"--names {path} is over {MAX_BYTES >> 20} MiB.")
        told = yaml.safe_load(content)
    except OSError as error:
        raise BadNames(f"--names {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadNames(f"--names {path} is not YAML: {error}.") from error
    if not isinstance(told, dict):
        raise BadNames(f"--names {path}: expected lines like `10.1.2.3: billing-vm`.")
    rows = [_row(path, address, fields) for address, fields in told.items()]
    mark = ExportMark(blake2b(content, digest_size=16).hexdigest(), time.time_ns() // 1000, "names")
    return Batch([mark], {"identities": pa.Table.from_pylist(rows, IDENTITIES)})


def journal_names(path: Path, data_dir: Path) -> None:
    """Put what the file says into the journal of ``data_dir``; durable on return. Raises BadNames."""
    batch = read_names(path)
    try:
        writer = JournalWriter(data_dir / "journal", writer_name("names"))
    except OSError as error:
        raise BadNames(f"{data_dir} cannot be used: {error.strerror}. Choose another with --data.") from error
    try:
        writer.append(batch).result()
    finally:
        writer.close()


def _row(path: Path, address: Any, fields: Any) -> dict[str, Any]:
    try:
        ip = str(ipaddress.ip_address(str(address)))
    except ValueError:
        raise BadNames(f"--names {path}: {str(address)[:80]!r} is not an IP address.") from None
    if isinstance(fields, str):
        fields = {"workload": fields}
    if not isinstance(fields, dict) or not fields:
        raise BadNames(f"--names {path}: {ip} needs a name, or fields of {', '.join(FIELDS)}.")
    for name, value in fields.items():
        if name not in FIELDS:
            raise BadNames(
                f"--names {path}: {ip} has a field {str(name)[:80]!r}; known are {', '.join(FIELDS)}."
            )
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST:
            raise BadNames(
                f"--names {path}: {ip}: {name} is to be a text of at most {LONGEST} letters "
                "(a number needs quotes)."
            )
    return {"export": 0, "evidence": "names", "address": ip, **fields}
