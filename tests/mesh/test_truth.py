"""The mesh itself: what its applications counted must be what its Envoys wrote down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidelight.mesh import Mesh
from sidelight.mesh.access_logs import json_log, text_log
from tests.mesh.sink import Sink
from tests.mesh.tallies import short

pytestmark = pytest.mark.mesh

REQUESTS = 300
NOBODY_ANSWERED = {"FI", "UO", "UH", "RL"}
# What a sidecar says of a request or connection that it refused, by what the caller got.
REFUSALS = {"401": "jwt_authn_access_denied", "403": "rbac_access_denied", "0": "rbac_access_denied"}


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    """What the mesh sends its telemetry to."""
    started = Sink()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, sink: Sink) -> Iterator[Mesh]:
    """Bookinfo after 300 requests, everything settled."""
    with Mesh(work_dir=tmp_path_factory.mktemp("mesh"), grpc_target=sink.address) as running:
        running.start()
        assert running.drive(REQUESTS, 40) == REQUESTS
        running.settle()
        yield running


@pytest.fixture(scope="module")
def lines(mesh: Mesh) -> list[dict[str, Any]]:
    """Every line of every Envoy's JSON log, with the workload that wrote it."""
    return [
        {"workload": pod.workload_name, **json.loads(line)}
        for pod in mesh.plan.proxies
        for line in json_log(mesh.log_dir, pod).read_text().splitlines()
    ]


def version_at(mesh: Mesh, address: str | None) -> str | None:
    """The version of the pod at an address; null where nobody answered."""
    pods = {pod.ip: pod.version for pod in mesh.plan.pods}
    return pods[address.rsplit(":", 1)[0]] if address else None


def answered_by(mesh: Mesh, line: dict[str, Any]) -> str | None:
    """The version whose answer a caller's Envoy wrote down: not its own, and not one that came too late."""
    left = line["method"] is not None and line["response_code"] == 0
    nobody = left or NOBODY_ANSWERED & set(line["response_flags"].split(","))
    return None if nobody else version_at(mesh, line["upstream_host"])


def refusal(line: dict[str, Any]) -> str | None:
    """Why a sidecar refused a request or a connection in its application's place; null: it did not."""
    why = line["response_code_details"] or line["connection_termination_details"] or ""
    return next((words for words in REFUSALS.values() if why.startswith(words)), None)


def service_of(line: dict[str, Any]) -> str:
    return line["upstream_cluster"].split("|")[3]


def test_nothing_unexpected_happened(mesh: Mesh) -> None:
    """Every request was answered or given up on purpose: no broken connection, no timeout."""
    truth = mesh.truth()
    assert truth["unexpected"] == []
    assert truth["driven"] == REQUESTS


def test_callers_got_what_their_envoys_say(mesh: Mesh, lines: list[dict[str, Any]]) -> None:
    """Per caller, service, version and code, the callers' counts are the outbound lines, exactly."""
    logged = Counter(
        (
            line["workload"],
            service_of(line),
            answered_by(mesh, line),
            str(line["response_code"]),
        )
        for line in lines
        if line["upstream_cluster"].startswith("outbound|")
    )
    counted: Counter[tuple[Any, ...]] = Counter()
    for row in mesh.truth()["client"]:
        if row["caller"] != "legacy-batch-v1":
            counted[(row["caller"], row["service"], row["version"], row["code"])] += row["count"]
    assert counted == logged


def test_versions_received_what_their_envoys_say(mesh: Mesh, lines: list[dict[str, Any]]) -> None:
    """Per workload, the applications' counts are the inbound lines, retried attempts and all; a sidecar writes
    one more for each request that it refused in its application's place."""
    logged = Counter(
        (line["workload"], refusal(line)) for line in lines if line["upstream_cluster"].startswith("inbound|")
    )
    counted: Counter[tuple[str, str | None]] = Counter()
    for row in mesh.truth()["server"]:
        counted[row["workload"], None] += row["requests"]
    for row in mesh.truth()["client"]:
        if row["denied"]:
            counted[f"{short(row['service'])}-{row['version']}", REFUSALS[row["code"]]] += row["count"]
    assert counted == logged


