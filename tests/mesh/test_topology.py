"""Topology files: what may be written, what is refused, and in which words."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidelight.mesh import TopologyError, default_topology, load_topology
from sidelight.mesh.calls import split_value
from sidelight.mesh.plan import make_plan
from sidelight.mesh.service_rules import number_ends_with
from sidelight.mesh.topology import parse_topology

EXAMPLES = Path(__file__).parents[2] / "fixtures" / "mesh"

SMALL: dict[str, Any] = {
    "name": "small",
    "gateway": {"service": "shop"},
    "services": {
        "shop": {"port": 8000},
        "rpc": {"port": 8100, "protocol": "grpc", "methods": ["Get"]},
        "db": {"port": 8200, "protocol": "tcp", "denials": [{"account": "rpc"}]},
    },
    "workloads": {
        "shop-v1": {"service": "shop", "calls": [{"service": "rpc"}, {"service": "db"}]},
        "rpc-v1": {"service": "rpc"},
        "db-v1": {"service": "db"},
    },
}

# (where in SMALL, what to put there, the sentence)
BAD = [
    ("gateway.service", "shup", "t: gateway.service: there is no service `shup`."),
    ("gateway.service", "rpc", "t: gateway.service: the gateway needs a service with protocol http."),
    ("gateway.servce", "shop", "t.gateway: unknown key `servce`; did you mean `service`?."),
    ("services.shop.port", 80, "t.services.shop.port: must be a whole number from 1024 to 55535, not 80."),
    (
        "services.shop.port",
        True,
        "t.services.shop.port: must be a whole number from 1024 to 55535, not True.",
    ),
    ("services.shop.port", 15001, "t: services.shop.port: 15001 is the sidecar's own."),
    (
        "services.shop.protocol",
        "quic",
        "t.services.shop.protocol: must be one of http, grpc, tcp, not 'quic'.",
    ),
    ("services.shop.mtls", "yes", "t.services.shop.mtls: must be true or false, not text."),
    ("services.shop.split", {"v1": 90}, "t.services.shop.split: the weights add up to 90, not 100."),
    (
        "services.shop.split",
        {"v1": 90, "v2": 10},
        "t: services.shop.split: no workload of shop has version v2.",
    ),
    (
        "services.shop.faults",
        [{"ends_with": "3"}],
        "t.services.shop.faults[0]: needs `abort` (an HTTP status), `delay_ms`, or both.",
    ),
    (
        "services.shop.faults",
        [{"abort": 503, "ends_with": 3}],
        't.services.shop.faults[0].ends_with: must be digits in quotes such as "07", not 3.',
    ),
    ("services.db.retries", 1, "t: services.db.retries: needs protocol http or grpc."),
    ("services.db.circuit_breaker", {}, "t: services.db.circuit_breaker: needs protocol http or grpc."),
    ("services.db.jwt", True, "t: services.db.jwt: needs protocol http or grpc."),
    ("services.db.timeout_ms", 100, "t: services.db.timeout_ms: needs protocol http or grpc."),
    (
        "services.db.denials",
        [{"ends_with": "1"}],
        "t: services.db.denials.ends_with: needs protocol http or grpc.",
    ),
    ("services.shop.denials", [{}], "t.services.shop.denials[0]: needs `account` (a service account)"),
    (
        "services.shop.denials",
        [{"account": "nobody"}],
        "t: services.shop.denials: no workload has the service account nobody.",
    ),
    (
        "services.rpc",
        {"port": 8100, "mtls": False, "denials": [{"account": "shop"}]},
        "t: services.rpc.denials: without mtls nobody shows the account shop.",
    ),
    (
        "services.shop.rate_limit",
        {"at": "gateway", "tokens": 1},
        "t.services.shop.rate_limit.at: must be one of caller, called, not 'gateway'.",
    ),
    ("services.shop.rate_limit", {}, "t.services.shop.rate_limit: `tokens` is missing."),
    (
        "services.shop.outlier_detection",
        {"consecutive_5xx": 0},
        "t.services.shop.outlier_detection.consecutive_5xx: must be a whole number from 1 to 1000, not 0.",
    ),
    (
        "services.shop.outlier_detection",
        {"ejection": 1},
        "t.services.shop.outlier_detection: unknown key `ejection`; did you mean `ejection_seconds`?.",
    ),
    ("services.shop.jwt", True, "t: services.shop.jwt: the gateway's client has no token."),
    ("services.rpc.methods", [], "t: services.rpc.methods: a gRPC service lists its methods"),
    ("services.lost", {"port": 9000}, "t: services.lost: no workload has `service: lost`."),
    ("services.a b", {"port": 9000}, "t.services: 'a b' is no name"),
    ("workloads.shop-v1.calls", [{"service": "x"}], "t: workloads.shop-v1.calls: there is no service `x`."),
    (
        "workloads.db-v1.calls",
        [{"service": "shop"}],
        "t: workloads.shop-v1.calls: leads back to shop itself.",
    ),
    ("workloads.rpc-v1.service", None, "t: services.rpc: no workload has `service: rpc`."),
    (
        "workloads.rpc-v1.answers",
        [{"status": 500}],
        "t: workloads.rpc-v1.answers: `status` needs protocol http",
    ),
    (
        "workloads.rpc-v1.answers",
        [{"grpc_status": 14, "method": "Put"}],
        "t: workloads.rpc-v1.answers: rpc has no method Put.",
    ),
    (
        "workloads.shop-v1.calls",
        [{"service": "rpc", "give_up": {"after_ms": 100}}],
        "t: workloads.shop-v1.calls: give_up and websocket need a service with protocol http.",
    ),
    (
        "workloads.shop-v1.calls",
        [{"service": "rpc", "websocket": True}],
        "t: workloads.shop-v1.calls: give_up and websocket need a service with protocol http.",
    ),
    (
        "workloads.shop-v1.calls",
        [{"service": "rpc", "without_token": "1"}],
        "t: workloads.shop-v1.calls: rpc wants no token (`jwt: true`).",
    ),
    (
        "workloads.db-v2",
        {"service": "db", "version": "v2"},
        "t: services.db.denials: with protocol tcp only one version can be told to have refused.",
    ),
    ("workloads.shop-v1.sidecar", False, "t: workloads.shop-v1.sidecar: a workload that serves `shop` needs"),
    ("workloads.idle", {"sidecar": False}, "t: workloads.idle: serves nothing, so it needs `starts_every`"),
    (
        "workloads.shop-v1.namespace",
        "other",
        "t: workloads.shop-v1: is in namespace other, its service in default.",
    ),
    ("workloads", {}, "t.workloads: must not be empty."),
    ("services", ["shop"], "t.services: must be a mapping, not a list."),
    ("name", None, "t: `name` is missing."),
]


def changed(place: str, value: Any) -> dict[str, Any]:
    """SMALL with one value put somewhere."""
    document = copy.deepcopy(SMALL)
    *path, last = place.split(".")
    part = document
    for key in path:
        part = part[key]
    part[last] = value
    return document


def test_small_is_good() -> None:
    """The topology that the bad ones are made from is itself accepted."""
    assert set(parse_topology(SMALL).workloads) == {"shop-v1", "rpc-v1", "db-v1"}


@pytest.mark.parametrize(("place", "value", "sentence"), BAD)
def test_mistakes_are_named(place: str, value: Any, sentence: str) -> None:
    """A mistake is refused with one sentence that names the place and the reason."""
    with pytest.raises(TopologyError, match=re.escape(sentence)):
        parse_topology(changed(place, value), "t")


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_a_topology_is_a_mapping(document: Any) -> None:
    """Whatever YAML holds instead of a mapping is refused, not stumbled over."""
    with pytest.raises(TopologyError, match="t: must be a mapping"):
        parse_topology(document, "t")


@pytest.mark.parametrize(("text", "reason"), [("a: [", "is not YAML"), (None, "cannot be read")])
def test_files_that_are_no_topology(tmp_path: Path, text: str | None, reason: str) -> None:
    """A file that is missing or no YAML is refused with its name."""
    file = tmp_path / "broken.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(TopologyError, match=f"broken.yaml: {reason}"):
        load_topology(file)


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_example_loads(file: Path) -> None:
    """Every example under fixtures/mesh can be run."""
    assert load_topology(file).name == file.stem


def test_the_default_is_the_example() -> None:
    """The packaged default and the example that users copy say the same."""
    assert default_topology().read_text() == (EXAMPLES / "bookinfo.yaml").read_text()


def test_bookinfo_has_what_the_demo_promises() -> None:
    """The default topology holds every kind of trouble that the issue lists."""
    topology = load_topology(default_topology())
    assert topology.services["reviews"].split == (("v1", 80), ("v2", 10), ("v3", 10))
    assert topology.workloads["productpage-v1"].replicas == 2
    assert len(topology.services["details"].methods) == 10
    assert not all(service.mtls for service in topology.services.values())
    rules = [service.rules for service in topology.services.values()]
    for kind in ("faults", "retries", "breaker", "rate_limit", "outlier_detection", "denials", "jwt"):
        assert any(getattr(one, kind) for one in rules), kind
    calls = [call for workload in topology.workloads.values() for call in workload.calls]
    assert any(call.websocket for call in calls)
    assert yaml.safe_load(default_topology().read_text())["workloads"]["legacy-batch-v1"]["sidecar"] is False


def test_every_hundred_requests_split_exactly() -> None:
    """Any hundred requests numbered from a round hundred meet each percent of a split once."""
    for first in (0, 100, 4900, 12_300):
        assert sorted(split_value(number) for number in range(first, first + 100)) == list(range(100))


def test_a_kind_of_request_meets_every_version() -> None:
    """Requests whose numbers end alike are spread over the split like all others."""
    found = [split_value(number) for number in range(41, 10_000, 100)]
    assert sorted(found) == list(range(100))


@pytest.mark.parametrize(
    ("number", "endings", "fits"),
    [(13, ("3",), True), (31, ("3",), False), (107, ("07", "57"), True), (7, ("07",), False), (5, (), True)],
)
def test_rules_by_number(number: int, endings: tuple[str, ...], fits: bool) -> None:
    """A rule fits the numbers that end with its digits; one without digits fits all."""
    assert number_ends_with(number, endings) is fits


def test_pods_have_stable_names_and_own_addresses() -> None:
    """The same topology gives the same pod names, and no two pods share an address."""
    topology = load_topology(default_topology())
    one, two = (make_plan(topology, prefix, 8080) for prefix in ("127.42.0", "127.43.0"))
    assert [pod.name for pod in one.pods] == [pod.name for pod in two.pods]
    assert len({pod.ip for pod in (one.gateway, *one.pods)}) == len(one.pods) + 1
    assert not {pod.ip for pod in one.pods} & {pod.ip for pod in two.pods}
    node_id = one.pods[0].node_id
    assert re.fullmatch(
        r"sidecar~127\.42\.0\.3~productpage-v1-\w{9}-\w{5}\.default~default\.svc\.cluster\.local", node_id
    )
