"""Language packages as they are installed: what each ecosystem's tool leaves beside the code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from wardkeep.advisories.components import Component, Notice
from wardkeep.advisories.ecosystems import normal_name
from wardkeep.advisories.inventories.wanted import GEM, HEADS, NODE
from wardkeep.core.foreign_json import read_json

Found = Iterator[tuple[str, str]]
GEM_FIELD = re.compile(r"""^\s*s\.(name|version)\s*=\s*["']([^"']+)["']""", re.M)


def python(data: bytes) -> Found:
    """METADATA or PKG-INFO (core metadata specification): fields as in a mail's head."""
    head = data.decode("utf-8", "replace").replace("\r\n", "\n").partition("\n\n")[0]
    said = dict(re.findall(r"^(Name|Version):[ \t]*(\S.*?)[ \t]*$", head, re.M))
    yield said.get("Name", ""), said.get("Version", "")


def node(data: bytes) -> Found:
    made = read_json(data)
    yield str(made.get("name") or ""), str(made.get("version") or "")


def gem(data: bytes) -> Found:
    said = dict(reversed(GEM_FIELD.findall(data.decode("utf-8", "replace"))))
    yield said.get("name", ""), said.get("version", "")


def composer(data: bytes) -> Found:
    """Composer 2 writes an object with `packages`, Composer 1 a list."""
    made: Any = read_json(data)
    for one in made.get("packages") or () if isinstance(made, dict) else made:
        yield str(one.get("name", "")), str(one.get("version", ""))


def dotnet(data: bytes) -> Found:
    for label, one in (read_json(data).get("libraries") or {}).items():
        if one.get("type") == "package":
            name, _, version = label.partition("/")
            yield name, version


READERS: tuple[tuple[re.Pattern[str], str, Callable[[bytes], Found]], ...] = (
    (HEADS, "PyPI", python),
    (NODE, "npm", node),
    (GEM, "RubyGems", gem),
    (re.compile(r"vendor/composer/installed\.json$"), "Packagist", composer),
    (re.compile(r"\.deps\.json$"), "NuGet", dotnet),
)


def read_installed(path: str, data: bytes) -> tuple[list[Component], list[Notice]] | None:
    """What the file says is installed; None for a file of another kind. One that cannot be read becomes a notice."""
    known = next(((e, r) for pattern, e, r in READERS if pattern.search(path)), None)
    if known is None:
        return None
    ecosystem, reader = known
    made, notices = [], []
    try:
        for name, version in reader(data):
            if name and version:
                made.append(
                    Component(ecosystem, normal_name(ecosystem, name), version, version, (name,), place=path)
                )
            elif not (ecosystem == "npm" and not name and not version):
                # A package.json without both only says how files of a folder are to be loaded.
                what = name[:80] or "it"
                notices.append(Notice("not_readable", path, f"{what} has no {'version' if name else 'name'}"))
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError) as e:
        return made, [Notice("not_readable", path, f"cannot be read: {str(e)[:120]}")]
    return made, notices
