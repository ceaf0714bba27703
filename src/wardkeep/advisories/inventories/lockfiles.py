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
PINNED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*={2,3}\s*([^\s;,\\#*]+)(?![^\s;,\\#])")
ELSEWHERE = re.compile(r"-(?:r|-requirement)[\s=]*(\S+)")
GEM = re.compile(r"    ([A-Za-z0-9_.-]+) \(([0-9][0-9A-Za-z.]*)(?:-[a-z0-9_.-]+)?\)")
YARN = re.compile(r'^"?((?:@[^@/"]+/)?[^@"\s]+)@([^\n]*):\n((?:  [^\n]*\n)+)', re.M)
YARN_VERSION = re.compile(r'^  version:? "?([^"\n]+)"?$', re.M)
RESOLUTION = re.compile(r'^  resolution: "?((?:@[^@/"]+/)?[^@"]+)@(\w+):', re.M)
ALIAS = re.compile(
    r"npm:((?:@[^@/]+/)?[^@]+)@(.+)"
)  # a package under another name: what follows is what is installed
LOCAL = frozenset({"workspace", "link", "portal"})
# A line with `/go.mod` pins only what a module asks for: its code was not needed.
GO = re.compile(r"^(\S+) v([^\s/]+) h1:\S+$", re.M)
# What follows `(`, or `_` in older files, are the versions of those it stands beside.
PNPM = re.compile(r"^  '?/?((?:@[^@/']+/)?[^@/'\s]+)[@/]([0-9][^('\s:_]*)", re.M)
GRADLE = re.compile(r"^([^\s:#=]+:[^\s:=]+):([^\s:=]+)=", re.M)
PUB = re.compile(r'^  (\w+):\n(?:    [^\n]*\n)*?    version: "?([^"\n]+)"?$', re.M)
TAG = re.compile(r"<package\s([^<>]*)>")
ATTRIBUTE = re.compile(r"""(\w+)\s*=\s*["']([^"']*)["']""")


def requirements(data: bytes) -> Found:
    # pip reads a file by the mark it begins with: some shells write UTF-16.
    coding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    for line in data.decode(coding, "replace").replace("\r\n", "\n").replace("\\\n", " ").splitlines():
        bare = line.strip()
        if elsewhere := ELSEWHERE.match(bare):
            yield f"-r {elsewhere[1][:80]}", ""
        if not bare or bare.startswith(("#", "-")):
            continue
        match = PINNED.match(bare)
        yield (match[1], match[2]) if match else (bare[:80], "")


def toml_packages(data: bytes) -> Found:
    """poetry.lock, pdm.lock, uv.lock, Cargo.lock: tables `package` with name and version; pylock.toml: `packages`."""
    read = tomllib.loads(data.decode())
    for one in [*read.get("package", ()), *read.get("packages", ())]:
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
        version = str(one.get("version", ""))
        alias = ALIAS.fullmatch(version)
        # Another address than the registry's is no version of the package in it.
        yield (alias[1], alias[2]) if alias else (name, "" if ":" in version else version)
        left += (one.get("dependencies") or {}).items()


def yarn(data: bytes) -> Found:
    """Of both forms. The name is of what is installed, also where it was asked for under another one."""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n") + "\n"
    for name, wanted, body in YARN.findall(text):
        resolution, version = RESOLUTION.search(body), YARN_VERSION.search(body)
        if version and not (resolution and resolution[2] in LOCAL):
            alias = ALIAS.match(wanted.strip('"'))
            yield resolution[1] if resolution else alias[1] if alias else name, version[1]


def bun(data: bytes) -> Found:
    """JSON with commas before what closes; a package is a list that begins with `name@version`."""
    for one in (read_json(re.sub(rb",(\s*[}\]])", rb"\1", data)).get("packages") or {}).values():
        name, _, version = str(one[0]).rpartition("@")
        if not version.startswith(("workspace:", "link:", "file:")):
            yield name, "" if ":" in version else version


def packages_config(data: bytes) -> Found:
    """NuGet's older list."""
    for tag in TAG.findall(data.decode("utf-8-sig", "replace")):
        said = dict(ATTRIBUTE.findall(tag))
        yield said.get("id", ""), said.get("version", "")


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
    said: dict[str, list[str]] = {"require": [], "replace": []}
    for word, block, line in re.findall(
        r"^(require|replace)(?:\s*\((.*?)^\)|\s+([^\n(]+)$)", text, re.M | re.S
    ):
        said[word] += (block or line).splitlines()
    instead = {}
    for line in said["replace"]:
        old, arrow, new = line.partition("=>")
        if arrow and old.split():
            instead[tuple(old.split())] = new.split()
    for line in said["require"]:
        words = line.split()
        if len(words) != 2 or not words[1].startswith("v"):
            continue
        other = instead.get(tuple(words), instead.get((words[0],)))
        # A folder beside the module has no version that anybody published.
        name, version = (words if other is None else [*other, ""])[:2]
        yield name, version.removeprefix("v")


def by_pattern(pattern: re.Pattern[str]) -> Callable[[bytes], Found]:
    def read(data: bytes) -> Found:
        yield from pattern.findall(data.decode("utf-8", "replace"))

    return read


# File name (exact, or its ending) → ecosystem and reader.
FORMATS: tuple[tuple[str, str, Callable[[bytes], Found]], ...] = (
    ("poetry.lock", "PyPI", toml_packages),
    ("uv.lock", "PyPI", toml_packages),
    ("pdm.lock", "PyPI", toml_packages),
    ("pylock.toml", "PyPI", toml_packages),
    ("Pipfile.lock", "PyPI", pipfile),
    ("package-lock.json", "npm", package_lock),
    ("npm-shrinkwrap.json", "npm", package_lock),
    ("yarn.lock", "npm", yarn),
    ("bun.lock", "npm", bun),
    ("pnpm-lock.yaml", "npm", by_pattern(PNPM)),
    ("Gemfile.lock", "RubyGems", by_pattern(GEM)),
    ("gems.locked", "RubyGems", by_pattern(GEM)),
    ("gradle.lockfile", "Maven", by_pattern(GRADLE)),
    ("buildscript-gradle.lockfile", "Maven", by_pattern(GRADLE)),
    ("pubspec.lock", "Pub", by_pattern(PUB)),
    ("Cargo.lock", "crates.io", toml_packages),
    ("composer.lock", "Packagist", composer),
    ("packages.lock.json", "NuGet", nuget),
    ("packages.config", "NuGet", packages_config),
    ("go.sum", "Go", by_pattern(GO)),
    ("go.mod", "Go", go_mod),
)
NOT_PINNED = "it is not pinned to one published version"
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
                why = "it is another file: give it too" if package.startswith("-r ") else NOT_PINNED
                made.notices.append(Notice("not_readable", package, why))
    except (LookupError, ValueError, AttributeError, TypeError, RecursionError) as e:
        raise BadInput(f"cannot be read as {PurePath(name).name}: {e}", where=name) from None
    if not seen:
        raise BadInput("names not one package", where=name)
    return made
