"""When a journal file may be sealed: not before its last rows are kept. What a damaged one still gives."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from store.frames import FRAME_MAGIC, Batch, ExportMark, decode_frames, encode_frame, encode_header
from store.journal_files import JournalFile
from store.schema import LOGS


def finished_file(path: Path, frames: int) -> Path:
    """A journal nobody writes any more, with one log record in each frame."""
    with open(path, "wb") as file:
        file.write(encode_header("test", 1))
        for number in range(frames):
            columns = [pa.nulls(1, field.type) for field in LOGS]
            columns[0] = pa.array(np.zeros(1, np.int32))
            batch = Batch(
                [ExportMark(f"{number:032x}", 1, "otlp_logs")], {"logs": pa.table(columns, schema=LOGS)}
            )
            for part in encode_frame(batch):
                file.write(part)
    return path


def test_a_file_is_not_exhausted_while_its_last_frames_are_being_kept(tmp_path: Path) -> None:
    """The sealer looks at `exhausted` while the loader still inserts: set early, the last rows would be lost."""
    file = JournalFile(finished_file(tmp_path / "a-000000000001.journal", 3))
    batches, after = file.read(1 << 20)
    assert len(batches) == 3
    assert file.finished
    assert not file.exhausted
    file.advance(after)
    assert file.read(0) == ([], after)
    assert file.exhausted


def test_a_torn_tail_ends_a_finished_file(tmp_path: Path) -> None:
    """Whole frames are handed on; the torn rest was never acknowledged and is counted as lost bytes."""
    path = finished_file(tmp_path / "a-000000000001.journal", 2)
    path.write_bytes(path.read_bytes()[:-5])
    file = JournalFile(path)
    batches, after = file.read(1 << 20)
    assert len(batches) == 1
    file.advance(after)
    assert file.read(0)[0] == []
    assert file.exhausted
    assert (file.torn_bytes, file.damaged_bytes) == (path.stat().st_size - after, 0)


@pytest.mark.parametrize("header", [b"{", b"[]", b"\xff", b'"text"'])
def test_a_header_that_is_no_header_is_a_broken_file(tmp_path: Path, header: bytes) -> None:
    """Bytes where the header's JSON should be, and no frame behind: all of it is lost, the rest is read."""
    path = tmp_path / "a-000000000001.journal"
    path.write_bytes(b"SLJ1" + len(header).to_bytes(4, "little") + header)
    file = JournalFile(path)
    assert file.read(1 << 20) == ([], 0)
    assert (file.exhausted, file.damaged_bytes) == (True, path.stat().st_size)


def read_all(file: JournalFile) -> list[str]:
    """The digests of every export that the file hands on, read frame by frame."""
    found: list[str] = []
    while not file.exhausted:
        batches, after = file.read(1)
        found += [mark.digest for batch in batches for mark in batch.exports]
        file.advance(after)
    return found


def starts(path: Path) -> list[int]:
    """Where each frame begins, and where the last one ends."""
    data = path.read_bytes()
    begin = data.index(FRAME_MAGIC)
    return [begin, *(after for _, after in decode_frames(data, begin))]


