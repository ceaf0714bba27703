"""Which line of a TOML file a key stands on: the standard library's reader does not tell."""

from __future__ import annotations

import re
import tomllib
from typing import Any

HEADER = re.compile(r"\s*\[{1,2}(?P<key>[^\[\]]+)\]{1,2}\s*(#.*)?$")
KEY = re.compile(
    r"""\s*(?P<key>(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)


class Lines:
    """Key path → line number (from 1), for headers and for `key =` lines, dotted keys included."""

    def __init__(self, text: str) -> None:
        self._lines: dict[tuple[str, ...], int] = {}
        table: tuple[str, ...] = ()
        for number, line in enumerate(text.splitlines(), start=1):
            if header := HEADER.match(line):
                table = _path(header["key"])
                self._add(table, number)
            elif key := KEY.match(line):
                self._add((*table, *_path(key["key"])), number)

    def _add(self, path: tuple[str, ...], number: int) -> None:
        for depth in range(1, len(path) + 1):
            self._lines.setdefault(path[:depth], number)

    def of(self, path: tuple[str, ...]) -> int:
        """The line of the key, or of the nearest table around it; 0 when the file does not name it."""
        for depth in range(len(path), 0, -1):
            if path[:depth] in self._lines:
                return self._lines[path[:depth]]
        return 0


def _path(key: str) -> tuple[str, ...]:
    try:
        data: Any = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        return (key,)
    path = []
    while isinstance(data, dict):
        name, data = next(iter(data.items()))
        path.append(name)
    return tuple(path)
