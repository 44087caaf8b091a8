"""Which access-log format a file holds, and what shippers put before each line.

CRI (``TIME stdout F ``, long lines in parts), Docker (``{"log": "..."}``), ``kubectl logs --timestamps``
and ``--prefix``, docker-compose. What must stay true: a line keeps its number whatever is taken off it;
a format we know but cannot read yet is named, not called broken.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode.access_log_fields import Lines, Reject, reject
from collector.decode.access_log_values import mask
from collector.decode.text import offsets_of
from collector.decode.ztunnel_lines import JSON_MARK, TEXT_MARK

_STAMP = r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)"
_PREFIX = rf"^(?:\[pod/[^\]]*\] |[\w.-]+ +\| |{_STAMP} (?:(?:stdout|stderr) [FP] )?)+"
_CRI_PART = re.compile(rf"^({_STAMP} (stdout|stderr)) P (.*)$", re.S)
_CRI_END = re.compile(rf"^{_STAMP} (stdout|stderr) F (.*)$", re.S)
_DOCKER = r'^\{"log":\s*"'
# What a line begins with that has nothing before it: Envoy's time, JSON, a request line, ztunnel's time and tab.
_PLAIN = rf'^(?:\[\d|\{{|"|{_STAMP}\t)'
# In old versions, and where a terminal was copied, blanks follow ztunnel's time: it would be taken for a prefix.
_ZTUNNEL_HEAD = rf"({_STAMP})[ \t]+([A-Za-z]+)[ \t]+access:?[ \t]+(connection [a-z]+)[ \t]+"

_TEXT_HEAD = re.compile(
    r'"[^ "]* .*? ?(?:HTTP/[\d.]+|-)" (?:\d+|-) (?:-|[A-Z][A-Z0-9_,]*) (?P<after>.{0,200})'
)
_ENVOY_AFTER = re.compile(r'(?:[a-z]\S* )?(?:\d+|-) (?:\d+|-) (?:-?\d+|-) (?:\d+|-) "')
_ELSEWHERE = (
    ("zipkin", re.compile(r'^\[?\{.*"traceId"\s*:.*"localEndpoint"')),
    ("otlp", re.compile(r'^\{\s*"resource(?:Spans|Logs|Metrics)"')),
    ("traefik", re.compile(r'"(?:DownstreamStatus|RouterName)"\s*:|" \d+ "[^"]*@\w+" "[^"]*" \d+ms$')),
    ("linkerd", re.compile(r'"(?:processing_ns|total_ns)"\s*:|^\S+ \S+ - \[[^\]]+\] "[^"]*" \d+ ')),
)
_SAMPLE_LINES = 200
_SAMPLE_CHARACTERS = 4096


@dataclass(frozen=True)
class Format:
    """``name``: 'istio' | 'envoy' | 'json' | 'ztunnel', or with ``readable`` False one that is only recognised."""

    name: str
    readable: bool = True


def detect_format(texts: list[str]) -> Format | None:
    """The format of most of these lines (prefixes taken off); None if none is recognised."""
    votes: dict[Format, int] = {}
    for text in texts[:_SAMPLE_LINES]:
        found = _format_of(text[:_SAMPLE_CHARACTERS])
        if found:
            votes[found] = votes.get(found, 0) + 1
    readable = {form: count for form, count in votes.items() if form.readable}
    chosen = readable or votes
    return max(chosen, key=lambda form: chosen[form]) if chosen else None


def _format_of(text: str) -> Format | None:
    if TEXT_MARK in text or (text.startswith("{") and re.search(JSON_MARK, text)):
        return Format("ztunnel")
    for name, pattern in _ELSEWHERE:
        if pattern.search(text):
            return Format(name, readable=False)
    if text.startswith("{"):
        return Format("json") if '"start_time"' in text or '"response_code"' in text else None
    head = _TEXT_HEAD.search(text)
    if head is None:
        return None
    return Format("envoy" if _ENVOY_AFTER.match(head["after"]) else "istio")


def strip_prefixes(texts: pa.StringArray, lines: Lines) -> tuple[pa.StringArray, Lines, list[Reject]]:
    """The lines as the proxy wrote them; parts of one line are joined under its first number."""
    rejects: list[Reject] = []
    if not len(texts):
        return texts, lines, rejects
    if _all_begin_with_a_time(texts):  # Envoy's text, nearly always: nothing is before it
        return texts, lines, rejects
    docker = mask(pc.match_substring_regex(texts, _DOCKER))
    if docker.any():
        texts, lines = _out_of_docker(texts, lines, docker, rejects)
    plain = mask(pc.match_substring_regex(texts, _PLAIN))
    if plain.all():
        return texts, lines, rejects
    if mask(pc.match_substring_regex(texts, rf"^{_STAMP} (?:stdout|stderr) P ")).any():
        texts, lines = _join_parts(texts, lines)
        plain = mask(pc.match_substring_regex(texts, _PLAIN))
    bare = texts.filter(pa.array(~plain))
    blank = pc.and_(pc.match_substring(bare, "src.addr="), pc.invert(pc.match_substring(bare, TEXT_MARK)))
    if pc.any(blank).as_py():
        tabbed = pc.replace_substring_regex(
            bare.filter(blank), _ZTUNNEL_HEAD, "\\1\t\\2\taccess\t\\3\t", max_replacements=1
        )
        bare = pc.replace_with_mask(bare, blank, tabbed)
    bare = pc.replace_substring_regex(bare, _PREFIX, "")
    texts = pc.replace_with_mask(texts, pa.array(~plain), bare)
    if mask(pc.match_substring_regex(texts, _DOCKER)).any():
        texts, lines = _out_of_docker(texts, lines, mask(pc.match_substring_regex(texts, _DOCKER)), rejects)
    return texts, lines, rejects


def _all_begin_with_a_time(texts: pa.StringArray) -> bool:
    offsets = offsets_of(texts)
    if (np.diff(offsets) < 2).any():
        return False
    data = np.frombuffer(texts.buffers()[2], np.uint8)
    digits = data[offsets[:-1] + 1]
    return bool(((data[offsets[:-1]] == ord("[")) & (digits >= ord("0")) & (digits <= ord("9"))).all())


def _out_of_docker(
    texts: pa.StringArray, lines: Lines, docker: np.ndarray, rejects: list[Reject]
) -> tuple[pa.StringArray, Lines]:
    """Docker's json-file driver: the line is in ``log``, with its newline; a long one comes in pieces."""
    kept_texts: list[str] = []
    kept_lines: list[int] = []
    unfinished = False
    numbers = lines.tolist()
    for position, text in enumerate(texts.to_pylist()):
        if docker[position]:
            try:
                log = json.loads(text)["log"]
                log = log.encode("utf-8", "replace").decode("utf-8")
            except (ValueError, RecursionError, KeyError, AttributeError, TypeError) as error:
                rejects.append(reject(numbers[position], f"not a Docker log line: {error}", text))
                continue
            if unfinished:
                kept_texts[-1] += log.rstrip("\r\n")
            else:
                kept_texts.append(log.rstrip("\r\n"))
                kept_lines.append(numbers[position])
            unfinished = not log.endswith("\n")
        else:
            kept_texts.append(text)
            kept_lines.append(numbers[position])
            unfinished = False
    return pa.array(kept_texts, pa.string()), np.array(kept_lines, np.int64)


def _join_parts(texts: pa.StringArray, lines: Lines) -> tuple[pa.StringArray, Lines]:
    """CRI cuts lines at 16 KiB: ``P`` parts up to the ``F`` of the same stream are one line."""
    kept_texts: list[str] = []
    kept_lines: list[int] = []
    waiting: dict[str, tuple[int, list[str]]] = {}
    for text, line in zip(texts.to_pylist(), lines.tolist(), strict=True):
        if part := _CRI_PART.match(text):
            first, parts = waiting.setdefault(part[2], (line, []))
            parts.append(part[3])
            continue
        end = _CRI_END.match(text)
        if end and end[1] in waiting:
            first, parts = waiting.pop(end[1])
            text, line = "".join([*parts, end[2]]), first
        kept_texts.append(text)
        kept_lines.append(line)
    for first, parts in waiting.values():  # the end never came: read what is there, or refuse it
        kept_texts.append("".join(parts))
        kept_lines.append(first)
    return pa.array(kept_texts, pa.string()), np.array(kept_lines, np.int64)
