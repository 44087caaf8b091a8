"""``sidelight store``, ``backup``, ``restore`` and ``export``: long work with a bar, and what it came to.

What must stay true: results go to stdout, progress and trouble to stderr; numbers are those of the job's result.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from sidelight.questions import CannotAnswer
from sidelight.store_jobs import Json, ask_stats, job_runner, locked
from sidelight.tables import printable, table

_PIPE_WIDTH = 120
_POLL_S = (0.1, 1.0)
Tell = Callable[[int, int, str], None]


def run_job(data_dir: Path, kind: str, **options: Any) -> Json:
    """Run a job to its end, in the server or here, with a bar at a terminal. Its result. Raises CannotAnswer."""
    with job_runner(data_dir) as runner, progress(kind) as tell:
        number = runner.start(kind, options)["number"]
        pause = _POLL_S[0]
        try:
            while True:
                try:
                    job = runner.current()
                except CannotAnswer as error:
                    raise CannotAnswer(f"The {kind} was not finished, run it again: {error}") from error
                if job["number"] != number:
                    raise CannotAnswer(f"The {kind} was not finished: the server began anew. Run it again.")
                if job["state"] != "running":
                    break
                tell(job["done"], job["total"], job["message"])
                time.sleep(pause)
                pause = min(pause * 1.5, _POLL_S[1])
        except KeyboardInterrupt:
            if runner.is_server:
                _say(f"The server goes on with the {kind}.")
            raise
    if job["state"] == "failed":
        raise CannotAnswer(f"The {kind} failed: {job['message']}")
    result: Json = job["result"]
    return result | {"by_server": runner.is_server}


def print_stats(data_dir: Path, format: str) -> None:
    """``sidelight store stats``. Raises CannotAnswer."""
    stats = ask_stats(data_dir)
    if format == "json":
        json.dump(stats, sys.stdout, indent=2 if sys.stdout.isatty() else None)
        sys.stdout.write("\n")
        return
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    names = ("table", "segments", "rows", "bytes", "unsealed_rows", "earliest", "latest")
    rows = [[_cell(one[name]) for name in names] for one in stats["tables"]]
    heads = ("table", "segments", "rows", "bytes", "not sealed", "earliest", "latest")
    console.print(table(heads, rows, numeric=range(1, 5), title=stats["data_dir"]))
    journal, catalogue, kept = stats["journal"], stats["catalogue"], stats["kept"]
    lines = {
        "journal": f"{journal['bytes']:,} bytes in {journal['files']:,} files, {journal['waiting_bytes']:,} not loaded",
        "catalogue": f"{catalogue['bytes']:,} bytes, {catalogue['import_digests']:,} parts of imports remembered",
        "rollup": f"{catalogue['rollup_rows']:,} rows, {_cell(catalogue['rollup_earliest'])} to "
        f"{_cell(catalogue['rollup_latest'])}",
        "kept": f"rows {kept['rows_days']:g} days and {kept['rows_bytes']:,} bytes, counts per minute "
        f"{kept['rollups_days']:g} days",
        "quarantine": f"{stats['quarantine']['files']:,} files, {stats['quarantine']['bytes']:,} bytes",
        "disk": f"{stats['disk_free_bytes']:,} bytes free",
        "since the start": ", ".join(
            f"{count:,} {name.replace('_', ' ')}" for name, count in stats["since_start"].items() if count
        )
        or "nothing merged, dropped or set aside",
    }
    for name, line in lines.items():
        _print(console, f"{name + ':':17}{line}")


def compact(data_dir: Path) -> None:
    """``sidelight store compact``. Raises CannotAnswer."""
    result = run_job(data_dir, "compact")
    parts = [
        f"{result['sealed_journals']:,} journals sealed",
        f"{result['merged_segments']:,} segments merged",
    ]
    if result["dropped_rows"]:
        parts.append(f"{result['dropped_rows']:,} rows that were too old dropped")
    _print(Console(), ", ".join(parts) + ".")


def verify(data_dir: Path) -> bool:
    """``sidelight store verify``. False: something is broken, and was said. Raises CannotAnswer."""
    result = run_job(data_dir, "verify")
    console = Console()
    for one in result["broken"]:
        _print(console, f"{one['path']}: {one['reason']} ({one['rows']:,} rows)")
    read = f"{result['segments']:,} segments with {result['rows']:,} rows and {result['bytes']:,} bytes were read"
    # Opening a folder at rest sets those aside that are gone or of another size.
    opened = {"segments": 0, "rows": 0} if result["by_server"] else result["set_aside_before"]
    broken = result["broken_segments"] + opened["segments"]
    if broken:
        _say(
            f"sidelight: {read}; {broken:,} segments with {result['broken_rows'] + opened['rows']:,} rows are broken "
            "or gone and no longer counted (DATA/quarantine has what is left of them). Restore a backup to have their "
            "rows again."
        )
        return False
    _print(console, f"{read}; all are whole.")
    return True


def backup(data_dir: Path, folder: Path) -> None:
    """``sidelight backup DIR``. Raises CannotAnswer."""
    result = run_job(data_dir, "backup", to=str(folder.absolute()))
    _print(
        Console(),
        f"{result['folder']}: {sum(result['rows'].values()):,} rows in {result['files']:,} files, "
        f"{result['bytes']:,} bytes; {result['copied_segments']:,} segments ({result['copied_bytes']:,} bytes) "
        f"copied, {result['kept_segments']:,} were there already.",
    )


def restore(folder: Path, data_dir: Path) -> None:
    """``sidelight restore DIR --data NEW``. Raises CannotAnswer."""
    from store.errors import StoreError
    from store.restore import check_empty, restore_backup

    try:
        check_empty(data_dir)
        with progress("restore") as tell, locked(data_dir):
            result = restore_backup(folder.absolute(), data_dir.absolute(), tell)
    except StoreError as error:
        raise CannotAnswer(str(error)) from error
    except OSError as error:
        raise CannotAnswer(
            f"{error.filename or data_dir}: {error.strerror}. Make room, or try again."
        ) from error
    console = Console()
    _print(
        console,
        f"{result['data_dir']}: {sum(result['rows'].values()):,} rows of {result['created_at']} restored from "
        f"{result['files']:,} files; every digest is right.",
    )
    if result["oldest"]:
        _print(
            console,
            f"Its oldest rows arrived at {result['oldest']}: a server drops rows that are older than rows_kept_days.",
        )


def export(data_dir: Path, out: Path, params: Json, format: str) -> None:
    """``sidelight export OUT``. Raises CannotAnswer."""
    from store.errors import StoreError
    from store.export import check_out, export_window
    from store.query_types import read_window

    try:
        if not params:
            raise CannotAnswer("Say which time to export: --window 1h, or --from T and --to T.")
        window = read_window(params)
        check_out(out)
        run_job(data_dir, "seal")
        with progress("export") as tell:
            rows = export_window(data_dir.absolute(), out.absolute(), window, format, tell)
    except StoreError as error:
        raise CannotAnswer(f"{error} {getattr(error, 'hint', '')}".strip()) from error
    except OSError as error:
        raise CannotAnswer(f"{error.filename or out}: {error.strerror}. Make room, or try again.") from error
    console = Console()
    for name, count in rows.items():
        _print(console, f"{name}: {count:,} rows")
    _print(console, f"{out}: {sum(rows.values()):,} rows from {window.from_time}Z to {window.to_time}Z.")


@contextmanager
def progress(kind: str) -> Iterator[Tell]:
    """A bar on stderr at a terminal, nothing in a pipe."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(kind, total=None)

        def tell(done: int, total: int, message: str) -> None:
            bar.update(task, completed=done, total=total or None, description=printable(message or kind)[:60])

        yield tell


def _cell(value: object) -> str:
    """A number with its thousands, a time without its fraction."""
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)[:19]


def _print(console: Console, text: str) -> None:
    """Paths and reasons come from files: never markup, never control characters."""
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr)
