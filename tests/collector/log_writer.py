"""A log that grows and is rotated as logrotate does it, by chance but the same at every run."""

from __future__ import annotations

import gzip
import os
import random
import shutil
from pathlib import Path

from tests.collector.following import append, line


class LogWriter:
    """Writes lines 1, 2, …, some in two pieces; rotates by rename or under a copy, and compresses older ones."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self.chance = path, random.Random(seed)
        self.written = 0
        self.rotations = 0

    def write(self, count: int) -> None:
        for _ in range(count):
            self.written += 1
            text = line(self.written)
            cut = self.chance.randrange(len(text)) if self.chance.random() < 0.3 else len(text)
            append(self.path, text[:cut])
            append(self.path, text[cut:])

    def rotate(self) -> None:
        if not self.path.exists():
            return
        self.rotations += 1
        for number in range(self.rotations, 0, -1):
            for ending in ("", ".gz"):
                old = self._rotated(number, ending)
                if old.exists():
                    old.rename(self._rotated(number + 1, ending))
        if self.chance.random() < 0.5:
            self.path.rename(self._rotated(1))
        else:
            shutil.copy2(self.path, self._rotated(1))
            os.truncate(self.path, 0)
        second = self._rotated(2)
        if second.exists() and self.chance.random() < 0.7:
            made = os.stat(second)
            compressed = self._rotated(2, ".gz")
            compressed.write_bytes(gzip.compress(second.read_bytes()))
            os.utime(compressed, ns=(made.st_atime_ns, made.st_mtime_ns))
            second.unlink()

    def _rotated(self, number: int, ending: str = "") -> Path:
        return self.path.with_name(f"{self.path.name}.{number}{ending}")
