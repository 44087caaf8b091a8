"""The proxies whose access logs (ALS) a call holds: whose each entry is, and what their nodes teach.

What must stay true: each distinct identifier is read once; a proxy without a name is known by its
connection's address ('@IP').
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode import identity
from collector.decode.als_node import NOBODY, ProxyNode, read_identifier
from collector.decode.text import take
from collector.decode.types import Export

TEXT = pa.string()


@dataclass(frozen=True)
class Streams:
    """The sending proxies: one node number per export."""

    exports: Sequence[Export]
    numbers: np.ndarray  # the exports decoded
    node_of: np.ndarray  # export → node number
    nodes: list[ProxyNode]

    def texts(self, values: list[str | None], export_of: np.ndarray) -> pa.StringArray:
        """One value per node, laid out per entry."""
        return take(pa.array(values, TEXT), self.node_of[export_of])

    def clusters(self, export_of: np.ndarray) -> pa.DictionaryArray:
        """The mesh's name for where each entry's proxy runs, in the nodes' order."""
        clusters = pa.array([node.cluster for node in self.nodes], TEXT)
        return pa.DictionaryArray.from_arrays(pa.array(self.node_of[export_of]), clusters)

    def emitters(self, export_of: np.ndarray) -> pa.StringArray:
        named = self.texts([node.emitter for node in self.nodes], export_of)
        if not named.null_count:
            return named
        senders = pa.array([f"@{export.peer}" if export.peer else None for export in self.exports], TEXT)
        return pc.coalesce(named, take(senders, export_of))

    def is_own_address(self, address: pa.StringArray, export_of: np.ndarray) -> pa.BooleanArray:
        """Whether an IP:PORT is the sending proxy's own (by its node, else by its connection)."""
        own = [f"{number}|{ip}" for number, node in enumerate(self.nodes) for ip in node.addresses]
        senders = [f"@{number}|{export.peer}" for number, export in enumerate(self.exports) if export.peer]
        ip = pc.replace_substring_regex(address, r"^\[?([^\]]*?)\]?:[0-9]+$", r"\1")
        by_node = pc.binary_join_element_wise(pa.array(self.node_of[export_of]).cast(TEXT), ip, "|")
        by_peer = pc.binary_join_element_wise("@", pa.array(export_of).cast(TEXT), "|", ip, "")
        return pc.or_(pc.is_in(by_node, pa.array(own, TEXT)), pc.is_in(by_peer, pa.array(senders, TEXT)))


def streams_of(exports: Sequence[Export], numbers: np.ndarray, sent: pa.Array) -> Streams:
    """Read each distinct identifier once: the one held for the stream, else the message's own."""
    nodes: dict[ProxyNode, int] = {}
    known: dict[int, int] = {}  # id() of an identifier's bytes, which `exports` keeps alive
    node_of = np.zeros(len(exports), np.int32)
    for row, number in enumerate(numbers.tolist()):
        held = exports[number].identifier
        if held is None:
            own = sent[row].as_py()
            node_of[number] = nodes.setdefault(read_identifier(own), len(nodes))
            continue
        if id(held) not in known:
            known[id(held)] = nodes.setdefault(read_identifier(held), len(nodes))
        node_of[number] = known[id(held)]
    return Streams(exports, numbers, node_of, list(nodes) or [NOBODY])


def stream_identities(streams: Streams, tables: Sequence[pa.Table]) -> pa.Table:
    """One row per proxy and address of it, true since the first entry of this call that it sent."""
    since = np.array([export.received_us for export in streams.exports], np.int64)
    for table in tables:
        times = table.column("time").combine_chunks().cast(pa.int64()).to_numpy()
        np.minimum.at(since, table.column("export").to_numpy(), times)
    rows = []
    for number, node in enumerate(streams.nodes):
        sent = streams.numbers[streams.node_of[streams.numbers] == number]
        if node is NOBODY or node == NOBODY or not len(sent):
            continue
        export = int(sent[np.argmin(since[sent])])
        rows += [(export, int(since[export]), address, node) for address in node.addresses or (None,)]
    said = ("emitter", "node_type", "cluster", "namespace", "pod", "workload", "app", "version")
    columns = {
        name: pa.array([getattr(row[3], name) for row in rows], TEXT)
        for name in (*said, "service_account", "zone")
    }
    return identity.identities(
        len(rows),
        export=pa.array([row[0] for row in rows], pa.int32()),
        time=pa.array([row[1] for row in rows], pa.int64()),
        evidence=pa.array(["als_node"] * len(rows), TEXT),
        address=pa.array([row[2] for row in rows], TEXT),
        **columns,
    )
