"""``sidelight sql``: one statement, or a prompt. The statement runs in a worker of its own.

The worker sees files only (segments and the journals' tail), so it answers with or without a server.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

from sidelight.questions import CannotAnswer
from sidelight.tables import table


def run_sql(data_dir: Path, statement: str, format: str) -> None:
    """Run one statement and write its answer to stdout. Raises CannotAnswer."""
    if format in ("arrow", "parquet") and sys.stdout.isatty():
        raise CannotAnswer(
            f"{format} is binary: send it to a file or a pipe (sidelight sql ... > answer.{format})."
        )
    answer = _ask(data_dir, statement, "json" if format == "table" else format)
    if format != "table":
        sys.stdout.buffer.write(answer)
        if format == "json" and not answer.endswith(b"\n"):
            sys.stdout.buffer.write(b"\n")
        sys.stdout.flush()
        return
    _print_table(answer)


def prompt(data_dir: Path, format: str) -> None:
    """Read statements until the end of input; an error is told and the prompt goes on."""
    from rich.console import Console

    console = Console()
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - line editing and history for input()
    console.print("SQL over everything stored. End a statement with ';'. Ctrl-D leaves. Try: SHOW TABLES;")
    lines: list[str] = []
    while True:
        try:
            lines.append(input("sidelight> " if not lines else "       ... "))
        except EOFError:
            console.print()
            return
        except KeyboardInterrupt:
            lines.clear()
            console.print()
            continue
        statement = "\n".join(lines).strip()
        if not statement:
            lines.clear()
        elif statement.endswith(";"):
            lines.clear()
            try:
                run_sql(data_dir, statement.rstrip(";"), format)
            except CannotAnswer as error:
                print(f"sidelight: {error}", file=sys.stderr)


def _ask(data_dir: Path, statement: str, format: str) -> bytes:
    from store.errors import StoreError
    from store.sql_worker import run_statement

    if not data_dir.is_dir():
        raise CannotAnswer(
            f"There is no data folder {data_dir}. Start `sidelight serve` or `sidelight demo`, "
            "or name the folder with --data."
        )
    try:
        return run_statement(data_dir, statement, format)
    except StoreError as error:
        hint = getattr(error, "hint", None)
        raise CannotAnswer(f"{error} {hint}" if hint and hint not in str(error) else str(error)) from error


def _print_table(answer: bytes) -> None:
    from rich.console import Console

    rows = json.loads(answer)
    if isinstance(rows, dict):
        rows = rows.get("rows", [])
    console = Console()
    if not rows:
        console.print("No rows.")
        return
    heads = list(rows[0])
    numeric = [n for n, head in enumerate(heads) if isinstance(rows[0][head], int | float)]
    console.print(table(heads, ([row.get(head) for head in heads] for row in rows), numeric))
    console.print(f"{len(rows):,} rows")
