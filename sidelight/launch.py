"""From settings to processes: become the supervisor, or start one as a child.

`serve` leaves its own process image behind (exec): the supervisor then holds the standard library
only, and its process id is the one the user started.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import IO, NoReturn

from sidelight.settings import ServeSettings


def become_supervisor(settings: ServeSettings) -> NoReturn:
    """Replace this process by the supervisor."""
    sys.stdout.flush()
    sys.stderr.flush()
    command = supervisor_command(settings)
    os.execv(command[0], command)  # noqa: S606 - our own interpreter with our own module


def start_supervisor(
    settings: ServeSettings, stderr: IO[bytes] | int | None = None
) -> subprocess.Popen[bytes]:
    """Start the supervisor as a child in a session of its own (Ctrl-C reaches us, we tell it)."""
    return subprocess.Popen(
        supervisor_command(settings), stdin=subprocess.DEVNULL, stderr=stderr, start_new_session=True
    )


def supervisor_command(settings: ServeSettings) -> list[str]:
    """The command, its settings in a file of mode 0600 that the supervisor deletes once read."""
    descriptor, path = tempfile.mkstemp(prefix="sidelight-", suffix=".json")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(settings.as_supervisor_json(), file)
    return [sys.executable, "-P", "-m", "sidelight.serve", path]
