"""Dicts that a string holds: as JSON or as Python prints them, among other words.

Knows nothing of what they mean. Nothing of the string is run.
"""

from __future__ import annotations

import ast
import collections.abc as cabc
import json
import re
import typing as t

#: Dicts inside the strings of dicts, such as a log line that Docker wrote as JSON.
_LEVELS = 3
#: Beginnings that are tried, of those that are no dict.
_TRIES = 200
#: Characters that Python's reader gets: it may take more memory than JSON's.
_PYTHON = 50_000
#: Strings as Python prints them, and braces.
_PARTS = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|[{}]")
_JSON = json.JSONDecoder(strict=False)


def mappings(text: str, levels: int = _LEVELS) -> list[dict[str, t.Any]]:
    """Return the dicts in a string, outer ones before those inside of them."""
    found = list(_outermost(text))
    if not found and '\\"' in text and levels:
        # A piece of JSON that was cut out of a string of JSON.
        return mappings(text.replace('\\"', '"'), levels - 1)
    for value in list(found):
        found += _inside(value, levels)
    return found


def _outermost(text: str) -> cabc.Iterator[dict[str, t.Any]]:
    start, tries = text.find("{"), _TRIES
    while start >= 0 and tries:
        value, end = _read(text, start)
        if value is None:
            tries -= 1
        elif value:
            yield value
        start = text.find("{", end)


def _read(text: str, start: int) -> tuple[dict[str, t.Any] | None, int]:
    """Return the dict that begins at a brace, and where to look on."""
    try:
        value, end = _JSON.raw_decode(text, start)
    except (ValueError, RecursionError):
        value, end = _python(text, start)
    return (value, end) if isinstance(value, dict) else (None, start + 1)


def _python(text: str, start: int) -> tuple[t.Any, int]:
    depth = 0
    for part in _PARTS.finditer(text, start, start + _PYTHON):
        depth += {"{": 1, "}": -1}.get(part[0], 0)
        if depth == 0:
            return _literal(text[start : part.end()]), part.end()
    return None, start + 1


def _literal(text: str) -> t.Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _inside(value: t.Any, levels: int) -> cabc.Iterator[dict[str, t.Any]]:
    """Yield the dicts in a value, and in its strings."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, (dict, list, tuple)):
            parts = list(one.values()) if isinstance(one, dict) else list(one)
            yield from (part for part in parts if isinstance(part, dict))
            todo += parts
        elif isinstance(one, str) and "{" in one and levels:
            yield from mappings(one, levels - 1)
