"""Lock files: exact versions of language packages, each format in a few lines. What is not pinned becomes a notice."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any

from wardkeep.advisories.components import Component, Inventory, Notice
from wardkeep.advisories.ecosystems import normal_name
from wardkeep.core.errors import BadInput
from wardkeep.core.foreign_json import read_json

Found = Iterator[tuple[str, str]]
PINNED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])? ?={2,3} ?([^\s;,\\#]+)")
GEM = re.compile(r"    ([A-Za-z0-9_.-]+) \(([0-9][0-9A-Za-z.]*)(?:-[a-z0-9_-]+)?\)")
YARN = re.compile(r'^"?((?:@[^@/"]+/)?[^@"\s]+)@[^\n]*:\n(?:  [^\n]*\n)*?  version:? "?([^"\n]+)"?$', re.M)
# A line with `/go.mod` pins only what a module asks for: its code was not needed.
GO = re.compile(r"^(\S+) v([^\s/]+) h1:\S+$", re.M)
PNPM = re.compile(r"^  '?/?((?:@[^@/']+/)?[^@/'\s]+)[@/]([0-9][^('\s:]*)", re.M)


def requirements(data: bytes) -> Found:
    for line in data.decode("utf-8", "replace").replace("\\\n", " ").splitlines():
        bare = line.strip()
        if not bare or bare.startswith(("#", "-", "\ufeff#")):
            continue
        match = PINNED.match(bare)
        yield (match[1], match[2]) if match else (bare[:80], "")


def toml_packages(data: bytes) -> Found:
    """poetry.lock, uv.lock, Cargo.lock: tables `package` with name and version."""
    for one in tomllib.loads(data.decode()).get("package", ()):
        source = one.get("source")
        is_local = isinstance(source, dict) and ({"virtual", "editable"} & source.keys())
        if not is_local:
            yield str(one.get("name", "")), str(one.get("version", ""))


def pipfile(data: bytes) -> Found:
    made = read_json(data)
    for group in ("default", "develop"):
        for name, one in (made.get(group) or {}).items():
            yield name, str(one.get("version", "")).lstrip("=")


def package_lock(data: bytes) -> Found:
    """npm's, of versions 1 to 3."""
    made = read_json(data)
    for path, one in (made.get("packages") or {}).items():
        if path and not one.get("link") and "node_modules/" in path:
            yield str(one.get("name") or path.rpartition("node_modules/")[2]), str(one.get("version", ""))
    left: list[tuple[str, dict[str, Any]]] = (
        [] if made.get("packages") else list((made.get("dependencies") or {}).items())
    )
    while left:
        name, one = left.pop()
        yield name, str(one.get("version", ""))
        left += (one.get("dependencies") or {}).items()


def composer(data: bytes) -> Found:
    made = read_json(data)
    for one in [*(made.get("packages") or ()), *(made.get("packages-dev") or ())]:
        yield str(one.get("name", "")), str(one.get("version", ""))


def nuget(data: bytes) -> Found:
    for group in (read_json(data).get("dependencies") or {}).values():
        for name, one in group.items():
            if one.get("type") != "Project":
                yield name, str(one.get("resolved", ""))


def go_mod(data: bytes) -> Found:
    text = re.sub(r"//[^\n]*", "", data.decode("utf-8", "replace"))
    for block in re.findall(r"^require\s*\((.*?)^\)|^require ([^\n(]+)$", text, re.M | re.S):
        yield from re.findall(r"^\s*(\S+)\s+v(\S+)\s*$", block[0] or block[1], re.M)


def by_pattern(pattern: re.Pattern[str]) -> Callable[[bytes], Found]:
    def read(data: bytes) -> Found:
        yield from pattern.findall(data.decode("utf-8", "replace"))

    return read


# File name (exact, or its ending) → ecosystem and reader.
FORMATS: tuple[tuple[str, str, Callable[[bytes], Found]], ...] = (
    ("poetry.lock", "PyPI", toml_packages),
    ("uv.lock", "PyPI", toml_packages),
    ("Pipfile.lock", "PyPI", pipfile),
    ("package-lock.json", "npm", package_lock),
    ("npm-shrinkwrap.json", "npm", package_lock),
    ("yarn.lock", "npm", by_pattern(YARN)),
    ("pnpm-lock.yaml", "npm", by_pattern(PNPM)),
    ("Gemfile.lock", "RubyGems", by_pattern(GEM)),
    ("Cargo.lock", "crates.io", toml_packages),
    ("composer.lock", "Packagist", composer),
    ("packages.lock.json", "NuGet", nuget),
    ("go.sum", "Go", by_pattern(GO)),
    ("go.mod", "Go", go_mod),
)
REQUIREMENTS = re.compile(r"(.*[-_.])?requirements([-_.].*)?\.(txt|lock|in)|requirements.*")


def format_of(name: str) -> tuple[str, Callable[[bytes], Found]] | None:
    """Ecosystem and reader for a file of that name; None when it is no lock file known here."""
    base = PurePath(name).name
    for ending, ecosystem, reader in FORMATS:
        if base == ending or base.endswith(f".{ending}"):
            return ecosystem, reader
    return ("PyPI", requirements) if REQUIREMENTS.fullmatch(base) else None


def read_lock_file(data: bytes, name: str) -> Inventory:
    """Raises BadInput for a file that is not what its name says, or that holds not one package."""
    known = format_of(name)
    if known is None:
        raise BadInput(
            "is no lock file known here",
            where=name,
            todo=f"Known: {', '.join(f[0] for f in FORMATS)}, requirements.txt.",
        )
    ecosystem, reader = known
    made = Inventory(name)
    seen: set[tuple[str, str]] = set()
    try:
        for package, version in reader(data):
            if (package, version) in seen or not package:
                continue
            seen.add((package, version))
            if version:
                made.components.append(
                    Component(
                        ecosystem, normal_name(ecosystem, package), version, version, (package,), place=name
                    )
                )
            else:
                made.notices.append(Notice("not_readable", package, "it is not pinned to one version"))
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError) as e:
        raise BadInput(f"cannot be read as {PurePath(name).name}: {e}", where=name) from None
    if not seen:
        raise BadInput("names not one package", where=name)
    return made