def test_the_split_is_exact(mesh: Mesh) -> None:
    """Three hundred requests split 80/10/10 into 240, 30 and 30: chance has no part in it."""
    received = {row["workload"]: row["requests"] for row in mesh.truth()["server"]}
    assert [received[f"reviews-{version}"] for version in ("v1", "v2", "v3")] == [240, 30, 30]


def test_every_fault_happened(mesh: Mesh, lines: list[dict[str, Any]]) -> None:
    """An abort, a delay, an open circuit, a client that left and retried 503s: each is in the logs."""
    called = [line for line in lines if line["workload"] == "productpage-v1" and line["response_code"] != 101]
    flags = Counter(line["response_flags"] for line in called)
    assert flags["DI"] == 3
    assert flags["UO"] > 0
    assert flags["DC"] == 3
    aborted = [line for line in lines if line["response_flags"] == "FI"]
    assert {line["workload"] for line in aborted} == {"reviews-v2", "reviews-v3"}
    refused = [line for line in lines if line["workload"] == "ratings-v2" and line["response_code"] == 503]
    assert len(refused) > 0
    callers = [row for row in mesh.truth()["client"] if row["caller"].startswith("reviews-")]
    assert not [row for row in callers if row["code"] == "503" and row["version"]], "each was retried"


def test_every_refusal_happened(mesh: Mesh, lines: list[dict[str, Any]]) -> None:
    """A rate limit, denials by account and by token, and no pod that is left: each in Envoy's own words."""
    told = Counter(
        (line["workload"], line["response_code"], line["response_flags"], line["response_code_details"])
        for line in lines
    )
    limited = [told[f"reviews-{version}", 429, "RL", "local_rate_limited"] for version in ("v2", "v3")]
    # Three of the numbers that end with 6 go to each version, and its Envoy lets the first through.
    assert limited == [2, 2]
    assert told["productpage-v1", 503, "UH", "no_healthy_upstream"] > 0
    refused = Counter((line["workload"].partition("-")[0], refusal(line)) for line in lines)
    assert refused["ratings", "rbac_access_denied"] == 2 * REQUESTS // 100
    # How many of its calls meet no pod at all depends on how long these are left out: ten seconds of the clock.
    assert 0 < refused["offers", "jwt_authn_access_denied"] <= 2 * REQUESTS // 100
    assert refused["mongodb", "rbac_access_denied"] > 0
    expired = [line for line in lines if "Jwt_is_expired" in (line["response_code_details"] or "")]
    assert {line["response_code"] for line in expired} == {401}
    for service, code in (("ratings", "403"), ("offers", "401")):
        rows = [row for row in mesh.truth()["client"] if short(row["service"]) == service]
        got = sum(row["count"] for row in rows if row["code"] == code)
        assert got == refused[service, REFUSALS[code]]


def test_a_conversation_is_a_session(mesh: Mesh, lines: list[dict[str, Any]]) -> None:
    """A websocket's line has code 101, whoever hung up first; callers counted as many."""
    sessions = [line for line in lines if line["response_code"] == 101]
    calling = [line for line in sessions if line["upstream_cluster"].startswith("outbound|")]
    got = sum(row["count"] for row in mesh.truth()["client"] if row["code"] == "101")
    assert got == len(calling) == len(sessions) - len(calling) > 0


