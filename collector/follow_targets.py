"""What the user wants followed: a path or glob, and what cannot be told from the lines themselves.

What must stay true: a mistake is a sentence before anything starts; a target is plain data, so that it
passes from the settings to the follower's process as JSON.
"""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from collector.decode.access_log import READABLE
from collector.decode.access_log_emitter import Pod, pod_of_option, pod_of_path
from collector.decode.access_log_format import BadFormat, LineFormat, compile_format
from collector.errors import SettingsError


class FollowTarget(BaseModel):
    """One entry of ``[[follow]]``. ``path`` may hold ``*``, ``?``, ``[...]`` and ``**``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    format: str = "auto"
    format_string: str | None = None
    emitter: str | None = None

    @field_validator("path")
    @classmethod
    def _is_absolute(cls, value: str) -> str:
        if not value.strip() or "\0" in value:
            raise ValueError("expected a path or a glob, for example /var/log/pods/*/istio-proxy/*.log")
        return os.path.abspath(value)

    @field_validator("format")
    @classmethod
    def _is_readable(cls, value: str) -> str:
        if value not in ("auto", *READABLE):
            raise ValueError(f"expected one of auto, {', '.join(READABLE)}, got {value!r}")
        return value

    @field_validator("emitter")
    @classmethod
    def _is_a_pod(cls, value: str | None) -> str | None:
        if value is not None and pod_of_option(value) is None:
            raise ValueError(f"expected NS/POD, for instance default/reviews-v1-0, got {value!r}")
        return value

    @model_validator(mode="after")
    def _is_one_format(self) -> FollowTarget:
        if self.format_string is not None:
            if self.format != "auto":
                raise ValueError("format and format_string exclude each other")
            try:
                compile_format(self.format_string)
            except BadFormat as error:
                raise ValueError(str(error).rstrip(".")) from error
        return self

    @property
    def families(self) -> frozenset[str] | LineFormat:
        """What `decode_chunk` is asked to read. Container logs mix forms: ``auto`` takes each line for itself."""
        if self.format_string is not None:
            return compile_format(self.format_string)
        return frozenset(READABLE) if self.format == "auto" else frozenset({self.format})

    def pod_of(self, path: str) -> Pod | None:
        """Who writes the file: the setting, else what its path says."""
        return pod_of_option(self.emitter) if self.emitter else pod_of_path(path)

    def matches(self, path: str) -> bool:
        """Whether a path, there or not, is one of this target's."""
        return path == self.path or fnmatch.fnmatchcase(path, self.path)

    def paths(self) -> Iterator[str]:
        """What is there now."""
        if os.path.exists(self.path):
            yield self.path
        else:
            yield from glob.iglob(self.path, recursive=True)


def follow_targets(entries: Iterable[Mapping[str, Any]]) -> tuple[FollowTarget, ...]:
    """Raises SettingsError whose message names the first thing that is wrong."""
    targets = []
    for number, entry in enumerate(entries, start=1):
        try:
            targets.append(FollowTarget(**entry))
        except ValidationError as error:
            raise SettingsError(_sentence(number, error)) from error
    return tuple(targets)


def _sentence(number: int, error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"There is no setting {where!r} in entry {number}; an entry has path, format, format_string, emitter."
    message = first["msg"].removeprefix("Value error, ")
    return f"Entry {number}, {where}: {message}." if where else f"Entry {number}: {message}."
