"""Certificates as a mesh's authority issues them: one root, one leaf per service account with its SPIFFE id.

Made anew for each mesh, valid for a day, kept in files only their owner can read.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sidelight.mesh.plan import Plan, Pod

_VALID_FOR = timedelta(days=1)


def spiffe_id(trust_domain: str, namespace: str, account: str) -> str:
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{account}"


def pod_spiffe_id(plan: Plan, pod: Pod) -> str:
    return spiffe_id(plan.topology.trust_domain, pod.namespace, pod.account)


def root_file(folder: Path) -> Path:
    return folder / "root-cert.pem"


def leaf_files(folder: Path, pod: Pod) -> tuple[Path, Path]:
    """Certificate and key of a pod's service account."""
    stem = f"{pod.namespace}.{pod.account}"
    return folder / f"{stem}.cert.pem", folder / f"{stem}.key.pem"


def write_private(path: Path, data: bytes) -> None:
    """A file that only its owner can read, from its first moment on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)


def write_certificates(plan: Plan, folder: Path) -> None:
    """Writes the root and one leaf per service account of the plan's proxies into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    root_key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, plan.topology.trust_domain)])
    root = _root(issuer, root_key)
    root_file(folder).write_bytes(root.public_bytes(serialization.Encoding.PEM))
    for pod in {(pod.namespace, pod.account): pod for pod in plan.proxies}.values():
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _leaf(pod_spiffe_id(plan, pod), key, issuer, root_key)
        cert_file, key_file = leaf_files(folder, pod)
        cert_file.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(key_file, pem)


def _root(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    spiffe: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    # As Istio does: no subject, so the SPIFFE id must be critical.
    both_ways = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        _builder(x509.Name([]), issuer, key)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe)]), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both_ways), critical=False)
        .sign(signer, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _VALID_FOR)
    )
