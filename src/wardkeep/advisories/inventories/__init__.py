"""Inventories: what is installed or to be installed, read from files, for anybody who has no platform."""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import replace
from pathlib import Path

from wardkeep.advisories.components import Inventory, Notice
from wardkeep.advisories.inventories.folders import tree_of_folder
from wardkeep.advisories.inventories.images import (
    choose,
    images,
    open_store,
    tree_of_archive,
    tree_of_image,
)
from wardkeep.advisories.inventories.lockfiles import format_of, read_lock_file
from wardkeep.advisories.inventories.sbom import read_sbom
from wardkeep.advisories.inventories.sbom_forms import is_tag_value
from wardkeep.advisories.inventories.system import read_tree
from wardkeep.advisories.inventories.tree import Tree
from wardkeep.advisories.inventories.wanted import look
from wardkeep.advisories.zstd import MAGIC
from wardkeep.core.errors import BadInput
from wardkeep.core.printable import printable

LARGEST = 256 << 20
GZIP = b"\x1f\x8b"


def read_path(path: Path, image: str = "") -> Inventory:
    """A root folder or project folder, an image, a program, a lock file or a bill of materials, by what it is.

    `image` says which one of several in an archive: its name, digest or platform (`linux/arm64`). Raises BadInput in one line.
    """
    return _shown(_read(path, image))


def _read(path: Path, image: str) -> Inventory:
    try:
        if path.exists() and not (path.is_dir() or path.is_file()):
            raise BadInput(
                "is neither a file nor a folder", where=str(path)
            )  # a pipe or device may have no end
        is_archive = path.is_dir() or _is_tar(path)
    except OSError as e:
        raise BadInput(f"cannot be read: {e.strerror}", where=str(path)) from None
    if is_archive:
        with open_store(path) as store:
            if store is not None:
                chosen = choose(images(store), image, str(path))
                made = read_tree(tree_of_image(store, chosen), f"{path} ({chosen.shown})")
                made.images = chosen.digests
                return made
        if image and not path.is_dir():
            raise BadInput("is no image archive, so --image says nothing", where=str(path))
        return _read_root(path, tree_of_folder(path) if path.is_dir() else tree_of_archive(path))
    if image:
        raise BadInput("is no image archive, so --image says nothing", where=str(path))
    return _read_file(path)


def _shown(made: Inventory) -> Inventory:
    """With names that can be shown: a package whose name or version holds control characters is none that anybody published."""
    kept = []
    for one in made.components:
        told = "".join(
            (one.ecosystem, one.name, one.version, one.installed, *one.binaries, *one.binary_versions)
        )
        if told.isprintable():
            kept.append(one if one.place.isprintable() else replace(one, place=printable(one.place)))
        else:
            why = "its name or version holds characters that no package has"
            made.notices.append(Notice("not_readable", f"{one.name} {one.version}"[:200], why))
    made.components = kept
    made.notices = [
        Notice(one.kind, printable(one.subject), printable(one.why), one.is_unknown) for one in made.notices
    ]
    made.name = printable(made.name)
    return made


def _read_root(path: Path, tree: Tree) -> Inventory:
    made = read_tree(tree, str(path))
    if not made.components and not any(one.is_unknown for one in made.notices):
        raise BadInput(
            "has no package database (dpkg, apk, rpm), no lock file and no installed language package",
            where=str(path),
            todo="Give the root of a system (a folder, or an archive of it), an image, or a project's folder.",
        )
    return made


def _read_file(path: Path) -> Inventory:
    try:
        if path.stat().st_size > LARGEST:
            raise BadInput(f"is larger than {LARGEST >> 20} MB", where=str(path))
        data = path.read_bytes()
        mode = path.stat().st_mode
        if data[:2] == GZIP:
            with gzip.open(io.BytesIO(data)) as packed:
                data = packed.read(LARGEST + 1)
            if len(data) > LARGEST:
                raise BadInput(f"is larger than {LARGEST >> 20} MB unpacked", where=str(path))
            path = path.with_suffix("")
    except (EOFError, zlib.error, gzip.BadGzipFile) as e:
        raise BadInput(f"is damaged or cut: {e}", where=str(path)) from None
    except OSError as e:
        raise BadInput(f"cannot be read: {e.strerror}", where=str(path)) from None
    if format_of(path.name) is not None:
        return read_lock_file(data, str(path))
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or _is_bill(data):
        return read_sbom(data, str(path))
    kept = look(path.name, mode, len(data), lambda size: data[:size])
    if kept is not None:
        return Inventory(str(path), list(kept.components), list(kept.notices))
    raise BadInput(
        "is no root folder, image, bill of materials (CycloneDX, SPDX), lock file, jar or program known here",
        where=str(path),
    )


def _is_bill(data: bytes) -> bool:
    """By its beginning."""
    return data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"<") or is_tag_value(data)


def _is_tar(path: Path) -> bool:
    """By content: a plain tar, or anything packed by zstd, or by gzip that is no bill of materials or lock file."""
    with path.open("rb") as file:
        head = file.read(512)
    if head[:2] == GZIP and not path.name.endswith((".tar.gz", ".tgz")):
        try:
            with gzip.open(path) as packed:
                head = packed.read(512)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return True  # whose reader says what is wrong
        return not (_is_bill(head) or format_of(path.stem) is not None)
    return head[257:262] == b"ustar" or head[:2] == GZIP or head[:4] == MAGIC or path.name.endswith(".tar")
