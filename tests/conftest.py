"""Fixtures that more than one room's tests use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running_server import Server, running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A real `sidelight serve` with an empty folder."""
    with running(tmp_path / "data") as started:
        yield started
