"""docs/schema.md is the database's own description of itself."""

from __future__ import annotations

from pathlib import Path

from store.schema_page import current_page

PAGE = Path(__file__).parents[2] / "docs" / "schema.md"


def test_every_table_and_column_is_described() -> None:
    """The page is what `python -m store.schema_page` writes, and no column in it lacks its sentence."""
    page = current_page()
    assert page == PAGE.read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("|") and line.endswith("|  |")] == []
