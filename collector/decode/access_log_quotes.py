"""Where the quotes of text access lines stand: which lines have them as a format has, vectorised.

Nothing in these lines is escaped. What must stay true: lines pass only if each of a format's quoted fields opens
after a blank and closes before one, with the right number of blanks in between; further quotes lie within the one
field that is named, and are hidden from whoever splits the line (`hidden`, `shown`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from collector.decode.access_log_values import Mask
from collector.decode.text import offsets_of

_STAND_IN = "\x01"
_MISLEADING = (ord("\n"), ord("\r"), ord(_STAND_IN))

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Quotes:
    """Of a chunk of lines. ``quotes`` below: how many a format has; ``inner``: the number of the quoted text's
    opening quote, within which others may stand."""

    texts: pa.StringArray
    data: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int32]  # of the lines, and behind the last of them its end
    at: npt.NDArray[np.int32]  # the quotes
    blanks: npt.NDArray[np.uint8]  # from each quote to the next
    first: Places  # of each line: its first one's place in ``at``
    counts: Places
    broken: (
        Places  # lines with a newline within (a container's JSON may hold one), or what stands for a quote
    )

    @classmethod
    def of(cls, texts: pa.StringArray) -> Quotes:
        starts = offsets_of(texts)
        data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[: starts[-1]]
        is_one = np.empty(len(data), bool)  # of a kind of byte, and then of another
        at = np.flatnonzero(np.equal(data, ord('"'), out=is_one)).astype(np.int32)
        at = at[np.searchsorted(at, starts[0]) :]
        blank = np.equal(data, ord(" "), out=is_one)
        doubled = np.flatnonzero(blank[1:] & blank[:-1])
        blanks = (
            np.add.reduceat(blank.view(np.uint8), at, dtype=np.uint8) if len(at) else np.empty(0, np.uint8)
        )
        control = np.flatnonzero(np.less(data, ord(" "), out=is_one))
        misleading = np.concatenate([control[np.isin(data[control], _MISLEADING)], doubled])
        broken = np.searchsorted(starts, misleading, side="right") - 1
        first = np.searchsorted(at, starts)
        return cls(texts, data, starts, at, blanks, first, np.diff(first), broken)

    def stand_right(
        self, chosen: Places, quotes: int, inner: int, tokens: Mapping[int, tuple[str, ...]]
    ) -> Mask:
        """Which of these lines (with at least ``quotes``) have the format's. ``tokens``: how many fields, each
        after a blank, stand before the quoted text of that number, or after the last."""
        after = quotes - inner - 1
        front = self.first[chosen][:, None] + np.arange(inner + 1)
        back = self.first[chosen + 1][:, None] + np.arange(-after, 0)
        places = np.concatenate([front, back], axis=1)
        at, blanks = self.at[places], self.blanks[places]
        opens, closes, ends = at[:, ::2], at[:, 1::2], self.starts[chosen + 1]
        fits = (opens[:, 0] > self.starts[chosen]) & (self.data[opens - 1] == ord(" ")).all(axis=1)
        fits &= (self.data[closes[:, :-1] + 1] == ord(" ")).all(axis=1)
        behind = closes[:, -1] + 1
        if quotes in tokens:
            fits &= (behind < ends) & (self.data[np.minimum(behind, len(self.data) - 1)] == ord(" "))
        else:
            fits &= behind == ends
        for number in range(2, quotes, 2):
            fits &= blanks[:, number - 1] == len(tokens.get(number, ())) + 1
        return fits & ~np.isin(chosen, self.broken) if len(self.broken) else fits

    def before_first(self, chosen: Places) -> npt.NDArray[np.int32]:
        """Bytes of each line before its first quote."""
        return self.at[self.first[chosen]] - self.starts[chosen]

    def hidden(self, chosen: Places, quotes: int, inner: int) -> pa.StringArray:
        """These lines, with something else for the quotes beyond the format's."""
        taken = self.texts.take(pa.array(chosen))
        more = self.counts[chosen] - quotes
        if not more.any():
            return taken
        line = np.repeat(np.arange(len(chosen)), more)
        nth = np.arange(len(line)) - np.repeat(np.cumsum(more) - more, more)
        place = self.at[self.first[chosen][line] + inner + 1 + nth]
        offsets = offsets_of(taken)
        data = np.frombuffer(taken.buffers()[2], np.uint8).copy()
        data[place - self.starts[chosen][line] + offsets[line]] = ord(_STAND_IN)
        return pa.StringArray.from_buffers(len(taken), pa.py_buffer(offsets), pa.py_buffer(data))


def shown(values: pa.StringArray) -> pa.StringArray:
    """The quotes of `hidden` again."""
    return pc.replace_substring(values, _STAND_IN, '"')