def test_one_method_in_ten_fails(mesh: Mesh) -> None:
    """A tenth of the gRPC calls end with status 14, though HTTP says 200."""
    rows = [row for row in mesh.truth()["client"] if row["protocol"] == "grpc"]
    found = {(row["code"], row["grpc_status"]): row["count"] for row in rows}
    assert found == {("200", "0"): REQUESTS * 9 // 10, ("200", "14"): REQUESTS // 10}


def test_plain_text_and_mutual_tls(lines: list[dict[str, Any]]) -> None:
    """Inbound lines name the service the caller meant, except where the call came in plain text."""
    plain = Counter(
        line["workload"]
        for line in lines
        if line["upstream_cluster"].startswith("inbound|") and line["requested_server_name"] is None
    )
    assert plain.keys() == {"stock-v1", "ratings-v1", "ratings-v2"}
    assert plain["ratings-v1"] + plain["ratings-v2"] == REQUESTS // 20


def test_the_database_sees_connections(mesh: Mesh, lines: list[dict[str, Any]]) -> None:
    """Connections to the database and their bytes are what the callers counted."""
    rows = [row for row in mesh.truth()["client"] if row["protocol"] == "tcp"]
    tcp = [line for line in lines if line["upstream_cluster"].startswith("outbound|27017|")]
    assert sum(row["count"] for row in rows) == len(tcp) > 0
    assert sum(row["request_bytes"] for row in rows) == sum(line["bytes_received"] for line in tcp)
    assert sum(row["response_bytes"] for row in rows) == sum(line["bytes_sent"] for line in tcp)


def test_text_and_json_say_the_same(mesh: Mesh) -> None:
    """Each Envoy writes as many text lines as JSON lines, also where kubelet would put them."""
    for pod in mesh.plan.proxies:
        text = text_log(mesh.log_dir, pod).read_text()
        assert len(text.splitlines()) == len(json_log(mesh.log_dir, pod).read_text().splitlines())
        (kubelet,) = mesh.log_dir.glob(f"pods/{pod.namespace}_{pod.name}_*/istio-proxy/0.log")
        assert kubelet.read_text() == text


def test_every_proxy_and_application_sends_spans(mesh: Mesh, sink: Sink) -> None:
    """Each pod's Envoy (TCP has no spans) and application send spans that name the pod."""
    nodes, pods = set(), set()
    for resource, span in sink.spans():
        attributes = {each.key: each.value.string_value for each in span.attributes}
        nodes.add(attributes.get("node_id"))
        pods.add(resource.get("k8s.pod.name"))
    proxies = {pod.node_id for pod in mesh.plan.proxies if not pod.name.startswith("mongodb")}
    apps = {pod.name for pod in mesh.plan.pods if not pod.name.startswith("mongodb")}
    # Spans of an Envoy have no pod in their resource, those of an application no node id.
    assert nodes == proxies | {None}
    assert pods == apps | {None}


def test_spans_nest_from_gateway_to_application(mesh: Mesh, sink: Sink) -> None:
    """Every span but a trace's first has its parent among the spans that were sent."""
    parents = {span.span_id: span.parent_span_id for _, span in sink.spans()}
    orphans = [parent for parent in parents.values() if parent and parent not in parents]
    assert orphans == []
    traces = {span.trace_id for _, span in sink.spans()}
    assert len(traces) == REQUESTS + REQUESTS // 20


def test_every_proxy_streams_its_access_log(mesh: Mesh, sink: Sink) -> None:
    """The first message of each access log stream names its proxy; the database's are TCP entries."""
    for pod in mesh.plan.proxies:
        log = b"tcp_envoy_accesslog" if pod.app == "mongodb" else b"http_envoy_accesslog"
        assert any(pod.node_id.encode() in first and log in first for first in sink.streams), pod.name


def test_a_mesh_ends_with_its_parent(tmp_path: Path) -> None:
    """When whoever started a mesh is killed, its Envoys and applications are gone within two seconds; a
    second mesh beside the first has addresses of its own."""
    program = """
        import sys, time
        from pathlib import Path
        from sidelight.mesh import Mesh
        mesh = Mesh(Path("fixtures/mesh/pair.yaml"), work_dir=Path(sys.argv[1]), grpc_target="127.0.0.1:9")
        mesh.start()
        mesh.drive(5, 50)
        print(*mesh.process_ids(), flush=True)
        time.sleep(600)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as starter:
        assert starter.stdout is not None
        pids = [int(pid) for pid in starter.stdout.readline().split()]
        assert len(pids) == 5, "four Envoys and the applications"
        assert all(is_running(pid) for pid in pids)
        os.kill(starter.pid, signal.SIGKILL)
        starter.wait()
    deadline = time.monotonic() + 2
    while any(is_running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in pids if is_running(pid)]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
