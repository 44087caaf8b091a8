"""Processes that need no pandas do without it.

DuckDB and pyarrow import it to see whether a value is one of its own: a second of a start, and 50 MB.
"""

from __future__ import annotations

import sys
from typing import Any


class _Refuse:
    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("this process does without pandas", name=name)


def do_without_pandas() -> None:
    """From here on ``import pandas`` fails in this process."""
    sys.meta_path.insert(0, _Refuse())
