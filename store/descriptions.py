"""Comments on every table and column, kept as data in ``store/sql/published/descriptions.sql``.

What must stay true: every relation and column users can see has a sentence (a test walks them). A
column means the same wherever its name appears, unless a row names its table.
"""

from __future__ import annotations

from store.database import Cursor
from store.statements import identifier, literal, source


def comment_statements(cursor: Cursor) -> list[str]:
    """``COMMENT ON`` statements for the relations and columns of the cursor's current database."""
    described = described_columns(cursor)
    statements = []
    for table, column, is_view in _relations(cursor):
        text = described.get((table, column)) or described.get(("*", column))
        if text is None:
            continue
        if column:
            on = f"COLUMN {identifier(table)}.{identifier(column)}"
        else:
            on = f"{'VIEW' if is_view else 'TABLE'} {identifier(table)}"
        statements.append(f"COMMENT ON {on} IS {literal(text)}")
    return statements


def described_columns(cursor: Cursor) -> dict[tuple[str, str], str]:
    """(table or '*', column or '') → sentence."""
    rows = cursor.execute(source("published/descriptions")).fetchall()
    return {(table, column): text for table, column, text in rows}


def _relations(cursor: Cursor) -> list[tuple[str, str, bool]]:
    return cursor.execute(source("published/relations")).fetchall()
