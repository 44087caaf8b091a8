"""All settings of ``sidelight serve``, assembled: each room owns its own object, this file joins them.

Sources, later ones win: defaults, ``--config FILE`` (TOML), ``SIDELIGHT_*`` of the environment, the
command line. What must stay true: an unknown key or a bad value is refused with a sentence that names
it; an address that others can reach needs a token, client certificates or an explicit word.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator


class BadSettings(ValueError):
    """A sentence for the user; nothing was started."""


class ServeSettings(BaseModel):
    """What `serve` is told."""

    model_config = ConfigDict(extra="forbid")

    data: Path = Path("sidelight-data")
    grpc: str = "127.0.0.1:4317"
    http: str = "127.0.0.1:4318"
    ui: str = "127.0.0.1:8050"
    names: Path | None = None
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    allow_anonymous: bool = False
    collectors: int = Field(default_factory=lambda: max(1, (os.cpu_count() or 1) - 1), ge=1, le=64)
    follow: list[dict[str, Any]] = []
    collector: dict[str, Any] = {}
    store: dict[str, Any] = {}
    dashboard: dict[str, Any] = {}

    @field_validator("grpc", "http", "ui")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or not 1 <= int(port) <= 65535:
            raise ValueError(f"expected HOST:PORT, for example 127.0.0.1:4317, got {value!r}")
        return value

    @field_validator("follow", mode="before")
    @classmethod
    def _is_a_list_of_tables(cls, value: Any) -> Any:
        """Paths alone are enough: a list of them, or (in the environment) a text with ':' between them."""
        entries = value.split(os.pathsep) if isinstance(value, str) else value
        if not isinstance(entries, list):
            raise ValueError("expected [[follow]] tables with a path, or a list of paths")
        return [{"path": entry} if isinstance(entry, str) else entry for entry in entries if entry]

    @model_validator(mode="after")
    def _is_safe(self) -> ServeSettings:
        for name in ("token_file", "tls_cert", "tls_key", "client_ca", "names"):
            path: Path | None = getattr(self, name)
            if path is not None and not path.is_file():
                raise ValueError(f"--{name.replace('_', '-')}: there is no file {path}")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("--tls-cert and --tls-key come together: give both or neither")
        if self.client_ca is not None and self.tls_cert is None:
            raise ValueError("--client-ca needs --tls-cert and --tls-key: client certificates come with TLS")
        if self.token_file is None and self.client_ca is None and not self.allow_anonymous:
            for name in ("grpc", "http", "ui"):
                address = getattr(self, name)
                if not is_loopback(address):
                    raise ValueError(
                        f"--{name} {address} can be reached by others, so it needs --token-file "
                        "or --client-ca (or --allow-anonymous, if anyone who reaches it may read and write)"
                    )
        return self

    @property
    def ui_url(self) -> str:
        """The dashboard's address as a browser on this machine opens it."""
        host, _, port = self.ui.rpartition(":")
        host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - compared, not bound
        return f"{'https' if self.tls_cert else 'http'}://{host}:{port}"

    def as_supervisor_json(self) -> dict[str, Any]:
        """What the supervisor and its children read: plain JSON, absolute paths."""
        plain = self.model_dump(mode="json")
        for name in ("data", "names", "token_file", "tls_cert", "tls_key", "client_ca"):
            if plain[name] is not None:
                plain[name] = str(Path(plain[name]).absolute())
        plain["follow"] = [
            entry | {"path": os.path.abspath(entry["path"])} if isinstance(entry.get("path"), str) else entry
            for entry in plain["follow"]
        ]
        return plain | {
            "ui_url": self.ui_url,
            "ports": {"grpc": self.grpc, "http": self.http, "ui": self.ui},
        }


def load(config: Path | None, **given: Any) -> ServeSettings:
    """Settings from file, environment and command line. Raises BadSettings with a sentence."""
    values: dict[str, Any] = {}
    if config is not None:
        try:
            values = tomllib.loads(config.read_text(encoding="utf-8"))
        except OSError as error:
            raise BadSettings(f"--config {config}: {error.strerror}.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadSettings(f"--config {config} is not TOML: {error}.") from error
    for name in ServeSettings.model_fields:
        if (from_environment := os.environ.get(f"SIDELIGHT_{name.upper()}")) is not None:
            values[name] = from_environment
    values |= {name: value for name, value in given.items() if value is not None}
    try:
        settings = ServeSettings(**values)
    except ValidationError as error:
        raise BadSettings(_sentence(error)) from error
    check_rooms(settings)
    return settings


def check_rooms(settings: ServeSettings) -> None:
    """Build each room's settings once, so that a mistake is told before anything starts."""
    from collector.errors import CollectorError
    from sidelight.collector_process import collector_settings
    from sidelight.store_process import dashboard_settings, store_settings
    from store.errors import StoreError

    plain = settings.as_supervisor_json()
    rooms: dict[str, Callable[[], object]] = {
        "follow": lambda: _check_targets(plain["follow"]),
        "collector": lambda: collector_settings(plain, "collector0"),
        "store": lambda: store_settings(plain),
        "dashboard": lambda: dashboard_settings(plain),
    }
    for room, build in rooms.items():
        try:
            build()
        except (CollectorError, StoreError, ValueError) as error:
            raise BadSettings(f"[{room}] {str(error).rstrip('.')}.") from error
        except TypeError as error:
            # A frozen dataclass told of a key it has not: "... unexpected keyword argument 'x'".
            key = str(error).rpartition("argument ")[2]
            raise BadSettings(f"[{room}] There is no {room} setting {key}.") from error


def _check_targets(entries: list[dict[str, Any]]) -> None:
    if entries:  # decoders are needed to judge formats: seconds of importing, for those who follow files
        from collector.follow_targets import follow_targets

        follow_targets(entries)


def is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
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
        return f"There is no setting {where!r}. The settings are listed in the README."
    message = first["msg"].removeprefix("Value error, ")
    if where:
        return f"The setting {where} is wrong: {message}."
    return f"{message}."
