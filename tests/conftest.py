"""Fixtures that more than one room's tests use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running_server import Server, running


def _longest_first(item: pytest.Item) -> int:
    """What runs for minutes in one process begins at once, so that the other has the rest meanwhile."""
    if item.path.name == "test_kills.py":
        return 0
    return 1 if item.path.parent.name == "mesh" else 2


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two processes share the suite by file; what shares the one mesh that has lived stays together."""
    items.sort(key=_longest_first)
    for item in items:
        folder = item.path.parent
        group = folder if folder.name == "mesh" else item.path
        item.add_marker(pytest.mark.xdist_group(str(group.relative_to(item.config.rootpath))))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A real `sidelight serve` with an empty folder."""
    with running(tmp_path / "data") as started:
        yield started
