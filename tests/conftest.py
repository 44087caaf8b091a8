"""Fixtures that more than one room's tests use, and how two processes share the suite."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.running_server import Server, running


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """A process takes whole files, for what a module set up once; the mesh that has lived, its whole folder.

    `--dist loadgroup` would say the same with marks, but xdist 3.8 writes them into node ids, which pytest 9.2
    ignores: every test was a group of its own, and each process started a mesh.
    """

    def _split_scope(self, nodeid: str) -> str:
        folder, _, _ = nodeid.partition("/mesh/")
        return f"{folder}/mesh" if folder != nodeid else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def _longest_first(item: pytest.Item) -> int:
    """What runs for minutes in one process begins at once, so that the other has the rest meanwhile."""
    if item.path.name == "test_kills.py":
        return 0
    return 1 if item.path.parent.name == "mesh" else 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_longest_first)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what its servers wrote: the folders they lie in are gone when one looks."""
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, Server) and value.log.exists():
                report.sections.append((f"log of {name}", value.log.read_text(errors="replace")[-20_000:]))
    return report


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A real `sidelight serve` with an empty folder."""
    with running(tmp_path / "data") as started:
        yield started
