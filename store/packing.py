"""How observations lie in segment files: their timings as what is between, which takes half the bytes.

What must stay true: packed and unpacked again, every row is what it was, nulls and extremes too. The file's name
says that it is packed, so the files alone tell how to read them; files of releases before have the columns of
``store.physical`` as they are. ``rows_sql`` unpacks; who reads a file without it finds every other column as it is.
"""

from __future__ import annotations

from pathlib import Path

from store.statements import sql

PACKED_TABLES = ("observations",)

_PACKED, _PLAIN = ".packed.parquet", ".parquet"


def file_name(table: str, stem: str) -> str:
    """The name of a segment of ``table`` that is written now."""
    return stem + (_PACKED if table in PACKED_TABLES else _PLAIN)


def is_packed(path: str) -> bool:
    return path.endswith(_PACKED)


def journal_of(path: Path) -> str:
    """The name of the journal whose rows a segment holds; of a merged one a name as it would have."""
    return f"{path.name.removesuffix(_PACKED).removesuffix(_PLAIN)}.journal"


def packed(table: str, rows: str) -> str:
    """A relation: ``rows`` (a relation with the columns of ``store.physical``) as a segment written now holds them."""
    return sql("seal/packed", rows=rows) if table in PACKED_TABLES else rows


def unpacked(rows: str) -> str:
    """A relation: the rows of packed files with the columns of ``store.physical``, in another order."""
    return sql("seal/unpacked", rows=rows)
