"""The SQL files and the code that uses them agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from store import statements

ROOM = Path(statements.__file__).parent
CODE = "\n".join(path.read_text(encoding="utf-8") for path in ROOM.rglob("*.py"))
ORDERED = {
    name for order in statements.ROOT.rglob("_order") for name in statements.in_order(order.parent.name)
}


@pytest.mark.parametrize("name", statements.all_names())
def test_every_file_is_used_and_says_why(name: str) -> None:
    """A statement is named in the code (or made in an `_order`) and begins with a comment."""
    folder, _, leaf = name.rpartition("/")
    used = name in ORDERED or f'"{name}"' in CODE or (f'f"{folder}/' in CODE and f'"{leaf}"' in CODE)
    assert used, f"{name}.sql is used nowhere"
    assert statements.source(name).startswith("-- "), f"{name}.sql does not say what it is"


def test_every_ordered_name_has_its_file() -> None:
    """An `_order` names files that exist."""
    assert set(statements.all_names()) >= ORDERED


def test_fragments_must_fit() -> None:
    """A fragment too many or too few is an error, not SQL with a hole in it."""
    with pytest.raises(ValueError, match="wants fragments \\['resources'\\]"):
        statements.sql("load/new_resources")
    with pytest.raises(ValueError, match="was given"):
        statements.sql("load/resource_keys", rows="x")
    with pytest.raises(KeyError):
        statements.sql("load/nothing")


def test_literals_and_identifiers_are_quoted() -> None:
    """Quotes in our own names and paths cannot end the literal."""
    assert statements.literal("it's") == "'it''s'"
    assert statements.identifier('a"b') == '"a""b"'
