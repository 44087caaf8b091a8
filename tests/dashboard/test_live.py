"""Ticks and snapshots: asked once for everybody, patched, remembered."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import replace

import pytest

from dashboard import live as live_module
from dashboard.graph import elements
from dashboard.live import Live
from dashboard.view_state import DEFAULT
from tests.dashboard.bookinfo import FakeQueries


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(live_module, "REST", 0.0)


def test_one_question_for_everybody() -> None:
    """Many browsers on one view at one tick are one query; another tick is another."""

    async def run() -> None:
        queries = FakeQueries()
        live = Live(queries)
        await asyncio.gather(*(live.patch(DEFAULT, None) for _ in range(20)))
        assert len(queries.asked) == 1
        await live.next_tick(live.seq)
        await asyncio.gather(*(live.patch(DEFAULT, None) for _ in range(20)))
        assert len(queries.asked) == 2

    asyncio.run(run())


def test_patches_follow() -> None:
    """A browser that has the last drawing gets only what changed; equal is nothing; unknown is all."""

    async def run() -> None:
        queries = FakeQueries()
        live = Live(queries)
        first = await live.patch(DEFAULT, None)
        assert first is not None
        assert first["full"]
        assert await live.patch(DEFAULT, first) is None
        drawing: elements.Elements = elements.apply({}, first)
        queries.graph_json = copy.deepcopy(queries.graph_json)
        queries.graph_json["edges"][0]["rate"] *= 2
        await live.next_tick(live.seq)
        second = await live.patch(DEFAULT, first)
        assert second is not None
        assert not second["full"]
        assert second["base"] == first["serial"]
        assert list(second["data"]) == [queries.graph_json["edges"][0]["id"]]
        drawing = elements.apply(drawing, second)
        whole = await live.patch(DEFAULT, {"key": "of another server", "serial": first["serial"]})
        assert whole is not None
        assert elements.apply({}, whole) == drawing

    asyncio.run(run())


def test_places_are_remembered() -> None:
    """Another window keeps every node where it was; arranging afresh may not."""

    async def run() -> None:
        live = Live(FakeQueries())
        a = await live.snapshot(DEFAULT)
        b = await live.snapshot(replace(DEFAULT, window="1h"))
        assert a.positions.centres == b.positions.centres
        live.rearrange()
        assert (await live.snapshot(DEFAULT)).seq == a.seq

    asyncio.run(run())


def test_the_clock_ticks_through_trouble() -> None:
    """While the store cannot answer, ticks go on, so that pages do not think the server dead."""

    class Broken(FakeQueries):
        def status(self) -> dict[str, object]:
            raise RuntimeError("restarting")

    async def run() -> None:
        live = Live(Broken())
        assert await asyncio.wait_for(live.next_tick(0), 5) > 0

    asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "never"),
    [
        ({}, False),
        ({"rows": {}}, False),
        ({"rows": {"observations": {"hot": 0, "sealed": 0}, "spans": {"hot": 0, "sealed": 0}}}, True),
        ({"rows": {"observations": {"hot": 0, "sealed": 0}, "spans": {"hot": 2, "sealed": 0}}}, False),
    ],
)
def test_nothing_arrived(status: dict[str, object], never: bool) -> None:
    """Only a store that says it is empty is told how to be filled."""
    assert live_module.nothing_arrived(status) is never
