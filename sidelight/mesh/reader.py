"""Reads one mapping of a topology file and complains in sentences that name the place.

What must stay true: a key nobody asked for is an error, because a misspelt rule would otherwise silently
never apply.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_MISSING: Any = object()
T = TypeVar("T")


class TopologyError(Exception):
    """The topology cannot be run; the text is one sentence naming file, place and reason."""


class Reader:
    """A mapping and where it stands; every method takes one key and checks its value."""

    def __init__(self, value: Any, where: str) -> None:
        self._where = where
        if not isinstance(value, dict):
            self.complain(f"must be a mapping, not {_kind(value)}")
        self._values: dict[Any, Any] = value
        self._asked: set[str] = set()

    def complain(self, what: str, key: str | None = None) -> NoReturn:
        place = self._where if key is None else f"{self._where}.{key}"
        raise TopologyError(f"{place}: {what}.")

    def nothing_else(self) -> None:
        """Complains about the first key that was not asked for."""
        for key in self._values:
            if key not in self._asked:
                near = difflib.get_close_matches(str(key), sorted(self._asked), 1)
                self.complain(f"unknown key `{key}`" + (f"; did you mean `{near[0]}`?" if near else ""))

    def _get(self, key: str, default: Any = _MISSING) -> Any:
        self._asked.add(key)
        value = self._values.get(key)
        if value is not None:
            return value
        if default is _MISSING:
            self.complain(f"`{key}` is missing")
        return default

    def text(self, key: str, default: Any = _MISSING) -> str:
        value = self._get(key, default)
        if not isinstance(value, str) or not value:
            self.complain(f"must be text, not {_kind(value)}", key)
        return value

    def name(self, key: str, default: Any = _MISSING) -> str:
        value = self.text(key, default)
        if len(value) > 63 or not _NAME.fullmatch(value):
            self.complain(f"`{value[:80]}` is no name (letters, digits, `-`, at most 63)", key)
        return value

    def optional_name(self, key: str) -> str | None:
        return None if self._get(key, None) is None else self.name(key)

    def names(self, key: str) -> tuple[str, ...]:
        value = self._get(key, [])
        if not isinstance(value, list) or not all(
            isinstance(each, str) and _NAME.fullmatch(each) for each in value
        ):
            self.complain("must be a list of names", key)
        return tuple(value)

    def one_of(self, key: str, choices: tuple[str, ...], default: str) -> str:
        value = self._get(key, default)
        if value not in choices:
            self.complain(f"must be one of {', '.join(choices)}, not {value!r}", key)
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self._get(key, default)
        if not isinstance(value, bool):
            self.complain(f"must be true or false, not {_kind(value)}", key)
        return value

    def whole(self, key: str, low: int, high: int, default: Any = _MISSING) -> int:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.complain(f"must be a whole number from {low} to {high}, not {value!r}", key)
        return value

    def optional_whole(self, key: str, low: int, high: int) -> int | None:
        return None if self._get(key, None) is None else self.whole(key, low, high)

    def endings(self, key: str) -> tuple[str, ...]:
        """Digits a request's number ends with: `"3"` is one in ten, `["07", "57"]` two in a hundred."""
        value = self._get(key, [])
        values = value if isinstance(value, list) else [value]
        for each in values:
            if not isinstance(each, str) or not re.fullmatch("[0-9]{1,6}", each):
                self.complain(f'must be digits in quotes such as "07", not {each!r}', key)
        return tuple(values)

    def weights(self, key: str) -> tuple[tuple[str, int], ...]:
        """Version to percent; all together 100."""
        part = self.optional_part(key)
        if part is None:
            return ()
        versions = [str(version) for version in part._values]
        weights = tuple((version, part.whole(version, 0, 100)) for version in versions)
        if sum(weight for _, weight in weights) != 100:
            part.complain(f"the weights add up to {sum(weight for _, weight in weights)}, not 100")
        return weights

    def part(self, key: str) -> Reader:
        return Reader(self._get(key), f"{self._where}.{key}")

    def optional_part(self, key: str) -> Reader | None:
        return None if self._get(key, None) is None else self.part(key)

    def optional(self, key: str, read: Callable[[Reader], T]) -> T | None:
        """What `read` makes of the mapping below a key; it must know all its keys."""
        part = self.optional_part(key)
        return part.read(read) if part else None

    def each(self, key: str, read: Callable[[Reader], T]) -> tuple[T, ...]:
        """The same for a list of mappings."""
        return tuple(part.read(read) for part in self._list_of_parts(key))

    def read(self, read: Callable[[Reader], T]) -> T:
        found = read(self)
        self.nothing_else()
        return found

    def parts(self, key: str) -> Iterator[tuple[str, Reader]]:
        """The named mappings below a key, in the file's order."""
        inner = self.part(key)
        if not inner._values:
            inner.complain("must not be empty")
        for name, value in inner._values.items():
            if not isinstance(name, str) or len(name) > 63 or not _NAME.fullmatch(name):
                inner.complain(f"{str(name)[:80]!r} is no name (letters, digits, `-`, at most 63)")
            yield name, Reader(value, f"{inner._where}.{name}")

    def _list_of_parts(self, key: str) -> list[Reader]:
        value = self._get(key, [])
        if not isinstance(value, list):
            self.complain(f"must be a list, not {_kind(value)}", key)
        return [Reader(each, f"{self._where}.{key}[{index}]") for index, each in enumerate(value)]


def _kind(value: Any) -> str:
    names = {type(None): "nothing", dict: "a mapping", list: "a list", str: "text", bool: "true or false"}
    return names.get(type(value), f"`{value}`")
