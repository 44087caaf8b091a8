"""``sidelight import``: access-log files into the journal, with progress and a line per trouble.

What must stay true: a file imported twice adds nothing and the command says so; every line that could not
be read is counted, the first of them are named ``FILE:N: reason``; nothing the journal took is lost if the
command is killed.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from collector.decode.access_log_emitter import Pod, pod_of_option, pod_of_path
from collector.decode.access_log_format import BadFormat, LineFormat, compile_format
from collector.errors import JournalFull
from collector.file_chunks import CannotRead, LineFile
from collector.file_import import Outcome, check_format, import_file
from collector.journal import JournalWriter, writer_name
from sidelight.import_targets import ImportTarget, NoTarget, open_target
from sidelight.names_file import BadNames, journal_names
from store.frames import Batch

SHOWN_REJECTS = 10
_IN_FLIGHT = 4
_FULL_WAIT_S = 60.0
_USAGE = 2


@dataclass
class _Totals:
    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)
    unread: int = 0


def run_import(
    files: list[str],
    format: str,
    format_string: str | None,
    emitter: str | None,
    data_dir: Path,
    names: Path | None,
    console: Console,
    target: ImportTarget | None = None,
) -> int:
    """Import ``files`` ('-' is standard input) and return the exit status: 0 if anything was read (or had
    been read before), 1 if nothing could be, 2 for wrong usage. ``console`` writes to stderr."""
    try:
        form, pod = _chosen_format(format, format_string), _chosen_pod(emitter)
    except (BadFormat, CannotRead) as error:
        _say(console, f"sidelight import: {error}")
        return _USAGE
    try:
        opened = target or open_target(data_dir)
    except NoTarget as error:
        _say(console, f"sidelight import: {error}")
        return 1
    try:
        if names is not None:
            journal_names(names, opened.journal_dir.parent)
        return _import_all(files, form, pod, opened, console)
    except (BadNames, NoTarget, JournalFull) as error:
        _say(console, f"sidelight import: {error}")
        return 1
    finally:
        opened.close()


def _chosen_format(form: str, format_string: str | None) -> str | LineFormat:
    """Raises CannotRead or BadFormat."""
    if format_string is None:
        check_format(form)
        return form
    if form != "auto":
        raise BadFormat(f"--format {form} and --format-string exclude each other.")
    return compile_format(format_string)


def _chosen_pod(emitter: str | None) -> Pod | None:
    """Raises CannotRead."""
    if emitter is None:
        return None
    pod = pod_of_option(emitter)
    if pod is None:
        raise CannotRead(f"--emitter is NS/POD, for instance default/reviews-v1-0, not {emitter!r}.")
    return pod


def _import_all(
    files: list[str], form: str | LineFormat, pod: Pod | None, target: ImportTarget, console: Console
) -> int:
    delivery = _Delivery(target)
    totals = _Totals()
    try:
        with _progress(console) as progress:
            for path in files:
                _import_one(path, form, pod or pod_of_path(path), delivery, totals, console, progress)
    finally:
        delivery.close()
    with console.status("Storing what was read ...") if console.is_terminal else contextlib.nullcontext():
        target.finish(delivery.names, delivery.last_digest)
    return _summarise(totals, console)


def _import_one(
    path: str,
    form: str | LineFormat,
    pod: Pod | None,
    delivery: _Delivery,
    totals: _Totals,
    console: Console,
    progress: Progress,
) -> None:
    try:
        file = LineFile(path)
    except CannotRead as error:
        totals.unread += 1
        _say(console, str(error))
        return
    task = progress.add_task(path, total=file.total_bytes, lines=0)
    try:
        outcome = import_file(
            file,
            form=form,
            pod=pod,
            sink=delivery.deliver,
            known=delivery.known,
            now_us=time.time_ns() // 1000,
            progress=lambda read, lines: progress.update(task, completed=read, lines=lines),
        )
    except CannotRead as error:
        totals.unread += 1
        _say(console, str(error))
        return
    finally:
        file.close()
        progress.remove_task(task)
    totals.outcomes.append((path, outcome))
    _report(path, outcome, console)


class _Delivery:
    """Batches on their way to the journal; knows what this run has delivered itself."""

    def __init__(self, target: ImportTarget) -> None:
        self._target = target
        self._writer = JournalWriter(target.journal_dir, writer_name("import"))
        self._waiting: deque[tuple[Batch, Future[int]]] = deque()
        self._delivered: set[str] = set()
        self.last_digest: str | None = None

    @property
    def names(self) -> list[str]:
        return list(self._writer.names)

    def known(self, digests: list[str]) -> set[str]:
        here = self._delivered.intersection(digests)
        return here | self._target.known_digests([one for one in digests if one not in here])

    def deliver(self, batch: Batch) -> None:
        self._delivered.update(mark.digest for mark in batch.exports)
        self.last_digest = batch.exports[0].digest
        self._waiting.append((batch, self._writer.append(batch)))
        while len(self._waiting) >= _IN_FLIGHT:
            self._settle_first()

    def close(self) -> None:
        try:
            while self._waiting:
                self._settle_first()
        finally:
            self._writer.close()

    def _settle_first(self) -> None:
        batch, future = self._waiting.popleft()
        deadline = time.monotonic() + _FULL_WAIT_S
        while True:
            try:
                future.result()
                return
            except JournalFull as error:
                if time.monotonic() > deadline:
                    raise JournalFull(
                        f"{error} Rows read so far are kept; import the same files again to go on."
                    ) from error
                self._target.make_room()
                future = self._writer.append(batch)


def _report(path: str, outcome: Outcome, console: Console) -> None:
    for one in outcome.rejects[:SHOWN_REJECTS]:
        _say(console, f"{path}:{one.line}: {one.reason}")
    unshown = outcome.rejected - min(len(outcome.rejects), SHOWN_REJECTS)
    if unshown > 0:
        _say(console, f"{path}: {unshown:,} more lines could not be read (table `rejects`)")
    if outcome.adds_nothing:
        _say(console, f"{path}: already imported ({outcome.known_lines:,} lines): adds nothing")
        return
    parts = [f"{outcome.rows:,} rows from {outcome.lines:,} lines of {outcome.format}"]
    if outcome.emitter:
        parts.append(f"written by {outcome.emitter}")
    if outcome.known_lines:
        parts.append(f"{outcome.known_lines:,} lines were already imported")
    if outcome.skipped:
        parts.append(f"{outcome.skipped:,} start, periodic or listener records are no requests")
    if outcome.rejected:
        parts.append(f"{outcome.rejected:,} lines could not be read")
    _say(console, f"{path}: {'; '.join(parts)}")
    if outcome.rows and not outcome.emitter and outcome.format != "ztunnel":  # whose lines name their pods
        _say(
            console,
            f"{path}: nothing says which pod wrote it, so its own end of each edge stays unknown. "
            "Pass --emitter NS/POD, or name the file POD.NAMESPACE.istio.log.",
        )


def _summarise(totals: _Totals, console: Console) -> int:
    outcomes = [outcome for _, outcome in totals.outcomes]
    if len(outcomes) > 1:
        rows, rejected = (sum(getattr(one, name) for one in outcomes) for name in ("rows", "rejected"))
        _say(
            console,
            f"{rows:,} rows imported from {len(outcomes)} files, {rejected:,} lines could not be read",
        )
    return 0 if any(one.rows or one.known_lines or one.skipped for one in outcomes) else 1


class _LinesPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        lines = int(task.fields.get("lines", 0))
        seconds = task.elapsed or 0.0
        return Text(f"{lines / seconds:,.0f} lines/s" if seconds else "", style="dim")


def _progress(console: Console) -> Progress:
    """A bar per file at a terminal, nothing in a pipe."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        _LinesPerSecond(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _say(console: Console, text: str) -> None:
    """Names and reasons come from files: never markup, never control characters."""
    clean = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    console.print(clean, markup=False, highlight=False, soft_wrap=True)
