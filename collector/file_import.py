"""Access-log files → batches for the journal, each line once however often its file is imported.

What must stay true:

* a chunk's digest is over (format, emitter, its bytes); a known digest is not delivered again;
* a file that has grown since its last import adds its new lines only: its last chunk was delivered with a
  *marker* (its first line), and where the marker is known the digest of every prefix is asked for;
* TCP connections wait for the end of the file (their periodic records look like their last one), under a
  digest of their own, so that a killed import has lost none of them;
* at most a few chunks are in memory, and at most `CONNECTIONS_HELD` connections.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa

from collector.decode.access_log import READABLE, DecodedChunk, decode_chunk, detect
from collector.decode.access_log_emitter import Emitter, Pod
from collector.decode.access_log_fields import Reject
from collector.decode.access_log_format import LineFormat
from collector.decode.access_log_rows import last_of_each_connection
from collector.file_chunks import CannotRead, Chunk, LineFile, Unread
from store.frames import Batch, ExportMark
from store.schema import REJECTS

CONNECTIONS_HELD = 500_000
REJECT_ROWS_MAX = 1000  # per file; all are counted
_PLANNED = {
    "traefik": "Traefik access logs",
    "linkerd": "Linkerd access logs",
    "otlp": "OTLP files",
    "zipkin": "Zipkin files",
}
FORMATS = ("auto", *READABLE, *_PLANNED)
_READABLE = f"{', '.join(READABLE[:-1])} and {READABLE[-1]}"

Sink = Callable[[Batch], None]
Known = Callable[[list[str]], set[str]]
Progress = Callable[[int, int], None]  # raw bytes of the file read so far, lines so far


@dataclass
class Outcome:
    """What became of one file. ``lines`` without the empty ones; ``known_lines`` were imported before."""

    format: str | None = None
    emitter: str | None = None
    lines: int = 0
    known_lines: int = 0
    rows: int = 0
    skipped: int = 0
    rejected: int = 0
    rejects: list[Reject] = field(default_factory=list)  # the first REJECT_ROWS_MAX

    @property
    def adds_nothing(self) -> bool:
        return self.known_lines > 0 and self.known_lines == self.lines


def check_format(name: str) -> None:
    """Raises CannotRead for a format that is planned or unknown."""
    if name in _PLANNED:
        raise CannotRead(f"{_PLANNED[name]} cannot be imported yet; {_READABLE} can.")
    if name not in FORMATS:
        raise CannotRead(f"There is no format {name!r}. Use one of: auto, {', '.join(READABLE)}.")


def import_file(
    file: LineFile,
    *,
    form: str | LineFormat,
    pod: Pod | None,
    sink: Sink,
    known: Known,
    now_us: int,
    progress: Progress = lambda _bytes, _lines: None,
) -> Outcome:
    """Read ``file`` to its end. ``form`` is auto, one of READABLE, or the user's own; ``sink`` returns
    once a batch is durable and may raise. Raises CannotRead if this is no access log."""
    return _Import(file, pod, sink, known, now_us, progress).run(form)


class _Import:
    def __init__(
        self, file: LineFile, pod: Pod | None, sink: Sink, known: Known, now_us: int, progress: Progress
    ) -> None:
        self._file, self._pod, self._sink, self._known = file, pod, sink, known
        self._now_us, self._progress = now_us, progress
        self._outcome = Outcome()
        self._emitter = Emitter(pod)
        self._connections: list[pa.Table] = []
        self._connection_digests: list[str] = []
        self._key = b""
        self._families: frozenset[str] | LineFormat = frozenset()

    def run(self, form: str | LineFormat) -> Outcome:
        for piece in self._file.chunks():
            if isinstance(piece, Unread):
                rejects = self._reject([Reject(piece.line, piece.reason, "")])
                place = f"unread\0{self._file.path}\0{piece}".encode()
                self._deliver([_hex(self._hash(place))], {"rejects": self._reject_rows(rejects)})
                continue
            if not self._outcome.format:
                self._begin(form, piece)
            self._take(piece)
            self._progress(self._file.raw_bytes, self._outcome.lines)
        self._flush_connections(everything=True)
        self._outcome.emitter = self._emitter.name
        return self._outcome

    def _begin(self, form: str | LineFormat, chunk: Chunk) -> None:
        if isinstance(form, LineFormat):
            self._families = form
            self._set_format("custom", form.text)
            return
        found = detect(chunk.data)
        if found is not None and not found.readable and form == "auto":
            raise CannotRead(
                f"{self._file.path} looks like {found.name}: {_PLANNED[found.name]} cannot be imported yet; "
                f"{_READABLE} can."
            )
        if found is None and form == "auto":
            raise CannotRead(
                f"{self._file.path} holds no access-log lines of a known format. "
                f"If it is one, say which with --format: {_READABLE}."
            )
        name = found.name if form == "auto" and found else form
        # Container logs mix forms; a format that was asked for is taken at its word.
        self._families = frozenset(READABLE) if form == "auto" else frozenset({form})
        self._set_format(name, name)

    def _set_format(self, name: str, key: str) -> None:
        self._outcome.format = name
        pod = f"{self._pod.namespace or ''}/{self._pod.pod}" if self._pod else ""
        self._key = f"{key}\0{pod}\0".encode()

    def _take(self, chunk: Chunk) -> None:
        digest = _hex(self._hash(chunk.data))
        connections = _hex(self._hash(b"connections\0" + digest.encode()))
        marker = _hex(self._hash(b"tail\0" + chunk.data[: chunk.data.find(b"\n") + 1]))
        known = self._known([digest, connections, marker])
        data, first_line = chunk.data, chunk.first_line
        if first_line == 1 and (digest in known or marker in known):
            # The writer's name and kind come from the beginning: they must be what they were then.
            decode_chunk(data, first_line, self._families, self._emitter)
        if digest in known:
            self._count_known(data)
            if connections not in known:  # killed before the file's end: its connections were not written
                decoded = decode_chunk(data, first_line, self._families, self._emitter)
                self._hold(decoded.connections, connections)
            return
        if marker in known:
            cut = self._known_prefix(data)
            self._count_known(data[:cut])
            first_line += data.count(b"\n", 0, cut)
            data = data[cut:]
        decoded = decode_chunk(data, first_line, self._families, self._emitter)
        digests = [digest, marker] if chunk.is_tail else [digest]
        if not decoded.connections.num_rows:
            digests.append(connections)
        self._count(decoded)
        rejects = self._reject_rows(self._reject(decoded.rejects))
        tables = {
            "observations": decoded.requests,
            "identities": decoded.identities,
            "rejects": rejects,
        }
        self._deliver(digests, tables)
        if decoded.connections.num_rows:
            self._hold(decoded.connections, connections)

    def _known_prefix(self, data: bytes) -> int:
        """Bytes of the longest beginning that was delivered as the end of this file once."""
        state = self._hash(b"")
        ends: dict[str, int] = {}
        start = 0
        while (end := data.find(b"\n", start) + 1) > 0:
            state.update(data[start:end])
            ends[_hex(state.copy())] = end
            start = end
        return max((ends[digest] for digest in self._known(list(ends))), default=0)

    def _hold(self, connections: pa.Table, digest: str) -> None:
        self._connections.append(connections)
        self._connection_digests.append(digest)
        if sum(table.num_rows for table in self._connections) > CONNECTIONS_HELD:
            self._connections = [last_of_each_connection(pa.concat_tables(self._connections))]
            if self._connections[0].num_rows > CONNECTIONS_HELD // 2:
                self._flush_connections(everything=False)

    def _flush_connections(self, everything: bool) -> None:
        if not self._connection_digests:
            return
        rows = last_of_each_connection(pa.concat_tables(self._connections))
        self._outcome.rows += rows.num_rows
        self._deliver(self._connection_digests, {"observations": rows})
        self._connections, self._connection_digests = [], []

    def _deliver(self, digests: list[str], tables: dict[str, pa.Table]) -> None:
        """All rows belong to the first digest; the others are marks without rows."""
        marks = [ExportMark(digest, self._now_us, "import") for digest in digests]
        self._sink(Batch(marks, {name: table for name, table in tables.items() if table.num_rows}))

    def _count(self, decoded: DecodedChunk) -> None:
        self._outcome.lines += decoded.lines
        self._outcome.rows += decoded.requests.num_rows
        self._outcome.skipped += decoded.skipped

    def _count_known(self, data: bytes) -> None:
        lines = sum(1 for _ in filter(None, data.split(b"\n")))
        self._outcome.lines += lines
        self._outcome.known_lines += lines

    def _reject(self, rejects: list[Reject]) -> list[Reject]:
        """Count them; returns those that are still to be written down."""
        self._outcome.rejected += len(rejects)
        room = REJECT_ROWS_MAX - len(self._outcome.rejects)
        self._outcome.rejects += rejects[:room]
        return rejects[:room]

    def _reject_rows(self, rejects: list[Reject]) -> pa.Table:
        source = f"{self._outcome.format or 'unknown'}_text".replace("json_text", "json")
        rows = [
            {
                "export": 0,
                "time": self._now_us,
                "source": source,
                "place": f"{self._file.path}:{one.line}",
                "reason": one.reason,
                "sample": one.sample,
            }
            for one in rejects
        ]
        return pa.Table.from_pylist(rows, schema=REJECTS)

    def _hash(self, data: bytes) -> hashlib.blake2b:
        state = hashlib.blake2b(self._key, digest_size=16)
        state.update(data)
        return state


def _hex(state: hashlib.blake2b) -> str:
    return state.hexdigest()
