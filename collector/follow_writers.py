"""Who writes each followed log and in which form: what decoding needs beside the lines.

What must stay true: the name a log's writer was given first is the name in all of its rows, over rotations and
restarts (it is kept with the position); what the lines teach beyond it is learned again from the file's
beginning.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from collector.decode.access_log import DecodedChunk, decode_chunk, detect
from collector.decode.access_log_emitter import Emitter
from collector.decode.access_log_fields import Reject
from collector.decode.access_log_format import LineFormat
from collector.follow_lines import LINE_TOO_LONG, Lines, lines_of
from collector.follow_positions import Position
from collector.follow_targets import FollowTarget
from collector.followed_file import FollowedFile

log = logging.getLogger(__name__)

_LEARNED_FROM_BYTES = 256 << 10
_STRANGE_LINES = 1000


class Writer:
    """The writer of one log, over all of its files."""

    def __init__(self, target: FollowTarget, origin: str, emitter: str | None) -> None:
        self._origin = origin
        self._families = target.families
        self._emitter = Emitter(target.pod_of(origin), fixed_name=emitter)
        self._source = "custom_text" if isinstance(self._families, LineFormat) else None
        self._rows = self._rejected = 0

    @property
    def emitter(self) -> str | None:
        return self._emitter.name

    def source(self, data: bytes) -> str:
        """What the lines are called in `rejects`."""
        if self._source is None:
            found = detect(data)
            if found is None or not found.readable:
                return "unknown_text"
            self._source = "json" if found.name == "json" else f"{found.name}_text"
        return self._source

    def learn_again(self, file: FollowedFile, position: Position) -> None:
        """After a restart: what the beginning of the file says of its writer. Raises OSError."""
        head = b"" if file.is_gzip else file.content.read(0, min(position.offset, _LEARNED_FROM_BYTES))
        head = head[: head.rfind(b"\n") + 1]
        if head:
            decode_chunk(head, 1, self._families, self._emitter)

    def decode(self, position: Position, data: bytes) -> DecodedChunk:
        """The rows of a range that begins at ``position``; a defect of ours costs this range, not the log."""
        lines = lines_of(position, data)
        try:
            decoded = decode_chunk(lines.data, lines.first_line, self._families, self._emitter)
        except Exception:
            log.exception("Lines of %s could not be decoded: a defect of Sidelight", position.path)
            decoded = _defect(lines)
        if lines.long_line is not None:
            decoded.rejects.insert(0, Reject(lines.long_line, LINE_TOO_LONG, ""))
        self._judge(position, decoded)
        return decoded

    def _judge(self, position: Position, decoded: DecodedChunk) -> None:
        before = self._rejected
        self._rows += decoded.requests.num_rows + decoded.connections.num_rows
        self._rejected += len(decoded.rejects)
        if not self._rows and before < _STRANGE_LINES <= self._rejected:
            log.warning(
                "%s: none of its first %d lines is an access-log line of a known format. Follow other files, "
                "or say the format in [[follow]].",
                position.path,
                self._rejected,
            )


class Writers:
    """One `Writer` for each origin."""

    def __init__(self, targets: tuple[FollowTarget, ...]) -> None:
        self._targets = targets
        self._writers: dict[str, Writer] = {}

    def of(self, position: Position, file: FollowedFile) -> Writer:
        writer = self._writers.get(position.origin)
        if writer is None:
            target = next((one for one in self._targets if one.matches(position.origin)), None)
            writer = Writer(target or FollowTarget(path=position.origin), position.origin, position.emitter)
            if position.offset:
                writer.learn_again(file, position)
            self._writers[position.origin] = writer
        return writer

    def keep(self, origins: Iterable[str]) -> None:
        """Forget the writers of all other logs."""
        kept = set(origins)
        for origin in [one for one in self._writers if one not in kept]:
            del self._writers[origin]


def _defect(lines: Lines) -> DecodedChunk:
    count = lines.data.count(b"\n")
    reason = f"these {count} lines could not be decoded: a defect of Sidelight, see its log"
    return DecodedChunk(lines=count, rejects=[Reject(lines.first_line, reason, "")])
