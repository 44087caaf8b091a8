"""A chunk of an access-log file → tables of the store's schema. Pure: bytes in, tables and rejects out.

What must stay true: nothing raises for bad data; every non-empty line of the chunk ends as a row, as a
counted skip (start, periodic and listener records) or as a reject with its line number.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode.access_log_detect import Format, detect_format, strip_prefixes
from collector.decode.access_log_emitter import Emitter
from collector.decode.access_log_fields import Lines, ParsedLines, Reject, join_fields, reject
from collector.decode.access_log_format import LineFormat, parse_lines
from collector.decode.access_log_json import parse_json
from collector.decode.access_log_rows import build_rows
from collector.decode.access_log_text import parse_text
from collector.decode.peers import peer_identities
from collector.decode.text import to_text
from collector.decode.ztunnel_lines import is_ztunnel, parse_ztunnel
from collector.decode.ztunnel_rows import ztunnel_rows
from store.schema import OBSERVATIONS, TABLES

READABLE = ("istio", "envoy", "json", "ztunnel")
LINE_BYTES_MAX = 1024 * 1024


@dataclass
class DecodedChunk:
    """``requests`` and ``connections`` are rows of `observations` (of ``connections``, Envoy's TCP, the last row
    of each wins), ``identities`` what they teach; all of export 0."""

    requests: pa.Table = field(default_factory=OBSERVATIONS.empty_table)
    connections: pa.Table = field(default_factory=OBSERVATIONS.empty_table)
    identities: pa.Table = field(default_factory=TABLES["identities"].empty_table)
    rejects: list[Reject] = field(default_factory=list)
    lines: int = 0  # that were not empty
    skipped: int = 0  # start, periodic and listener records, connections that only opened


def detect(data: bytes) -> Format | None:
    """The format of a file, from its first chunk."""
    texts, lines = _lines(data[: 256 * 1024], 1)
    return detect_format(strip_prefixes(texts, lines)[0].to_pylist())


def decode_chunk(
    data: bytes, first_line: int, families: frozenset[str] | LineFormat, emitter: Emitter
) -> DecodedChunk:
    """``data``: whole lines; ``first_line``: the number of the first one; ``families``: of READABLE, or the
    user's own format."""
    texts, lines = _lines(data, first_line)
    decoded = DecodedChunk(lines=len(texts))
    if isinstance(families, LineFormat):
        parsed = _parse_own(texts, lines, families)
    else:
        texts, lines, decoded.rejects = strip_prefixes(texts, lines)
        if "ztunnel" in families:
            texts, lines = _take_ztunnel(texts, lines, families, decoded)
        parsed = _parse(texts, lines, families - {"ztunnel"})
    emitter.learn(parsed.fields)
    rows = build_rows(parsed.fields, emitter)
    decoded.rejects = sorted([*decoded.rejects, *parsed.rejects, *rows.rejects], key=lambda one: one.line)
    decoded.skipped += rows.skipped
    requests = rows.observations
    if rows.is_tcp.any():
        requests = rows.observations.filter(pa.array(~rows.is_tcp))
        decoded.connections = rows.observations.filter(pa.array(rows.is_tcp))
    decoded.requests = pa.concat_tables([decoded.requests, requests])
    if rows.observations.num_rows:
        identities = emitter.identities(pc.min(rows.observations["time"]))
        unknown = pa.nulls(rows.observations.num_rows, pa.string())
        others = peer_identities(rows.observations, *rows.peers, own_cluster=unknown)
        decoded.identities = pa.concat_tables([decoded.identities, identities, others])
    return decoded


def _take_ztunnel(
    texts: pa.StringArray, lines: Lines, families: frozenset[str], decoded: DecodedChunk
) -> tuple[pa.StringArray, Lines]:
    """ztunnel's lines into ``decoded``; returns the others. They have nothing in common with Envoy's, not even
    one writer for the file."""
    if len(families) == 1:  # asked for: taken at its word
        theirs = np.ones(len(texts), bool)
    else:
        theirs = is_ztunnel(texts)
        if not theirs.any():
            return texts, lines
    found = parse_ztunnel(texts.filter(pa.array(theirs)), lines[theirs])
    decoded.requests, decoded.identities, rejects = ztunnel_rows(found.fields)
    decoded.rejects += found.rejects + rejects
    decoded.skipped += found.opened
    return texts.filter(pa.array(~theirs)), lines[~theirs]


def _parse_own(texts: pa.StringArray, lines: Lines, form: LineFormat) -> ParsedLines:
    """Lines as they are; what does not fit is tried again without a container's prefix."""
    parsed = parse_lines(texts, lines, form)
    if not parsed.rejects:
        return parsed
    odd = np.isin(lines, [one.line for one in parsed.rejects])
    bare, numbers, broken = strip_prefixes(texts.filter(pa.array(odd)), lines[odd])
    again = parse_lines(bare, numbers, form)
    # A line's own time looks like a container's: where taking it off has left less to fit, the first reason stands.
    first = {one.line: one for one in parsed.rejects}
    told = [first.get(one.line, one) if form.breaks_at_once(one) else one for one in again.rejects]
    rejects = sorted([*broken, *told], key=lambda one: one.line)
    return ParsedLines(join_fields([parsed.fields, again.fields]), rejects)


def _parse(texts: pa.StringArray, lines: Lines, families: frozenset[str]) -> ParsedLines:
    is_json = pc.starts_with(texts, "{").to_numpy(zero_copy_only=False).astype(bool)
    if not len(texts):
        return ParsedLines(join_fields([]))
    text_families = families - {"json"}
    pieces: list[ParsedLines] = []
    if is_json.any() and "json" in families:
        pieces.append(parse_json(texts.filter(pa.array(is_json)), lines[is_json]))
    if not is_json.all() and text_families:
        pieces.append(parse_text(texts.filter(pa.array(~is_json)), lines[~is_json], text_families))
    rejects = [one for piece in pieces for one in piece.rejects]
    wrong = np.flatnonzero(is_json & ("json" not in families) | ~is_json & (not text_families))
    expected = " or ".join(sorted(families))
    for at in wrong.tolist():
        rejects.append(reject(lines[at], f"not a line of the format {expected}", texts[at].as_py()))
    return ParsedLines(join_fields([piece.fields for piece in pieces]), rejects)


def _lines(data: bytes, first_line: int) -> tuple[pa.StringArray, Lines]:
    """The lines that are not empty, as valid UTF-8, with their numbers."""
    body = pa.py_buffer(data)
    end = len(data) - data.endswith(b"\n")  # what follows the last newline is no line
    ends = pa.py_buffer(np.array([0, end], np.int32))
    split = pc.split_pattern(pa.Array.from_buffers(pa.binary(), 1, [None, ends, body]), b"\n").flatten()
    texts = to_text(split, LINE_BYTES_MAX)
    if b"\r" in data:
        texts = pc.utf8_rtrim(texts, "\r")
    lines = np.arange(first_line, first_line + len(texts))
    filled = pc.greater(pc.binary_length(texts), 0)
    if pc.all(filled).as_py():
        return texts, lines
    return texts.filter(filled), lines[filled.to_numpy(zero_copy_only=False)]
