"""The store's settings: one typed, frozen object, checked when made. Unknown keys are a TypeError."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from store.errors import BadSetting

_SIZE = re.compile(r"^\d+(\.\d+)?\s*(KB|MB|GB|TB|KiB|MiB|GiB|TiB)$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class StoreSettings:
    """Where the data lies and how much of the machine the store may use."""

    data_dir: Path
    memory_limit: str = "300MB"
    """DuckDB's own limit for hot rows and queries; past it, hot rows go to DATA/tmp."""
    kept_memory: str = "150MB"
    """Of that, what DuckDB keeps once it has used it: asking the kernel for the same pages again with every
    question of a large window costs more than the question (100,000 page faults, 35,000 with)."""
    threads: int = 2
    poll_interval_s: float = 0.1
    """How often the journal folder is looked at; at rest a quarter as often, under load every half second."""
    tick_bytes: int = 2 * 1024 * 1024
    """Journal bytes loaded in one transaction, some thousand records: bounds the loader's memory while it catches
    up (8 MiB took 150 MB more and were no quicker)."""
    hot_rows: int = 1_000_000
    """Past so many rows in memory the loader waits for the sealer; what arrives meanwhile stays in the journal."""
    delivered_memory_s: int = 3600
    """How long an export's digest is remembered (an import's is never forgotten)."""
    rows_kept_days: float = 7
    """How long after their arrival rows are kept."""
    rows_kept_bytes: int = 20 << 30
    """Past so many bytes of segments the oldest hours go, before their time."""
    rollups_kept_days: float = 90
    """How long counts per minute are kept; those of minutes whose rows are kept stay with them."""
    exact_window_s: float = 900
    """Up to this length of a window percentiles are of its rows; beyond, of the rollup, within 1 %."""
    retired_kept_s: float = 600
    """How long a segment's file stays after it was merged or dropped: whoever reads it may finish."""
    question_time_limit_s: float = 60.0
    """How long the dashboard's and the API's own questions may take."""
    sql_time_limit_s: float = 30.0
    sql_memory_limit: str = "256MB"
    sql_row_limit: int = 1_000_000
    sql_byte_limit: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        object.__setattr__(self, "data_dir", Path(self.data_dir).absolute())
        for name in ("memory_limit", "kept_memory", "sql_memory_limit"):
            if not _SIZE.match(getattr(self, name)):
                raise BadSetting(f"{name} is {getattr(self, name)!r}; give a size like 400MB or 1GiB")
        for name in (
            "threads",
            "poll_interval_s",
            "tick_bytes",
            "hot_rows",
            "rows_kept_days",
            "rows_kept_bytes",
            "rollups_kept_days",
            "question_time_limit_s",
            "sql_time_limit_s",
            "sql_row_limit",
            "sql_byte_limit",
        ):
            if getattr(self, name) <= 0:
                raise BadSetting(f"{name} is {getattr(self, name)}; give a number above 0")
        for name in ("delivered_memory_s", "retired_kept_s", "exact_window_s"):
            if getattr(self, name) < 0:
                raise BadSetting(f"{name} is {getattr(self, name)}; give 0 or more seconds")

    @property
    def journal(self) -> Path:
        return self.data_dir / "journal"

    @property
    def segments(self) -> Path:
        return self.data_dir / "segments"

    @property
    def quarantine(self) -> Path:
        return self.data_dir / "quarantine"

    @property
    def temporary(self) -> Path:
        return self.data_dir / "tmp"

    @property
    def catalogue(self) -> Path:
        return self.data_dir / "catalogue.duckdb"

    @property
    def doubt(self) -> Path:
        """There while something in the catalogue could not be read: the next start reads all of it."""
        return self.data_dir / "catalogue.doubt"

    @property
    def published(self) -> Path:
        return self.data_dir / "sidelight.duckdb"
