"""TLS on all three ports: what a client without the authority's certificate cannot do, and one with it can."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.payloads import TRACES, app_spans
from tests.running_server import Server, accepts, wait_for

pytestmark = pytest.mark.slow


class Authority:
    """Writes certificates into ``folder``: NAME.pem and NAME.key, signed by ``ca``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
        self._write("ca", self._name, self._key, is_ca=True)

    def issue(self, name: str) -> None:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._write(name, subject, ec.generate_private_key(ec.SECP256R1()), is_ca=False)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def _write(self, name: str, subject: x509.Name, key: ec.EllipticCurvePrivateKey, is_ca: bool) -> None:
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
            )
            .sign(self._key, hashes.SHA256())
        )
        encoding, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        (self.folder / f"{name}.pem").write_bytes(made.public_bytes(encoding))
        plain = serialization.NoEncryption()
        (self.folder / f"{name}.key").write_bytes(key.private_bytes(encoding, private, plain))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("certificates"))
    made.issue("server")
    made.issue("client")
    return made


@pytest.fixture(scope="module")
def server(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = ("--tls-cert", "server.pem", "--tls-key", "server.key", "--client-ca", "ca.pem")
    paths = [one if one.startswith("--") else authority.path(one) for one in options]
    started = Server(tmp_path_factory.mktemp("tls") / "data", *paths)
    try:
        started.spawn()
        ports = (started.grpc, started.http, started.ui)
        wait_for(lambda: all(accepts(port) for port in ports), 240, "the three ports listen")
        yield started
    finally:
        started.stop()


def asked(authority: Authority, address: str, path: str, certificate: bool, body: bytes | None = None) -> int:
    context = ssl.create_default_context(cafile=authority.path("ca.pem"))
    if certificate:
        context.load_cert_chain(authority.path("client.pem"), authority.path("client.key"))
    request = urllib.request.Request(f"https://{address}{path}", data=body)
    request.add_header("Content-Type", "application/x-protobuf")
    with urllib.request.urlopen(request, timeout=60, context=context) as answer:
        return answer.status


def exported(authority: Authority, server: Server, **client: Any) -> None:
    root = Path(authority.path("ca.pem")).read_bytes()
    with grpc.secure_channel(server.grpc, grpc.ssl_channel_credentials(root, **client)) as channel:
        channel.unary_unary(TRACES)(app_spans(1).SerializeToString(), timeout=60)


def test_without_a_certificate_every_port_refuses(authority: Authority, server: Server) -> None:
    """Neither telemetry nor a question gets through, and plain text even less."""
    for address, path in ((server.http, "/v1/traces"), (server.ui, "/api/graph")):
        with pytest.raises((ssl.SSLError, urllib.error.URLError, OSError)):
            asked(authority, address, path, certificate=False)
    with pytest.raises(grpc.RpcError):
        exported(authority, server)
    with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary(TRACES)(app_spans(1).SerializeToString(), timeout=10)


def test_with_a_certificate_every_port_answers(authority: Authority, server: Server) -> None:
    """gRPC, HTTP and the API."""
    mine = {
        "private_key": Path(authority.path("client.key")).read_bytes(),
        "certificate_chain": Path(authority.path("client.pem")).read_bytes(),
    }
    exported(authority, server, **mine)
    body = app_spans(1).SerializeToString()
    assert asked(authority, server.http, "/v1/traces", certificate=True, body=body) == 200
    assert asked(authority, server.ui, "/api/graph", certificate=True) == 200


def test_the_command_line_reaches_its_own_server(authority: Authority, server: Server) -> None:
    """With the user's certificate `sidelight graph` answers; without, it says which one is missing."""
    command = [sys.executable, "-P", "-m", "sidelight.cli", "graph", "--data", str(server.data)]
    with_it = {
        **os.environ,
        "SIDELIGHT_CLIENT_CERT": authority.path("client.pem"),
        "SIDELIGHT_CLIENT_KEY": authority.path("client.key"),
    }
    answer = subprocess.run(command, capture_output=True, text=True, env=with_it)
    assert "edges" in json.loads(answer.stdout), answer.stderr
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "SIDELIGHT_CLIENT_CERT" in refused.stderr
