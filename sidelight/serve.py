"""The supervisor of ``sidelight serve``: starts collector(s), follower and store, restarts the dead.

It holds no data and imports the standard library only (its memory counts). What must stay true:
a child that dies is started again; when the supervisor dies, even by SIGKILL, its children end
within two seconds (they ask the kernel for it, see ``children.py``); nothing is ever killed but
what was started here.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sidelight.data_folder import FolderInUse, FolderLock, local_token

STOP_SECONDS = 8.0
_MEMORY_KEPT = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(16 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""Every batch needs the same few megabytes: a child keeps them rather than ask the kernel for zeroed pages a
thousand times a second (a fifth of what a log record costs), but once, not in an arena for each of its threads
(200 MB under full load). A collector's group is 8 MB of bodies: its buffers must stay below the first number."""
_BACKOFF_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)


class CannotServe(RuntimeError):
    """A sentence for the user: why the server cannot start and what to do."""


@dataclass
class Child:
    """One supervised process: what it is, its arguments, and how often it died lately."""

    name: str
    arguments: list[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    deaths: int = 0
    restart_at: float = 0.0
    environment: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "sidelight.children", *self.arguments],
            stdin=subprocess.DEVNULL,
            env={**_MEMORY_KEPT, **os.environ, **self.environment, "SIDELIGHT_SUPERVISOR": str(os.getpid())},
        )
        self.started_at = time.monotonic()

    def reap(self) -> int | None:
        """The exit status if it has ended."""
        return None if self.process is None else self.process.poll()


class Supervisor:
    """Runs the children until told to stop."""

    def __init__(self, settings: dict[str, Any], say: Callable[[str], None]) -> None:
        self.settings = settings
        self.say = say
        self.data_dir = Path(settings["data"])
        self.stopping = False
        self._wake_read, self._wake_write = os.pipe()
        collectors = [
            Child(f"collector {number}", ["collector", str(number)])
            for number in range(settings["collectors"])
        ]
        follower = [Child("follower", ["follower"])] if settings["follow"] else []
        self.children = [*collectors, *follower, Child("store", ["store"])]

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT. Returns the exit status."""
        check_ports(self.settings["ports"])
        try:
            lock = FolderLock(self.data_dir)
        except FolderInUse as error:
            raise CannotServe(str(error)) from error
        local_token(self.data_dir)
        run_dir = self.data_dir / "run"
        run_dir.mkdir(exist_ok=True)
        settings_path = run_dir / "settings.json"
        settings_path.write_text(json.dumps(self.settings), encoding="utf-8")
        for child in self.children:
            child.environment["SIDELIGHT_SETTINGS"] = str(settings_path)
        self._listen_to_signals()
        lock.announce(
            {"pid": os.getpid(), "ui_url": self.settings["ui_url"], "ca_file": self.settings["tls_cert"]}
        )
        try:
            for child in self.children:
                child.start()
            self._announce_when_ready()
            self._watch()
        finally:
            self._stop_children()
            lock.release()
        return 0

    def _listen_to_signals(self) -> None:
        def stop(_signal: int, _frame: object) -> None:
            self.stopping = True
            os.write(self._wake_write, b"!")

        def child_ended(_signal: int, _frame: object) -> None:
            os.write(self._wake_write, b"c")

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, stop)
        signal.signal(signal.SIGCHLD, child_ended)
        os.set_blocking(self._wake_write, False)

    def _announce_when_ready(self) -> None:
        deadline = time.monotonic() + 60
        while not self.stopping and time.monotonic() < deadline:
            if all(answers(port) for port in self.settings["ports"].values()):
                (self.data_dir / "run" / "ready").write_text(str(os.getpid()), encoding="utf-8")
                self.say(f"Sidelight is ready. Dashboard: {self.settings['ui_url']}")
                self.say(
                    f"Telemetry: gRPC {self.settings['ports']['grpc']} (OTLP, Envoy access logs), "
                    f"HTTP {self.settings['ports']['http']} (OTLP). Data: {self.data_dir}"
                )
                if self.settings["follow"]:
                    self.say(f"Following: {', '.join(entry['path'] for entry in self.settings['follow'])}")
                return
            self._restart_the_dead()
            self._sleep(0.1)
        if not self.stopping:
            self.say("Sidelight is not answering on all its ports yet; it keeps trying. See the lines above.")

    def _watch(self) -> None:
        while not self.stopping:
            self._restart_the_dead()
            self._sleep(1.0)

    def _restart_the_dead(self) -> None:
        now = time.monotonic()
        for child in self.children:
            status = child.reap()
            if child.process is not None and status is not None:
                child.process = None
                if now - child.started_at > 30:
                    child.deaths = 0
                child.restart_at = now + _BACKOFF_S[min(child.deaths, len(_BACKOFF_S) - 1)]
                child.deaths += 1
                self.say(f"The {child.name} ended ({_describe(status)}); starting it again.")
            if child.process is None and now >= child.restart_at and not self.stopping:
                child.start()

    def _sleep(self, seconds: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_read, selectors.EVENT_READ)
            if selector.select(seconds):
                os.read(self._wake_read, 4096)

    def _stop_children(self) -> None:
        # Collectors first: what they still acknowledge is in the journal before the store looks last.
        deadline = time.monotonic() + STOP_SECONDS
        for group in (self.children[:-1], self.children[-1:]):
            running = [child.process for child in group if child.process is not None]
            for process in running:
                process.terminate()
            for process in running:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.1, deadline - time.monotonic()))
            for process in running:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        with contextlib.suppress(FileNotFoundError):
            (self.data_dir / "run" / "ready").unlink()


def split_address(address: str) -> tuple[str, int]:
    """'127.0.0.1:4317' or '[::1]:4317' → (host, port)."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def check_ports(ports: dict[str, str]) -> None:
    """Raise CannotServe naming the first port that somebody else holds."""
    for name, address in ports.items():
        if not is_free(address):
            raise CannotServe(
                f"Port {address} ({name}) is in use by another program. "
                f"Stop that program, or choose another one with --{name} HOST:PORT."
            )


def is_free(address: str) -> bool:
    """Whether a listener can be had there, without SO_REUSEPORT (which would share it with a stranger)."""
    host, port = split_address(address)
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise CannotServe(f"The host in {address} is not known here: {error.strerror}.") from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(target)
            probe.listen(1)
        except PermissionError as error:
            raise CannotServe(f"This user may not listen on {address}. Choose a port above 1023.") from error
        except OSError:
            return False
    return True


def answers(address: str) -> bool:
    host, port = split_address(address)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def _describe(status: int) -> str:
    if status < 0:
        try:
            return signal.Signals(-status).name
        except ValueError:
            return f"signal {-status}"
    return f"exit status {status}"


def main(arguments: Sequence[str]) -> int:
    """``python -m sidelight.serve SETTINGS.json``: what the command line execs."""
    settings = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    os.unlink(arguments[0])

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        return Supervisor(settings, say).run()
    except CannotServe as error:
        say(f"sidelight: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