DAMAGE: dict[str, Callable[[bytearray, int, int], object]] = {
    "bit of the magic": lambda raw, begin, end: raw.__setitem__(begin, raw[begin] ^ 1),
    "bit of the checksum": lambda raw, begin, end: raw.__setitem__(begin + 5, raw[begin + 5] ^ 1),
    "low bit of the length": lambda raw, begin, end: raw.__setitem__(begin + 8, raw[begin + 8] ^ 1),
    "high bit of the length": lambda raw, begin, end: raw.__setitem__(begin + 15, raw[begin + 15] ^ 128),
    "bit of the rows": lambda raw, begin, end: raw.__setitem__(end - 9, raw[end - 9] ^ 1),
    "zero-filled": lambda raw, begin, end: raw.__setitem__(slice(begin, end), bytes(end - begin)),
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("broken", [[0], [1], [1, 2], [0, 2]])
def test_a_damaged_frame_costs_itself_and_no_other(tmp_path: Path, how: str, broken: list[int]) -> None:
    """What stands behind it was acknowledged too; how many bytes are lost is said."""
    path = finished_file(tmp_path / "a-000000000001.journal", 4)
    ends = starts(path)
    raw = bytearray(path.read_bytes())
    for number in broken:
        DAMAGE[how](raw, ends[number], ends[number + 1])
    path.write_bytes(raw)
    file = JournalFile(path)
    assert read_all(file) == [f"{number:032x}" for number in range(4) if number not in broken]
    assert file.damaged_bytes == sum(ends[number + 1] - ends[number] for number in broken)
    assert file.torn_bytes == 0


@pytest.mark.parametrize(
    ("how", "is_torn"),
    [("cut", True), ("zeros at the end", True), ("zeros behind it", True), ("bit of the rows", False)],
)
def test_a_tail_is_torn_or_damaged(tmp_path: Path, how: str, is_torn: bool) -> None:
    """A write that was cut off was never acknowledged; a last frame of which a bit is wrong may have been."""
    path = finished_file(tmp_path / "a-000000000001.journal", 3)
    ends = starts(path)
    raw = bytearray(path.read_bytes())
    if how == "cut":
        del raw[ends[2] + 30 :]
    elif how == "zeros at the end":
        raw[ends[2] + 30 :] = bytes(4096)
    elif how == "zeros behind it":
        raw[ends[2] :] = bytes(4096)
    else:
        DAMAGE[how](raw, ends[2], ends[3])
    path.write_bytes(raw)
    file = JournalFile(path)
    assert len(read_all(file)) == 2
    assert (file.torn_bytes > 0, file.damaged_bytes > 0) == (is_torn, not is_torn)


def test_a_damaged_header_costs_no_frame(tmp_path: Path) -> None:
    """It says when the file was begun, nothing that a row needs."""
    path = finished_file(tmp_path / "a-000000000001.journal", 3)
    raw = bytearray(path.read_bytes())
    raw[9] ^= 255
    path.write_bytes(raw)
    file = JournalFile(path)
    assert len(read_all(file)) == 3
    assert file.damaged_bytes == starts(path)[0]


def test_a_frame_within_a_damaged_frame_is_a_strangers_text(tmp_path: Path) -> None:
    """Telemetry may hold bytes that look like a frame; where the outer one's length is right nothing in it is read."""
    inner = b"".join(bytes(part) for part in encode_frame(Batch([ExportMark("f" * 32, 1, "import")])))
    path = tmp_path / "a-000000000001.journal"
    finished_file(path, 2)
    second = starts(path)[1]
    raw = path.read_bytes()
    outer = b"SLF1" + bytes(4) + (len(inner) + 20).to_bytes(8, "little") + bytes(10) + inner + bytes(10)
    path.write_bytes(raw[:second] + outer + raw[second:])
    file = JournalFile(path)
    assert read_all(file) == ["0" * 32, f"{1:032x}"]
    assert file.damaged_bytes == len(outer)


def test_a_damaged_file_that_is_being_written_is_read_on_when_it_is_finished(tmp_path: Path) -> None:
    """Half a frame looks the same: only who knows that nobody writes any more may skip it."""
    path = finished_file(tmp_path / "a-000000000001.journal", 3)
    raw = bytearray(path.read_bytes())
    DAMAGE["bit of the rows"](raw, *starts(path)[1:3])
    path.write_bytes(raw)
    file = JournalFile(path)
    with open(path, "ab") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        batches, after = file.read(1 << 20)
        file.advance(after)
        assert len(batches) == 1
        assert file.read(1 << 20) == ([], after)
    assert not file.exhausted
    assert len(read_all(file)) == 1
    assert file.damaged_bytes > 0


def test_a_sector_the_disk_cannot_read_costs_the_frames_that_lie_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits for it, as it would for ever."""
    path = finished_file(tmp_path / "a-000000000001.journal", 200)
    ends = starts(path)
    bad = range(4 * 4096, 5 * 4096)
    read = os.pread

    def pread(fd: int, size: int, offset: int) -> bytes:
        if offset < bad.stop and offset + size > bad.start:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(fd, size, offset)

    monkeypatch.setattr("os.pread", pread)
    file = JournalFile(path)
    lost = [n for n in range(200) if ends[n] < bad.stop and ends[n + 1] > bad.start]
    assert len(lost) >= 2
    assert read_all(file) == [f"{number:032x}" for number in range(200) if number not in lost]
    assert file.damaged_bytes == ends[lost[-1] + 1] - ends[lost[0]]
