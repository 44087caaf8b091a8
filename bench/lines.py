"""Access-log files of real lines, repeated with times and request ids of their own.

What must stay true: a file holds exactly the lines asked for, and every one of them can be read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

CAPTURES = Path(__file__).parent.parent / "fixtures" / "captures" / "access_logs"

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z")
_REQUEST_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_A_SECOND = 3000
_AT_ONCE = 20_000


def write_lines(path: Path, capture: str, count: int) -> None:
    """``count`` lines made of those of a capture, 3,000 for each second up to now."""
    templates = [_template(line) for line in captured_lines(capture)]
    begin = datetime.now(UTC) - timedelta(seconds=count / _A_SECOND)
    with path.open("w") as file:
        for start in range(0, count, _AT_ONCE):
            file.writelines(_lines(templates, begin, range(start, min(count, start + _AT_ONCE))))


def captured_lines(name: str) -> list[str]:
    """The lines of a capture that tell a time."""
    lines = (CAPTURES / name).read_text(errors="replace").splitlines()
    return [line for line in lines if line and not line.startswith("#") and _TIME.search(line)]


def _template(line: str) -> str:
    """With the places of its first time and of half its first request id as printf's."""
    line = _TIME.sub("%(time)s", line.replace("%", "%%"), count=1)
    found = _REQUEST_ID.search(line)
    return f"{line[: found.start()]}%(half_id)s{line[found.start() + 18 :]}\n" if found else f"{line}\n"


def _lines(templates: list[str], begin: datetime, numbers: range) -> Iterator[str]:
    ids = os.urandom(8 * len(numbers)).hex()
    for at, number in enumerate(numbers):
        time = (begin + timedelta(seconds=number / _A_SECOND)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        half = ids[16 * at : 16 * at + 16]
        half_id = f"{half[:8]}-{half[8:12]}-{half[12:]}"
        yield templates[number % len(templates)] % {"time": time, "half_id": half_id}
