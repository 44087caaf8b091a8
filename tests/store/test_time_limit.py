"""Questions that take too long: told so, and what is seen when they cannot be ended."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from store.database import Cursor, Interrupted, read_batches
from store.errors import BadQuery
from store.time_limit import TimeLimit
from tests.store.journals import open_store

ENDLESS = "SELECT count(*) FROM range(1000000000) AS a, range(1000000000) AS b WHERE a.range * b.range = 7"


def test_a_question_past_its_limit_ends_with_a_sentence(tmp_path: Path) -> None:
    """Others go on; the next question of the same cursor has its own time."""
    store = open_store(tmp_path)
    limit = TimeLimit(0.2)
    with store.reader() as cursor:
        began = time.monotonic()
        with pytest.raises(BadQuery, match=r"longer than 0.2 s") as refused, limit.on(cursor):
            cursor.execute(ENDLESS).fetchall()
        assert time.monotonic() - began < 20
        assert refused.value.code == "too_slow"
    with store.reader() as cursor, limit.on(cursor):
        assert cursor.execute("SELECT 1").fetchall() == [(1,)]
    store.stop()


def test_what_does_not_hear_that_it_is_over_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor that ignores the interrupt: after the grace the store is stuck, and no longer once it ended."""

    class Deaf:
        def interrupt(self) -> None:
            heard.set()

    heard = threading.Event()
    monkeypatch.setattr("store.time_limit._GRACE_S", 0.1)
    limit = TimeLimit(0.1)
    assert not limit.is_stuck()
    with limit.on(Deaf()):  # type: ignore[arg-type]
        assert heard.wait(10)
        time.sleep(0.25)
        assert limit.is_stuck()
    assert not limit.is_stuck()


def test_a_question_of_many_short_statements_ends_too(tmp_path: Path) -> None:
    """DuckDB forgets an interrupt that comes between two of them."""
    store = open_store(tmp_path)

    def ask_again_and_again(cursor: Cursor) -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            cursor.execute("SELECT sum(range) FROM range(10000000)").fetchall()
            time.sleep(0.05)

    with store.reader() as cursor, pytest.raises(BadQuery), TimeLimit(0.2).on(cursor):
        ask_again_and_again(cursor)
    store.stop()


def test_an_answer_that_is_read_in_pieces_ends_as_others_do(tmp_path: Path) -> None:
    """Its errors come by way of Arrow, and are DuckDB's all the same."""
    store = open_store(tmp_path)

    def read(cursor: Cursor) -> None:
        for _ in read_batches(cursor.execute("SELECT range FROM range(1000000000)"), 100_000):
            cursor.interrupt()

    with store.reader() as cursor, pytest.raises(Interrupted):
        read(cursor)
    store.stop()
