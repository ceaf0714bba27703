"""Which files of a system are read for its inventory, and how much of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath

from wardkeep.advisories.components import Notice
from wardkeep.advisories.inventories.binaries import read_program
from wardkeep.advisories.inventories.jars import ENDINGS as JARS
from wardkeep.advisories.inventories.jars import read_jar
from wardkeep.advisories.inventories.lockfiles import format_of
from wardkeep.advisories.inventories.tree import Kept

SMALL, LARGE, PROGRAM = 4 << 20, 64 << 20, 256 << 20
RPM_FOLDERS = ("var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm")
RPM_FILES = ("rpmdb.sqlite", "rpmdb.sqlite-wal", "Packages.db", "Packages")
SYSTEM = {
    "etc/os-release": SMALL,
    "usr/lib/os-release": SMALL,
    "etc/apt/sources.list": SMALL,
    "var/lib/dpkg/status": LARGE,
    "lib/apk/db/installed": LARGE,
    "usr/lib/apk/db/installed": LARGE,
    **{f"{folder}/{name}": 4 * LARGE for folder in RPM_FOLDERS for name in RPM_FILES},
}
# Of these the first lines say all: the rest is the description.
HEADS = re.compile(r"\.(dist-info/METADATA|egg-info/PKG-INFO|egg-info)$")
HEAD = 64 << 10
NODE = re.compile(r"(^|/)node_modules/(@[^/]+/)?[^/]+/package\.json$")
GEM = re.compile(r"(^|/)specifications/(default/)?[^/]+\.gemspec$")
LIBRARY = re.compile(r"\.(so|ko|o|a|node)(\.|$)")
# Programs in these belong to the language package they came with.
PACKAGED = re.compile(r"(^|/)(node_modules|(site|dist)-packages)/")
ELF = b"\x7fELF"


def most_bytes(path: str) -> int:
    """How many bytes of this file are worth keeping; 0 for a file that says nothing about packages."""
    folder, _, name = path.rpartition("/")
    if path in SYSTEM:
        return SYSTEM[path]
    if folder == "var/lib/dpkg/status.d":
        return SMALL
    if folder == "etc/apt/sources.list.d":
        return SMALL if name.endswith((".list", ".sources")) else 0  # apt reads no others
    if folder == "var/lib/dpkg/info":
        return LARGE if name.endswith(".list") else 0
    if HEADS.search(path):
        return HEAD
    if NODE.search(path) or GEM.search(path):
        return SMALL
    if name.endswith(".deps.json") or path.endswith("vendor/composer/installed.json"):
        return LARGE
    return LARGE if format_of(name) and not PACKAGED.search(path) else 0


def look(path: str, mode: int, size: int, read: Callable[[int], bytes]) -> Kept | None:
    """What is kept of a file; None when it says nothing. `read` gives up to so many bytes from its beginning, anew at each call."""
    most = most_bytes(path)
    if most:
        if size > most and most != HEAD:
            return Kept(notices=(too_large(path, most >> 20),))
        return Kept(read(min(size, most)))
    is_jar = PurePosixPath(path).suffix.lower() in JARS
    is_program = mode & 0o111 and size > len(ELF) and not LIBRARY.search(path.rpartition("/")[2])
    if is_jar:
        if size > PROGRAM:
            return Kept(notices=(too_large(path, PROGRAM >> 20),))
        return _found(*read_jar(read(size), path))
    if is_program and read(4) == ELF:
        if size > PROGRAM:
            return Kept(notices=(too_large(path, PROGRAM >> 20),))
        return _found(*read_program(read(size), path, is_packaged=bool(PACKAGED.search(path))))
    return None


def _found(components: list, notices: list) -> Kept | None:  # type: ignore[type-arg]
    return Kept(b"", tuple(components), tuple(notices)) if components or notices else None


def too_large(path: str, most: int) -> Notice:
    """`most` in MB."""
    return Notice("not_readable", path, f"it is larger than {most} MB and was not read")
