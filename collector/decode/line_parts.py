"""Where a container runtime has cut a long line and its end is not there yet.

CRI marks the parts of a line ``P`` and its end ``F``, per stream; Docker's json-file writes pieces whose
``log`` has no newline. What must stay true: a reader that takes the lines before the position found here,
and the others with what follows, never tears a line apart; only the last few lines are looked at.
"""

from __future__ import annotations

import json
import re

_CRI = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) (stdout|stderr) ([FP]) ")
_DOCKER = re.compile(rb'\{"log":\s*"')
_LINES_LOOKED_AT = 64
_PARTS_BYTES_MAX = 1 << 20


def unfinished_parts(data: bytes, end: int) -> int:
    """``data[:end]`` holds whole lines: where the first line of those begins whose end has not come; else ``end``."""
    last = data.rfind(b"\n", 0, end - 1) + 1
    if _DOCKER.match(data, last, end):
        return _unfinished_docker(data, end)
    return _unfinished_cri(data, end) if _CRI.match(data, last, end) else end


def _unfinished_cri(data: bytes, end: int) -> int:
    start, found = end, end
    closed: set[bytes] = set()
    for _ in range(_LINES_LOOKED_AT):
        stop, start = start, data.rfind(b"\n", 0, start - 1) + 1
        line = _CRI.match(data, start, stop)
        if line is None or end - start > _PARTS_BYTES_MAX:
            break
        if line[2] == b"F":
            closed.add(line[1])
        elif line[1] not in closed:
            found = start
        if start == 0 or len(closed) == 2:
            break
    return found


def _unfinished_docker(data: bytes, end: int) -> int:
    start, found = end, end
    for _ in range(_LINES_LOOKED_AT):
        stop, start = start, data.rfind(b"\n", 0, start - 1) + 1
        if end - start > _PARTS_BYTES_MAX or not _is_docker_piece(data[start:stop]):
            break
        found = start
        if start == 0:
            break
    return found


def _is_docker_piece(line: bytes) -> bool:
    try:
        log = json.loads(line)["log"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return False
    return isinstance(log, str) and not log.endswith("\n")
