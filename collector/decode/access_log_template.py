"""A user's own JSON format (Envoy's ``json_format``) as keys and operators, and lines of it as columns.

What must stay true: a key means what the template says, whatever it is called and however deep it stands;
a line that is not of the template costs its neighbours nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from collector.decode.json_objects import Objects, as_text, load_object

Path = tuple[str, ...]

_DEPTH_MAX = 8


class BadTemplate(ValueError):
    """A sentence: what is wrong with the JSON of a format."""


def template_leaves(text: str) -> list[tuple[Path, str]]:
    """The texts of the template with their keys; other values are constants and say nothing. Raises BadTemplate."""
    try:
        template = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadTemplate(f"The format begins like JSON and is none: {error}.") from error
    if not isinstance(template, dict):
        raise BadTemplate("A JSON format is an object of keys and operators.")
    return list(_leaves(template, ()))


def _leaves(node: dict[str, Any], path: Path) -> Iterator[tuple[Path, str]]:
    if len(path) >= _DEPTH_MAX:
        raise BadTemplate(f"The JSON format is nested deeper than {_DEPTH_MAX} objects.")
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        elif isinstance(value, str) and "%" in value:
            yield (*path, key), value


def values_at(objects: Objects, path: Path) -> pa.StringArray:
    """What each line has there, as text; null where it has nothing."""
    count = len(objects.lines)
    values = objects.columns.get(path[0])
    for position, key in enumerate(path[1:], start=1):
        if values is None:
            break
        if pa.types.is_string(values.type):  # read line by line: what is nested is text there
            return pa.array([_within(text, path[position:]) for text in values.to_pylist()], pa.string())
        is_object = pa.types.is_struct(values.type) and values.type.get_field_index(key) >= 0
        values = pc.struct_field(values, key) if is_object else None
    return pa.nulls(count, pa.string()) if values is None else as_text(values)


def _within(text: str | None, path: Path) -> str | None:
    node: Any = load_object(text, "")[0] if text else None
    for key in path:
        node = node.get(key) if isinstance(node, dict) else None
    if node is None or isinstance(node, str):
        return node
    return json.dumps(node, ensure_ascii=False)
