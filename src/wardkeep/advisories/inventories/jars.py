"""Java archives: what Maven wrote into them (`META-INF/maven/…/pom.properties`), and the archives inside, as far as they go."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import PurePosixPath

from wardkeep.advisories.components import Component, Notice

ENDINGS = frozenset({".jar", ".war", ".ear", ".hpi", ".par", ".kar"})
DEEPEST = 4
MEMBERS = 200_000
UNPACKED = 512 << 20
PROPERTIES = 64 << 10


class _Bomb(Exception):
    pass


def read_jar(data: bytes, path: str) -> tuple[list[Component], list[Notice]]:
    """Components with their place (`app.jar!BOOT-INF/lib/x.jar`). An archive that does not say what it is becomes a notice."""
    made: list[Component] = []
    notices: list[Notice] = []
    left = [(data, path, 0)]
    budget = UNPACKED
    while left:
        one, place, depth = left.pop()
        try:
            found, nested, used = _read(one, place, depth, budget, notices)
        except _Bomb:
            why = f"it swells beyond {UNPACKED >> 20} MB when it is unpacked, and was not read to its end"
            notices.append(Notice("not_readable", path, why))
            break
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
            ValueError,
            OSError,
        ) as e:
            notices.append(Notice("not_readable", place, f"the archive is damaged: {str(e)[:120]}"))
            continue
        budget -= used
        made += found
        left += [(inner, f"{place}!{name}", depth + 1) for name, inner in nested]
        if not found and not nested:
            notices.append(unnamed(place))
    return made, notices


def _read(
    data: bytes, place: str, depth: int, budget: int, notices: list[Notice]
) -> tuple[list[Component], list[tuple[str, bytes]], int]:
    found, nested, used = [], [], 0
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if len(members) > MEMBERS:
            raise _Bomb
        for member in members:
            path = PurePosixPath(member.filename)
            is_inner = path.suffix.lower() in ENDINGS and not member.is_dir()
            if is_inner and depth == DEEPEST:
                notices.append(Notice("not_readable", f"{place}!{path}", "archives are nested too deep"))
            elif is_inner:
                with archive.open(member) as file:
                    inner = file.read(budget - used + 1)
                used += len(inner)
                if used > budget:
                    raise _Bomb
                nested.append((str(path), inner))
            elif path.name == "pom.properties" and path.parts[:2] == ("META-INF", "maven"):
                with archive.open(member) as file:
                    one = named(file.read(PROPERTIES), place)
                if one is None:
                    notices.append(nameless(path, place))
                else:
                    found.append(one)
    return found, nested, used


def unnamed(place: str) -> Notice:
    return Notice("unnamed_jar", place, "it has no pom.properties, so which package it is cannot be told")


def nameless(path: object, place: str) -> Notice:
    return Notice("not_readable", place, f"{path} names no package and version")


def named(text: bytes, place: str) -> Component | None:
    """The package that a `pom.properties` names."""
    said = {
        key.strip(): value.strip()
        for key, equals, value in (line.partition("=") for line in text.decode("latin-1").splitlines())
        if equals and not line_is_comment(key)
    }
    group, name, version = (said.get(key, "") for key in ("groupId", "artifactId", "version"))
    if not (group and name and version) or "${" in version:
        return None
    return Component("Maven", f"{group}:{name}", version, version, (name,), place=place)


def line_is_comment(key: str) -> bool:
    return key.lstrip()[:1] in ("#", "!")
