"""Observations in segments: packed and unpacked again they are what they were, beside those of older releases."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from store.catalogue import Segment
from store.compaction import merge
from store.database import Database, arrow_relations, to_arrow
from store.hot import HotTable
from store.packing import is_packed, journal_of
from store.physical import STORED
from store.relations import rows_sql
from store.segments import write_segment
from tests.store.journals import NOON, ask, batch, observation, open_store, write_journal

LATER = NOON + timedelta(hours=2)
TIMINGS = (
    "request_last_rx_us", "upstream_first_tx_us", "upstream_last_tx_us", "upstream_first_rx_us",
    "upstream_last_rx_us", "downstream_first_tx_us", "downstream_last_tx_us",
)  # fmt: skip
USUAL = dict(zip(TIMINGS, (40, 600, 601, 11_500, 11_571, 11_513, 11_578), strict=True))
LEAST, MOST = -(2**63), 2**63 - 1
EDGES = (None, 0, 700, -1, 2**31 - 1, 2**31, LEAST, MOST)
STORED_TIMINGS = f"SELECT path, duration_us, {', '.join(TIMINGS)} FROM observations_raw ORDER BY path"


def stored(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as a hot slice has them; the path numbers them."""
    schema = STORED["observations"]
    return pa.Table.from_pylist(
        [observation(n / 1000, path=str(n), peer_key=n % 3) | row for n, row in enumerate(rows)], schema
    )


def sealed(tmp_path: Path, journal: str, rows: pa.Table) -> Path:
    """A segment of these rows."""
    database = Database(memory_limit="500MB", threads=1)
    cursor = database.cursor()
    with arrow_relations(cursor, incoming=rows):
        cursor.execute("CREATE TABLE hot AS FROM incoming")
    hot = HotTable("hot", rows.num_rows)
    segment = write_segment(cursor, tmp_path, "observations", hot, f"{journal}.journal", 0, lambda _: None)
    database.close()
    return tmp_path / segment.path


def read(*files: Path) -> list[dict[str, Any]]:
    """What readers get of segments, in the order of their numbers."""
    database = Database(memory_limit="500MB", threads=1)
    rows = rows_sql("observations", [], [str(one) for one in files], "")
    found = to_arrow(database.cursor().execute(f"SELECT * FROM ({rows}) ORDER BY path::INTEGER, emitter"))
    database.close()
    assert found.column_names == STORED["observations"].names
    return found.to_pylist()


def test_whatever_was_told_comes_back(tmp_path: Path) -> None:
    """Nulls, clocks that ran backwards, hours and the ends of 64 bits, each beside each."""
    rows = [
        {"duration_us": duration, "upstream_first_tx_us": first, "upstream_last_tx_us": last,
         "upstream_first_rx_us": some, "downstream_last_tx_us": other}
        for duration, first, last, some, other in product(EDGES, EDGES, EDGES, EDGES, (None, 700, MOST))
    ]  # fmt: skip
    rows += [{name: value} for name, value in product(TIMINGS, EDGES)]
    table = stored(rows)
    assert read(sealed(tmp_path, "c-1", table)) == table.to_pylist()


def test_what_is_usual_is_kept_in_four_bytes(tmp_path: Path) -> None:
    """Only a row whose timings do not fit keeps them as they were told; one without any keeps none."""
    rows = [
        {"duration_us": 11_581} | USUAL,
        {"duration_us": 11_400} | USUAL,  # a last byte after the end
        {"duration_us": 2**31 - 1, "upstream_first_rx_us": 0},
        {"duration_us": 2**31, "upstream_first_rx_us": 2**31},
        {"duration_us": 2**40},
        {"duration_us": None, "upstream_last_rx_us": 5},
        {"duration_us": 900, "upstream_last_tx_us": 5},
    ]
    path = sealed(tmp_path, "c-1", stored(rows))
    assert is_packed(str(path))
    assert journal_of(path) == "c-1.journal"
    inside = sorted(pq.ParquetFile(path).read().to_pylist(), key=lambda row: row["path"])
    assert [row["upstream_first_rx_to_end_us"] for row in inside[:4]] == [81, -100, 2**31 - 1, None]
    assert inside[0]["upstream_tx_us"] == 1
    assert [row["timings_as_told_us"] is not None for row in inside] == [
        *[False] * 3,
        True,
        False,
        True,
        True,
    ]
    assert inside[6]["timings_as_told_us"] == [5, None, None, None, None]
    assert not set(inside[0]).issuperset(TIMINGS)


