"""The percentiles of a question, from what `edge_facts` says of places: of rows, read beside it, or of the rollup.

What must stay true: all of it is read by the question's own cursor, within its transaction; sealed rows are read a
segment at a time, so memory does not grow with their window (applications' spans are read at once).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.database import read_batches
from store.kept_rows import KeptRows
from store.percentiles import Doubles, Ints, of_buckets, of_rows
from store.places import NOWHERE, Places
from store.query_types import Window
from store.statements import sql
from store.tally import Latency

_ROWS_AT_ONCE = 1 << 20
_COUNTED = ["bucket", "lane_key", "hour_no", "minutes", "place_no", "latency_buckets", "latency_rows"]


def part_of(facts: pa.Table, name: str, columns: list[str]) -> pa.Table:
    """These columns of the facts of one kind."""
    return facts.select(columns).filter(pc.equal(facts["fact"], name))


def latencies(
    cursor: Any, facts: pa.Table, values: Mapping[str, Any], is_exact: bool, kept: KeptRows
) -> list[Latency]:
    """Of what `graph_facts` answered (``facts``) when it was asked with ``values``."""
    place = part_of(facts, "place", ["place_no", "edge_no", "target_no", "view", "leg"])
    if not len(place):
        return []
    places = Places(
        part_of(facts, "lane", ["lane_key", "hour_no", "minutes", "place_no"]),
        place,
        all_views=values["only_no"] is not None,
    )
    window = Window(values["from_time"], values["to_time"])
    # Where the first step begins with a whole minute or hour, there may be one more than the window has.
    steps = 1 if _is_one_step(values) else window.microseconds // values["step_us"] + 2
    if is_exact:

        def read() -> Iterator[tuple[Ints, Ints]]:
            yield from _rows(cursor, places, values, kept)
            yield _loose_rows(part_of(facts, "row", ["bucket", "place_no", "duration_us"]), places)

        total, quantiles_us = of_rows(read, places.groups, steps)
    else:
        total, quantiles_us = of_buckets(
            *_buckets(part_of(facts, "buckets", _COUNTED), places), places.groups, steps
        )
    return _told(place, places, total, quantiles_us, None if is_exact else "rollup")


def _is_one_step(values: Mapping[str, Any]) -> bool:
    return bool(values["step_us"] >= Window(values["from_time"], values["to_time"]).microseconds)


def _rows(
    cursor: Any, places: Places, values: Mapping[str, Any], kept: KeptRows
) -> Iterator[tuple[Ints, Ints]]:
    """Cells and durations of rows that show their caller."""
    if values["only_no"] is None and _is_one_step(values):
        for rows in kept.of_window(cursor, Window(values["from_time"], values["to_time"])):
            yield _cells(places.classes_of_kept(rows), 0, rows.duration_us, places)
        return
    asked = {name: values[name] for name in ("from_time", "to_time", "step_us")}
    asked["lanes"] = places.keys.to_pylist()
    text = sql("ask/measured_steps", by_minute=str(places.by_minute).lower())
    for batch in read_batches(cursor.execute(text, asked), _ROWS_AT_ONCE):
        yield _cells(
            places.classes_of_rows(batch["lane_key"], batch["minute_no"]),
            batch["bucket"].to_numpy(),
            batch["duration_us"].to_numpy(),
            places,
        )


def _loose_rows(rows: pa.Table, places: Places) -> tuple[Ints, Ints]:
    of_row = places.classes_of_places(rows["place_no"])
    return _cells(of_row, rows["bucket"].to_numpy(), rows["duration_us"].to_numpy(), places)


def _cells(of_row: Ints, step: Ints | int, told: Ints, places: Places) -> tuple[Ints, Ints]:
    """step * classes + class of the rows that count anywhere, and what they told."""
    cell = of_row + (step * places.groups.classes if np.any(step) else 0)
    if len(of_row) and of_row.min() == NOWHERE:
        somewhere = np.flatnonzero(of_row != NOWHERE)
        cell, told = cell[somewhere], told[somewhere]
    return cell.astype(np.int32, copy=False), told


def _buckets(counts: pa.Table, places: Places) -> tuple[Ints, Ints, Ints]:
    """Cells, buckets of latency and how many measurements lie there."""
    if counts["place_no"].null_count < len(counts):
        is_placed = counts["place_no"].is_valid()
        placed, keyed = counts.filter(is_placed), counts.filter(pc.invert(is_placed))
        counts = pa.concat_tables([placed, keyed])
    else:
        placed, keyed = counts.slice(0, 0), counts
    of_key = places.classes_of_counts(
        *(keyed[name].combine_chunks() for name in ("lane_key", "hour_no", "minutes"))
    )
    of_row = np.concatenate([places.classes_of_places(placed["place_no"]), of_key])
    lists = counts["latency_buckets"].combine_chunks()
    bucket, rows = lists.flatten().to_numpy(), counts["latency_rows"].combine_chunks().flatten().to_numpy()
    many = np.diff(lists.offsets.to_numpy())
    cell = np.repeat(counts["bucket"].to_numpy() * places.groups.classes + of_row, many)
    if len(of_row) and of_row.min() == NOWHERE:
        somewhere = np.flatnonzero(np.repeat(of_row != NOWHERE, many))
        cell, bucket, rows = cell[somewhere], bucket[somewhere], rows[somewhere]
    return cell, bucket, rows


def _told(
    place: pa.Table, places: Places, total: Ints, quantiles_us: Doubles, signal: str | None
) -> list[Latency]:
    """One for each group and step that has measurements."""
    found = np.flatnonzero(total)
    step, group = np.divmod(found, places.groups.count)
    is_node = group >= places.places
    row = np.concatenate([places.place_rows, places.node_rows])[group]
    told = place.select(["edge_no", "target_no", "view", "leg"]).take(row)
    edge_no, target_no, view, leg = (told[name].to_pylist() for name in told.column_names)
    return [
        Latency("node", bucket, None, called, seen, None, signal, values)
        if of_node
        else Latency("latency", bucket, edge, called, seen, side, signal, values)
        for of_node, bucket, edge, called, seen, side, values in zip(
            is_node.tolist(),
            step.tolist(),
            edge_no,
            target_no,
            view,
            leg,
            quantiles_us[found].tolist(),
            strict=True,
        )
    ]
