"""When a journal file may be sealed: not before its last rows are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from store.frames import Batch, ExportMark, encode_frame, encode_header
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
    assert file.lost_bytes == path.stat().st_size - after


@pytest.mark.parametrize("header", [b"{", b"[]", b"\xff", b'"text"'])
def test_a_header_that_is_no_header_is_a_broken_file(tmp_path: Path, header: bytes) -> None:
    """Bytes where the header's JSON should be: the file is lost as a whole, and reading goes on elsewhere."""
    path = tmp_path / "a-000000000001.journal"
    path.write_bytes(b"SLJ1" + len(header).to_bytes(4, "little") + header)
    file = JournalFile(path)
    assert file.read(1 << 20) == ([], 0)
    assert (file.exhausted, file.lost_bytes) == (True, path.stat().st_size)
