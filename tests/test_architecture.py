"""The house's rules that are tests: who may import whom, and where things live."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("sidelight", "collector", "store", "dashboard")

# room → what it may import from other rooms; None: everything.
MAY_IMPORT: dict[str, set[str] | None] = {
    "sidelight": None,
    "collector": {"store.schema", "store.frames"},
    "dashboard": {
        "store.queries",
        "store.query_types",
        "store.schema",
        "store.errors",
        "store.graph_formats",
    },
    "store": set(),
}


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if node.module in ROOMS else {node.module}
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room: str) -> None:
    """Rooms import only along the arrows of ARCHITECTURE.md, so each can be read without the others."""
    allowed = MAY_IMPORT[room]
    if allowed is None:
        return
    wrong = []
    for path in sorted((ROOT / room).rglob("*.py")):
        for name in sorted(_imports(path)):
            foreign = name.split(".")[0] in ROOMS and name.split(".")[0] != room
            if foreign and not any(name == ok or name.startswith(ok + ".") for ok in allowed):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []


def test_nobody_imports_the_front_door() -> None:
    """`sidelight` assembles the rooms; a room that imports it back would close a circle."""
    for room in ROOMS[1:]:
        for path in (ROOT / room).rglob("*.py"):
            assert not [name for name in _imports(path) if name.split(".")[0] == "sidelight"], path


def test_duckdb_is_imported_in_one_file() -> None:
    """Only store/database.py knows the engine; everything else asks it."""
    users = [
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if any(name.split(".")[0] == "duckdb" for name in _imports(path))
    ]
    assert users == ["store/database.py"]


def test_no_file_is_called_after_nothing() -> None:
    """A module's name says its theme: there is no utils, helpers, common or misc."""
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            assert path.stem not in {"utils", "util", "helpers", "common", "misc"}, path


def test_sql_lives_in_sql_files() -> None:
    """Python text holds no SQL statement of more than a line: statements live in store/sql."""
    statement = re.compile(r"^\s*(select|insert|update|delete|create|with)\s.*\n.*\n", re.I)
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    first = node.value.lstrip()
                    assert not (
                        statement.match(first)
                        and re.search(r"\b(from|into|table|view)\b", first, re.I)
                        and first.split()[0].isupper()
                    ), f"{path}: {first[:80]!r}"


def test_architecture_fits_on_250_lines() -> None:
    """ARCHITECTURE.md is a map; a map longer than 250 lines is not read."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 250
    assert text.count("**Invariant:**") >= 8
    for room in ROOMS:
        assert f"`{room}/`" in text


def test_no_machine_path_is_tracked() -> None:
    """What is committed runs anywhere: no path of one machine, no index address."""
    tracked = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.toml", "*.lock", "*.yaml", "*.sh", "Makefile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    files = [ROOT / name for name in tracked if name] or list(ROOT.glob("*.md"))
    home = re.compile(r"/(work|root|farm|home/[a-z]+|opt/pypi)/")
    for path in files:
        if path.is_file() and path != Path(__file__):
            assert not home.search(path.read_text(encoding="utf-8", errors="replace")), path


def test_the_lock_names_no_index_and_hashes_everything() -> None:
    """Whoever installs chooses the index; the lock only says which bytes."""
    for name in ("requirements.lock", "requirements-test.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "http://" not in text
        assert "https://" not in text
        assert "index-url" not in text
        for block in re.split(r"\n(?=\S)", text.strip()):
            assert "--hash=sha256:" in block, block[:60]
