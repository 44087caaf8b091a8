"""The registry of SQL: every statement lives in ``store/sql/**.sql``, one query or object each.

What must stay true: text from telemetry or users is *bound*; only the named fragments a file
declares as ``{{name}}`` are rendered, with identifiers and relations of our own making. A folder
whose files must run in an order lists their names in a file ``_order``.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import blake2b
from pathlib import Path

ROOT = Path(__file__).parent / "sql"
_FRAGMENT = re.compile(r"\{\{(\w+)\}\}")


@cache
def all_names() -> tuple[str, ...]:
    """Names of all statements: paths below ``store/sql`` without ``.sql``, sorted."""
    return tuple(sorted(str(path.relative_to(ROOT).with_suffix("")) for path in ROOT.rglob("*.sql")))


@cache
def digest_of_all() -> str:
    """Names what is made from these statements: it changes with any of them."""
    text = "\0".join(f"{name}\0{source(name)}" for name in all_names())
    return blake2b(text.encode(), digest_size=8).hexdigest()


@cache
def source(name: str) -> str:
    """The text of a statement as it stands in its file. KeyError for a name without file."""
    if name not in all_names():
        raise KeyError(f"no statement {name!r} in store/sql")
    return (ROOT / f"{name}.sql").read_text(encoding="utf-8")


@cache
def fragments_of(name: str) -> frozenset[str]:
    """The fragments a statement wants rendered."""
    return frozenset(_FRAGMENT.findall(source(name)))


def sql(name: str, **fragments: str) -> str:
    """A statement, its fragments filled in. ValueError unless exactly its fragments are given."""
    wanted = fragments_of(name)
    if wanted != fragments.keys():
        raise ValueError(f"{name} wants fragments {sorted(wanted)}, was given {sorted(fragments)}")
    return _FRAGMENT.sub(lambda match: fragments[match[1]], source(name))


@cache
def in_order(folder: str) -> tuple[str, ...]:
    """The statements a folder's ``_order`` lists, as names; none where there is no such file."""
    order = ROOT / folder / "_order"
    if not order.exists():
        return ()
    lines = (line.split("#")[0].strip() for line in order.read_text(encoding="utf-8").splitlines())
    return tuple(f"{folder}/{line}" for line in lines if line)


def identifier(name: str) -> str:
    """``name`` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """``text`` as a SQL string literal (for our own paths, where DuckDB takes no parameter)."""
    return "'" + text.replace("'", "''") + "'"
