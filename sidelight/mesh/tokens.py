"""The tokens (JWT) that callers show to services that want one: a good one, and one that has expired.

Signed by a key made anew for each mesh and kept nowhere; Envoy knows its public half as a key set (JWKS).
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from sidelight.mesh.certificates import write_private

ISSUER = "issuer@mesh.local"
_DAY_SECONDS = 86_400
_KEY_ID = "mesh"


@dataclass(frozen=True)
class Tokens:
    """Both valid in form and signature."""

    good: str
    expired: str


def jwks_file(folder: Path) -> Path:
    return folder / "jwks.json"


def tokens_file(folder: Path) -> Path:
    return folder / "tokens.json"


def write_tokens(folder: Path) -> None:
    """Writes the key set and, for the owner's eyes only, the tokens into `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = int(time.time())
    tokens = Tokens(good=_signed(key, now + _DAY_SECONDS), expired=_signed(key, now - _DAY_SECONDS))
    jwks_file(folder).write_text(json.dumps({"keys": [_public(key)]}), encoding="utf-8")
    write_private(tokens_file(folder), json.dumps(asdict(tokens)).encode())


def read_tokens(folder: Path) -> Tokens:
    return Tokens(**json.loads(tokens_file(folder).read_text(encoding="utf-8")))


def _signed(key: ec.EllipticCurvePrivateKey, expires: int) -> str:
    head = {"alg": "ES256", "kid": _KEY_ID, "typ": "JWT"}
    body = {"iss": ISSUER, "sub": "caller", "exp": expires}
    text = ".".join(_base64(json.dumps(part).encode()) for part in (head, body))
    # JWS wants the two numbers one after the other (RFC 7518, 3.4), not the DER that libraries give.
    pair = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{_base64(b''.join(_bytes(number) for number in pair))}"


def _public(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    point = key.public_key().public_numbers()
    where = {"x": _base64(_bytes(point.x)), "y": _base64(_bytes(point.y))}
    return {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": _KEY_ID, **where}


def _bytes(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
