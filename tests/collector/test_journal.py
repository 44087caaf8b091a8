"""The journal writer, against real files: what is acknowledged can be read, whatever happens."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

from collector.errors import Draining, JournalFull, JournalWriteFailed
from collector.journal import JournalWriter, writer_name
from store.frames import Batch, ExportMark
from store.schema import REJECTS
from tests.collector.journal_reading import digests, is_locked, read_file, read_folder


def a_batch(number: int, filler: str = "") -> Batch:
    row = {"export": 0, "source": "test", "place": str(number), "reason": filler}
    return Batch(
        [ExportMark(f"{number:032x}", number, "test")], {"rejects": pa.Table.from_pylist([row], REJECTS)}
    )


def numbers(folder: Path) -> list[int]:
    return [int(digest, 16) for digest in digests(folder)]


def test_round_trip(tmp_path):
    """What was appended is read back in order, with its rows and marks."""
    journal = JournalWriter(tmp_path, "w")
    for number in range(5):
        journal.append_sync(a_batch(number, "why"))
    journal.close()
    assert numbers(tmp_path) == [0, 1, 2, 3, 4]
    rows = [row for batch in read_folder(tmp_path) for row in batch.tables["rejects"].to_pylist()]
    assert [(row["place"], row["reason"]) for row in rows] == [(str(n), "why") for n in range(5)]
    assert journal.names == ["w-000000000001.journal"]


def test_synced_before_answer(tmp_path, monkeypatch):
    """The future is done only after fdatasync, and one sync serves all that waited."""
    synced: list[int] = []
    real_sync = os.fdatasync

    def slow_sync(fd: int) -> None:
        time.sleep(0.05)
        real_sync(fd)
        synced.append(len(numbers(tmp_path)))

    monkeypatch.setattr(os, "fdatasync", slow_sync)
    journal = JournalWriter(tmp_path, "w")
    futures = [journal.append(a_batch(number)) for number in range(20)]
    futures[0].result()
    assert synced
    for future in futures:
        future.result()
    assert len(synced) <= 3
    assert synced[-1] == 20
    journal.close()


def test_no_file_without_frames(tmp_path):
    """A writer that was given nothing leaves nothing."""
    JournalWriter(tmp_path, "w").close()
    assert list(tmp_path.iterdir()) == []


def test_locked_while_open(tmp_path):
    """The open file is locked; a finished one is not."""
    journal = JournalWriter(tmp_path, "w", rotate_bytes=1)
    journal.append_sync(a_batch(1))
    deadline = time.monotonic() + 2
    while is_locked(tmp_path / journal.names[0]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_locked(tmp_path / journal.names[0])
    journal.rotate_bytes = 1 << 20
    journal.append_sync(a_batch(2))
    assert is_locked(tmp_path / journal.names[1])
    journal.close()
    assert not is_locked(tmp_path / journal.names[1])


def test_rotates_when_idle(tmp_path):
    """A quiet file is finished by age, without another append."""
    journal = JournalWriter(tmp_path, "w", rotate_seconds=0.1)
    journal.append_sync(a_batch(1))
    path = tmp_path / journal.names[0]
    deadline = time.monotonic() + 5
    while is_locked(path) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_locked(path)
    journal.append_sync(a_batch(2))
    journal.close()
    assert journal.names == ["w-000000000001.journal", "w-000000000002.journal"]
    assert numbers(tmp_path) == [1, 2]


def test_torn_tail_is_ignored(tmp_path):
    """Cut at any byte, the file still gives every whole frame before the cut, and nothing else."""
    journal = JournalWriter(tmp_path, "w")
    ends = []
    for number in range(3):
        journal.append_sync(a_batch(number))
        ends.append((tmp_path / journal.names[0]).stat().st_size)
    journal.close()
    path = tmp_path / journal.names[0]
    whole = path.read_bytes()
    for cut in [
        *range(ends[0], ends[2], 53),
        *(end + n for end in ends[:2] for n in (0, 1, 15, 16, 17)),
        ends[2],
    ]:
        path.write_bytes(whole[:cut])
        assert numbers(tmp_path) == list(range(sum(end <= cut for end in ends)))
    flipped = bytearray(whole)
    flipped[ends[1] + 40] ^= 1
    path.write_bytes(flipped)
    assert numbers(tmp_path) == [0, 1]


def test_full_journal_refuses_and_recovers(tmp_path):
    """Past the folder's limit appends fail as JournalFull; once files are unlinked they pass again."""
    other = tmp_path / "import-1-000000000001.journal"
    other.write_bytes(b"x" * 5000)
    journal = JournalWriter(tmp_path, "w", limit_bytes=6500)
    journal.append_sync(a_batch(1))
    errors = [journal.append(a_batch(number)).exception() for number in range(2, 20)]
    assert isinstance(errors[-1], JournalFull)
    written = read_file(tmp_path / journal.names[0])
    assert not is_locked(tmp_path / journal.names[0])  # finished, so that it can be sealed
    other.unlink()
    time.sleep(0.25)
    assert not journal.is_full()
    journal.append_sync(a_batch(100))
    journal.close()
    assert [int(b.exports[0].digest, 16) for b in read_file(tmp_path / journal.names[-1])] == [100]
    assert len(written) >= 1


