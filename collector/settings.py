"""The collector's settings: one typed object; unknown keys are refused, errors are sentences.

What must stay true: an address that others can reach is never opened without a token, a client
certificate authority, or an explicit ``allow_anonymous``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from collector.cors import ANY, ORIGIN
from collector.errors import SettingsError

MIB = 1 << 20


class CollectorSettings(BaseModel):
    """Sizes in bytes, times in seconds. Build it with ``from_mapping`` to get sentences for errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path
    name: str = "collector0"
    grpc: str = "127.0.0.1:4317"
    http: str = "127.0.0.1:4318"
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    allow_anonymous: bool = False
    journal_limit_bytes: int = Field(default=4096 * MIB, ge=MIB)
    disk_free_min_bytes: int = Field(default=256 * MIB, ge=0)
    waiting_limit_bytes: int = Field(default=256 * MIB, ge=MIB)
    body_limit_bytes: int = Field(default=64 * MIB, ge=1024, le=1024 * MIB)
    body_timeout_s: float = Field(default=30, gt=0)
    cors_origins: list[str] = []
    rotate_bytes: int = Field(default=64 * MIB, ge=MIB)
    rotate_s: float = Field(default=60, gt=0)
    shares_ports: bool = True  # SO_REUSEPORT, so that several collectors can listen on one port

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> CollectorSettings:
        """Raises SettingsError whose message names the first thing that is wrong."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise SettingsError(_sentence(error)) from error

    @property
    def journal_folder(self) -> Path:
        return self.data / "journal"

    @property
    def metrics_path(self) -> Path:
        """Read by the store's process, which serves it under /metrics."""
        return self.data / "run" / f"{self.name}.metrics.json"

    @field_validator("name")
    @classmethod
    def _is_a_file_name(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9]*", value):
            raise ValueError(f"expected small letters and digits, for example collector0, got {value!r}")
        return value

    @field_validator("grpc", "http")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        split_address(value)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, values: list[str]) -> list[str]:
        for value in values:
            if value != ANY and not ORIGIN.fullmatch(value.lower()):
                raise ValueError(f"expected origins such as https://shop.example:8443, or *, got {value!r}")
        return [value.lower() for value in values]

    @model_validator(mode="after")
    def _is_safe(self) -> CollectorSettings:
        for name in ("token_file", "tls_cert", "tls_key", "client_ca"):
            path: Path | None = getattr(self, name)
            if path is not None and not path.is_file():
                raise ValueError(f"{name}: there is no file {path}")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key come together; give both or neither")
        if self.client_ca is not None and self.tls_cert is None:
            raise ValueError("client_ca needs tls_cert and tls_key; client certificates come with TLS")
        if self.token_file is None and self.client_ca is None and not self.allow_anonymous:
            for name in ("grpc", "http"):
                address = getattr(self, name)
                if not _is_loopback(address):
                    raise ValueError(
                        f"{name} {address} can be reached by others, so it needs token_file or client_ca "
                        "(or allow_anonymous, if anyone who reaches it may send)"
                    )
        return self


def split_address(address: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``[V6]:PORT`` → (host without brackets, port). Port 0: any free one."""
    host, _, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not bare or not port.isdigit() or int(port) > 65535 or (":" in bare and bare == host):
        raise ValueError(f"expected HOST:PORT, for example 127.0.0.1:4317 or [::1]:4317, got {address!r}")
    return bare, int(port)


def read_tokens(path: Path | None) -> tuple[bytes, ...]:
    """The tokens, one a line, without empty lines. Raises SettingsError."""
    if path is None:
        return ()
    try:
        tokens = tuple(line.strip() for line in path.read_bytes().splitlines() if line.strip())
    except OSError as error:
        raise SettingsError(f"The token file {path} cannot be read: {error.strerror}.") from error
    if not tokens:
        raise SettingsError(f"The token file {path} holds no token; write at least one, one a line.")
    return tokens


def _is_loopback(address: str) -> bool:
    host, _ = split_address(address)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"There is no collector setting {where!r}."
    message = first["msg"].removeprefix("Value error, ")
    return f"The collector setting {where} is wrong: {message}." if where else f"{message}."
