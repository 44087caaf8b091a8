"""A real `sidelight serve` on free ports and a folder of its own, for tests that need the whole."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(address: str) -> bool:
    """Whether something accepts connections there."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


def wait_for(what: Callable[[], T | None], seconds: float, saying: str) -> T:
    """Poll until ``what`` gives something true; fail with a sentence otherwise."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := what():
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s: {saying}")


class Server:
    """`sidelight serve` as users run it."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data = data
        self.options = options
        self.grpc = f"127.0.0.1:{free_port()}"
        self.http = f"127.0.0.1:{free_port()}"
        self.ui = f"127.0.0.1:{free_port()}"
        self.process: subprocess.Popen[bytes] | None = None
        self.log = data.parent / f"{data.name}.log"

    def start(self, seconds: float = 240) -> Server:
        self.spawn()

        def is_ready() -> bool:
            assert self.is_alive(), self.log.read_text(errors="replace")
            return self.answers("/readyz")

        wait_for(is_ready, seconds, "the server is ready")
        return self

    def spawn(self) -> None:
        """Start it without waiting for anything."""
        command = [sys.executable, "-P", "-m", "sidelight.cli", "serve", "--data", str(self.data)]
        command += ["--grpc", self.grpc, "--http", self.http, "--ui", self.ui, *self.options]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, stdin=subprocess.DEVNULL)

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(60)
            if self.process.poll() is None:
                self.kill_tree()
        self.process = None

    def kill_tree(self) -> None:
        """SIGKILL the supervisor and every process below it, all at once."""
        assert self.process is not None
        for pid in [self.process.pid, *self.children()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def children(self, name: str = "") -> list[int]:
        """Process ids of the supervisor's children whose command line contains ``name``."""
        assert self.process is not None
        try:
            found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        except OSError:
            return []
        pids = []
        for pid in found:
            with contextlib.suppress(OSError):
                if name in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode():
                    pids.append(int(pid))
        return pids

    def url(self, path: str, **params: Any) -> str:
        query = urllib.parse.urlencode({k.rstrip("_"): v for k, v in params.items()}, doseq=True)
        return f"http://{self.ui}{path}" + (f"?{query}" if query else "")

    def get(self, path: str, **params: Any) -> Any:
        with urllib.request.urlopen(self.url(path, **params), timeout=120) as answer:
            return json.load(answer)

    def answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(self.url(path), timeout=10) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def sql(self, statement: str) -> list[dict[str, Any]]:
        """Rows of one statement, by the HTTP SQL endpoint; asked again where a busy machine was too slow for it."""
        for _ in range(3):
            try:
                return self._sql(statement)
            except AssertionError as error:
                if '"too_slow"' not in str(error):
                    raise
        return self._sql(statement)

    def _sql(self, statement: str) -> list[dict[str, Any]]:
        body = json.dumps({"sql": statement}).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        request = urllib.request.Request(self.url("/api/sql"), data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=240) as answer:
                rows = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error
        return rows["rows"] if isinstance(rows, dict) else rows


@contextlib.contextmanager
def running(data: Path, *options: str) -> Iterator[Server]:
    server = Server(data, *options)
    try:
        yield server.start()
    finally:
        server.stop()


def run_cli(
    *arguments: str, cwd: Path | None = None, timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """`sidelight ARGUMENTS`, its output captured (so: a pipe, no terminal)."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "sidelight.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        check=False,
        stdin=subprocess.DEVNULL,
    )
