"""Collecting what was wrong with single records: a bounded description, a complete count.

What must stay true: every rejected record is counted for its export; only the first few of an export
are described, so that a million bad records cost no million rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from collector.decode import limits
from collector.decode.types import Decoded, Export
from store.schema import REJECTS

Description = tuple[str, str, str]  # place, reason, sample
_IN_MESSAGE = 3


class RejectLog:
    """Rejects of one decode call; ``records`` is their plural in messages ('spans')."""

    def __init__(self, source: str, records: str, exports: Sequence[Export]) -> None:
        self._source, self._records, self._exports = source, records, exports
        self._counts: dict[int, int] = {}
        self._rows: list[tuple[int, str, str, str]] = []
        self._described: dict[int, int] = {}

    def add(self, export_of: np.ndarray, describe: Callable[[int], Description]) -> None:
        """Count one reject per entry of ``export_of``; ``describe(position)`` is asked for the first few."""
        exports, firsts, counts = np.unique(export_of, return_index=True, return_counts=True)
        for export, first, count in zip(exports.tolist(), firsts.tolist(), counts.tolist(), strict=True):
            self._counts[export] = self._counts.get(export, 0) + count
            wanted = limits.REJECTS_DESCRIBED - self._described.get(export, 0)
            if wanted <= 0:
                continue
            positions = np.flatnonzero(export_of[first:] == export)[:wanted] + first
            self._described[export] = self._described.get(export, 0) + len(positions)
            for position in positions.tolist():
                place, reason, sample = describe(position)
                self._rows.append((export, place, reason, sample[: limits.SAMPLE_CHARS]))

    def table(self) -> pa.Table:
        columns = list(zip(*self._rows, strict=True)) if self._rows else [()] * 4
        times = [self._exports[export].received_us for export in columns[0]]
        values = [columns[0], times, [self._source] * len(times), *columns[1:]]
        arrays = [pa.array(list(value), field.type) for value, field in zip(values, REJECTS, strict=True)]
        return pa.Table.from_arrays(arrays, schema=REJECTS)

    def by_export(self) -> dict[int, tuple[int, str]]:
        """Export index → (how many records, which and why)."""
        return {export: (count, self._message(export, count)) for export, count in self._counts.items()}

    def _message(self, export: int, count: int) -> str:
        shown = [f"{row[1]}: {row[2]}" for row in self._rows if row[0] == export][:_IN_MESSAGE]
        more = f"; and {count - len(shown)} more" if count > len(shown) else ""
        return f"rejected {count} of the {self._records}: " + "; ".join(shown) + more


def keep_refusals(decoded: Decoded, exports: Sequence[Export], source: str) -> None:
    """Add a row to the rejects for every export that was refused whole: at which byte, why, what stands there."""
    rows = []
    for index, refusal in decoded.refused.items():
        export, offset = exports[index], refusal.offset
        place = "body" if offset is None else f"body, byte {offset}"
        sample = sample_of(export.body[offset or 0 :][: limits.SAMPLE_CHARS])[: limits.SAMPLE_CHARS]
        rows.append((index, export.received_us, source, place, refusal.message[: limits.NAME_BYTES], sample))
    if rows:
        arrays = [
            pa.array(values, field.type)
            for values, field in zip(zip(*rows, strict=True), REJECTS, strict=True)
        ]
        told = [
            decoded.tables.get("rejects", REJECTS.empty_table()),
            pa.Table.from_arrays(arrays, schema=REJECTS),
        ]
        decoded.tables["rejects"] = pa.concat_tables(told)


def sample_of(raw: bytes) -> str:
    """A bounded, readable sample of bytes: text as far as it is text, else hex."""
    cut = raw[: limits.SAMPLE_CHARS]
    text = cut.decode("utf-8", "replace")
    return text if text.isprintable() else cut[: limits.SAMPLE_CHARS // 2].hex()