def test_a_disk_that_is_nearly_full_refuses_in_time_and_recovers(tmp_path):
    """The store must be able to seal: what it needs for that is left, and senders are told to try again."""
    journal = JournalWriter(tmp_path, "w", disk_free_min_bytes=0)
    journal.append_sync(a_batch(1))
    journal.disk_free_min_bytes = shutil.disk_usage(tmp_path).free + (1 << 30)
    refused = journal.append(a_batch(2)).exception()
    assert isinstance(refused, JournalFull)
    assert "The disk is nearly full" in str(refused)
    assert journal.is_full()
    assert not is_locked(tmp_path / journal.names[0])
    journal.disk_free_min_bytes = 0
    assert not journal.is_full()
    journal.append_sync(a_batch(3))
    journal.close()
    kept = [int(b.exports[0].digest, 16) for name in journal.names for b in read_file(tmp_path / name)]
    assert kept == [1, 3]


@pytest.mark.parametrize("call", ["writev", "fdatasync"])
def test_failed_write(tmp_path, monkeypatch, call):
    """After ENOSPC the batch fails as retryable, its bytes are cut off, and the next append works."""
    journal = JournalWriter(tmp_path, "w")
    journal.append_sync(a_batch(1))
    real = getattr(os, call)
    failures = []

    def fails_once(fd, *rest):
        if not failures:
            failures.append(1)
            if call == "writev":
                os.write(fd, bytes(rest[0][0])[:9])  # part of the frame reached the disk
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, *rest)

    monkeypatch.setattr(os, call, fails_once)
    with pytest.raises(JournalWriteFailed, match="No space left"):
        journal.append_sync(a_batch(2))
    journal.append_sync(a_batch(3))
    journal.close()
    assert numbers(tmp_path) == [1, 3]
    assert len(journal.names) == 2
    assert journal.failed_writes == 1


def test_failed_beginning_leaves_nothing(tmp_path, monkeypatch):
    """Where not even a header can be written no file stays behind, and the writer recovers."""
    journal = JournalWriter(tmp_path, "w")

    def fails(fd, parts):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "writev", fails)
        with pytest.raises(JournalWriteFailed):
            journal.append_sync(a_batch(1))
        assert list(tmp_path.iterdir()) == []
    journal.append_sync(a_batch(2))
    journal.close()
    assert numbers(tmp_path) == [2]


def test_batch_not_of_the_schema(tmp_path):
    """A batch that cannot be encoded fails alone."""
    journal = JournalWriter(tmp_path, "w")
    broken = journal.append(Batch([], {"rejects": None}))  # type: ignore[dict-item]
    journal.append_sync(a_batch(1))
    assert broken.exception() is not None
    journal.close()
    assert numbers(tmp_path) == [1]


def test_closed(tmp_path):
    """After close nothing is taken, and close writes what waited."""
    journal = JournalWriter(tmp_path, "w")
    waiting = [journal.append(a_batch(n)) for n in range(50)]
    journal.close()
    journal.close()
    assert all(future.done() and future.exception() is None for future in waiting)
    with pytest.raises(Draining):
        journal.append_sync(a_batch(51))
    assert numbers(tmp_path) == list(range(50))


def test_leftovers_of_a_killed_writer_are_removed(tmp_path):
    """A file that never got its name is unlinked by a later writer once it is a minute old."""
    old, young = tmp_path / "a-1.journal-new", tmp_path / "b-1.journal-new"
    old.touch()
    young.touch()
    os.utime(old, (time.time() - 100,) * 2)
    JournalWriter(tmp_path, "w").close()
    assert (old.exists(), young.exists()) == (False, True)


WRITER = """
import sys
from collector.journal import JournalWriter, writer_name
from store.frames import Batch, ExportMark
from store.schema import REJECTS
import pyarrow as pa
rows = pa.Table.from_pylist([{"export": 0, "reason": "x" * 500}], REJECTS)
def a_batch(number):
    return Batch([ExportMark(f"{number:032x}", number, "test")], {"rejects": rows})
journal = JournalWriter(sys.argv[1], writer_name("w"), rotate_bytes=20_000)
number = int(sys.argv[2])
while True:
    futures = [(number + n, journal.append(a_batch(number + n))) for n in range(20)]
    number += 20
    for n, future in futures:
        future.result()
        print(n, flush=True)
"""


@pytest.mark.slow
def test_kill_9_loses_nothing_acknowledged(tmp_path):
    """kill -9 in mid-stream, again and again: every acknowledged number can be read, once."""
    acknowledged: list[int] = []
    for turn in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(turn * 1_000_000)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        acknowledged.append(int(process.stdout.readline()))
        time.sleep(0.1 + 0.07 * turn)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        acknowledged += [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        process.wait()
        process.stdout.close()
    found = numbers(tmp_path)
    assert len(acknowledged) > 100
    assert set(acknowledged) <= set(found)
    assert len(found) == len(set(found))
    assert not any(is_locked(path) for path in tmp_path.glob("*.journal"))


def test_writer_name():
    """A name holds who, which process and when, so that no two writers share one."""
    prefix, pid, started = writer_name("collector0").split("-")
    assert (prefix, int(pid)) == ("collector0", os.getpid())
    assert abs(int(started) / 1e6 - time.time()) < 5
