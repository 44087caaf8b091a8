"""``sidelight demo``: Sidelight and a mesh of real Envoy sidecars, one command, one Ctrl-C.

What must stay true: `serve` gets telemetry only (nothing of the topology is handed over); every
process started here is stopped by its id, nothing else is touched; the data stays unless told otherwise.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from sidelight.data_folder import FolderInUse, FolderLock
from sidelight.launch import start_supervisor
from sidelight.serve import answers, is_free
from sidelight.settings import BadSettings, ServeSettings, load

if TYPE_CHECKING:
    from sidelight.mesh.runner import Mesh

_USUAL_PORTS = {"grpc": 4317, "http": 4318, "ui": 8050}
_READY_SECONDS = 60


class CannotRunDemo(RuntimeError):
    """A sentence for the user: what is missing and what to do."""


def run_demo(data: Path, *, requests: int, rps: float, topology: Path | None, discard: bool) -> int:
    """Run until Ctrl-C or SIGTERM. ``requests`` 0: traffic without end. Returns the exit status."""
    try:
        from sidelight.mesh.reader import TopologyError
        from sidelight.mesh.runner import Mesh, MeshError
    except ImportError as error:
        raise CannotRunDemo(
            f"The demo's parts are not installed ({error.name}): pip install 'sidelight[demo]'."
        ) from error
    work_dir = Path(tempfile.mkdtemp(prefix="sidelight-demo-"))
    try:
        mesh = Mesh(topology, grpc_target="", work_dir=work_dir, log_dir=data / "demo-logs")
        return _run(mesh, data, requests=requests, rps=rps, discard=discard)
    except (TopologyError, MeshError) as error:
        raise CannotRunDemo(str(error)) from error
    finally:
        shutil.rmtree(work_dir, ignore_errors=True)


def _run(mesh: Mesh, data: Path, *, requests: int, rps: float, discard: bool) -> int:
    _check_folder(data)
    try:
        settings = load(None, data=data, **_free_addresses())
    except BadSettings as error:
        raise CannotRunDemo(str(error)) from error

    stopping = threading.Event()
    _stop_on_signals(stopping)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        if discard:
            stack.callback(shutil.rmtree, data, ignore_errors=True)
        _say(f"Starting Sidelight (data in {data})")
        server = start_supervisor(settings, stderr=subprocess.PIPE)
        stack.callback(_stop_server, server)
        _relay(server)
        _wait_until_ready(settings, server, stopping)
        mesh.grpc_target = settings.grpc
        stack.callback(mesh.stop)
        if not stopping.is_set():
            mesh.start(progress=_say)
            _say(f"Ready after {time.monotonic() - began:.0f} s.")
            _say(f"Dashboard: {settings.ui_url}")
            _say(f"Sending {rps:g} requests a second through the mesh. Ctrl-C stops everything.")
            sent = mesh.drive(requests or None, rps, stop_event=stopping)
            _write_truth(mesh, data / "demo-truth.json")
            if not stopping.is_set():
                _say(f"Sent {sent} requests. The dashboard stays until Ctrl-C: {settings.ui_url}")
                _wait_for_the_end(server, stopping)
        _say("Stopping the mesh and the server.")
    _say(
        "Everything this demo started has ended."
        + (" Its data is deleted." if discard else f" The data stays in {data}.")
    )
    return 0


def _write_truth(mesh: Mesh, path: Path) -> None:
    """What the applications counted themselves: to hold the graph against."""
    mesh.settle()
    path.write_text(json.dumps(mesh.truth(), indent=1), encoding="utf-8")
    _say(f"What the applications counted themselves is in {path}.")


def _check_folder(data: Path) -> None:
    try:
        FolderLock(data).release()
    except FolderInUse as error:
        raise CannotRunDemo(str(error)) from error


def _free_addresses() -> dict[str, str]:
    """The usual ports, or for each that is taken the next one that is free."""
    chosen: dict[str, str] = {}
    for name, usual in _USUAL_PORTS.items():
        for port in range(usual, usual + 200):
            address = f"127.0.0.1:{port}"
            if address not in chosen.values() and is_free(address):
                if port != usual:
                    _say(f"Port {usual} is taken; using {port} for {name}.")
                chosen[name] = address
                break
        else:
            raise CannotRunDemo(f"No free port from {usual} on for {name}. Stop what listens there.")
    return chosen


def _stop_on_signals(stopping: threading.Event) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def _wait_until_ready(
    settings: ServeSettings, server: subprocess.Popen[bytes], stopping: threading.Event
) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not all(answers(address) for address in (settings.grpc, settings.http, settings.ui)):
        if server.poll() is not None:
            raise CannotRunDemo("Sidelight itself did not start; the lines above say why.")
        if time.monotonic() > deadline:
            raise CannotRunDemo(
                f"Sidelight did not answer within {_READY_SECONDS} s; the lines above may say why."
            )
        if stopping.wait(0.1):
            return


def _wait_for_the_end(server: subprocess.Popen[bytes], stopping: threading.Event) -> None:
    while not stopping.wait(0.5):
        if server.poll() is not None:
            raise CannotRunDemo("Sidelight ended by itself; the lines above may say why.")


def _stop_server(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(15)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _relay(server: subprocess.Popen[bytes]) -> None:
    """Pass on what the server says, marked as its words."""

    def relay() -> None:
        assert server.stderr is not None
        for line in server.stderr:
            print(f"  server: {line.decode(errors='replace').rstrip()}", file=sys.stderr, flush=True)

    threading.Thread(target=relay, name="server-words", daemon=True).start()


def _say(line: str) -> None:
    print(line, flush=True)