def test_rows_of_ten_seconds_lie_by_who_called_whom(tmp_path: Path) -> None:
    """And by time within that: columns that tell of the edge compress, ids of one request stay near each other."""
    table = stored([{"time": NOON + timedelta(seconds=n % 40 / 2)} for n in range(120)])
    times, peers = table["time"].to_pylist(), table["peer_key"].to_pylist()
    inside = pq.ParquetFile(sealed(tmp_path, "c-1", table)).read(["time", "peer_key"]).to_pylist()
    expected = sorted(
        zip(times, peers, strict=True), key=lambda one: ((one[0] - NOON).seconds // 10, one[1], one[0])
    )
    assert [(row["time"], row["peer_key"]) for row in inside] == expected


def test_files_of_older_releases_are_read_beside_ours_and_merged_with_them(tmp_path: Path) -> None:
    """They have the columns as they are; what is merged of both is packed."""
    table = stored([{"duration_us": 11_581 + n} | USUAL for n in range(9)])
    packed = sealed(tmp_path, "c-2", table.slice(4))
    plain = packed.with_name("c-1.parquet")
    pq.write_table(table.slice(0, 4), plain)
    assert read(packed, plain) == table.to_pylist()

    database = Database(memory_limit="500MB", threads=1)
    group = [_listed(tmp_path, path) for path in (plain, packed)]
    merged = tmp_path / merge(database.cursor(), tmp_path, group, lambda _: None).path
    database.close()
    assert is_packed(str(merged))
    assert read(merged) == table.to_pylist()


def _listed(folder: Path, path: Path) -> Segment:
    rows = pq.read_metadata(path).num_rows
    return Segment("observations", str(path.relative_to(folder)), "", rows, 0, NOON, NOON)


def test_what_an_older_release_did_not_get_to_list_is_sealed_anew(tmp_path: Path) -> None:
    """It died between the segment and its commit: the journal is loaded, and the file of the other name goes."""
    rows = [observation(n, path=str(n)) for n in range(3)]
    write_journal(tmp_path / "journal", "c-1", [batch("1", observations=rows)])
    folder = tmp_path / "segments" / "observations" / "date=2026-11-21" / "hour=12"
    folder.mkdir(parents=True)
    pq.write_table(stored([{}] * 3), folder / "c-1.parquet")
    store = open_store(tmp_path)
    store.poll_once()
    assert ask(store, "SELECT count(*) FROM observations_raw") == [(3,)]
    assert [path.name for path in folder.iterdir()] == ["c-1.packed.parquet"]
    store.stop()


def test_readers_get_the_same_before_and_after_sealing_and_merging(tmp_path: Path) -> None:
    """Hot, sealed and merged, by the store itself, by its SQL and in what anyone opens."""
    expected = []
    for journal in range(2):
        rows = [observation(n, path=f"/{journal}{n}", duration_us=11_581 + n, **USUAL) for n in range(2)]
        rows.append(observation(3, path=f"/{journal}9", duration_us=None, upstream_last_rx_us=MOST))
        expected += [(row["path"], row["duration_us"], *(row.get(name) for name in TIMINGS)) for row in rows]
        write_journal(tmp_path / "journal", f"c-{journal}", [batch(f"{journal}", observations=rows)])
    store = open_store(tmp_path, retired_kept_s=0.0)
    store.poll_once(seal=False)
    told = store.sql(STORED_TIMINGS, "csv")
    assert ask(store, STORED_TIMINGS) == expected
    store.seal(all=True)
    assert ask(store, STORED_TIMINGS) == expected
    assert store.sql(STORED_TIMINGS, "csv") == told
    assert store.tidy(LATER) > 0
    assert ask(store, STORED_TIMINGS) == expected
    assert store.sql(STORED_TIMINGS, "csv") == told
    store.stop()
    again = open_store(tmp_path)
    assert ask(again, STORED_TIMINGS) == expected
    again.stop()
