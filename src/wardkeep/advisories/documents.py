"""Reading what was published: plain files, gzip, zstd, zip and tar, with a bound on everything.

Nothing is ever unpacked to the disk. A file too large, an archive that swells without measure or names a path outside of itself
is refused in one line; nothing half read counts.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from wardkeep.advisories.zstd import MAGIC, unpacked_by_zstd
from wardkeep.core.errors import BadInput

HELD = 256 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes. `one` for a document, `all` for everything in an archive, `swell` how often larger it may be unpacked."""

    one: int = 400 << 20
    all: int = 6 << 30
    swell: int = 250
    files: int = 1_500_000


@dataclass(frozen=True, slots=True)
class Document:
    """One text of a feed, and where it stands (`all.zip!PYSEC-2020-1.json`)."""

    name: str
    data: bytes


def documents(path: Path, limits: Limits = Limits()) -> Iterator[Document]:
    """Every document of a file, an archive or a folder (symbolic links are not followed). Raises BadInput."""
    if path.is_symlink() or path.is_dir():
        yield from _folder(path, limits)
        return
    try:
        with path.open("rb") as file:
            yield from _file(file, path.name, path.stat().st_size, limits)
    except OSError as e:
        raise BadInput(f"cannot be read: {e.strerror}", where=str(path)) from None
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        EOFError,
        zlib.error,
        NotImplementedError,
        RuntimeError,
    ) as e:
        raise BadInput(f"the archive is damaged: {e}", where=str(path), todo="Get it again.") from None


def _folder(path: Path, limits: Limits) -> Iterator[Document]:
    if not path.is_dir():
        raise BadInput("is no file and no folder", where=str(path))
    seen = 0
    for folder, names, files in os.walk(path, followlinks=False):
        names.sort()
        for name in sorted(files):
            one = Path(folder, name)
            if one.is_symlink() or not one.is_file():
                continue
            seen += 1
            if seen > limits.files:
                raise BadInput(f"holds more than {limits.files:,} files", where=str(path))
            for document in documents(one, limits):
                yield Document(str(one.parent.relative_to(path) / document.name), document.data)


def _file(file: IO[bytes], name: str, size: int, limits: Limits) -> Iterator[Document]:
    head = file.read(4)
    file.seek(0)
    if head == b"PK\x03\x04":
        # A seek for each of a hundred thousand members costs more than holding a middling archive in memory.
        held = io.BytesIO(file.read()) if size <= HELD else file
        yield from _zip(held, name, limits)
    elif head == MAGIC:
        with unpacked_by_zstd(file, name) as stream:
            if name.endswith((".tar.zst", ".tar.zstd")):
                yield from _tar(stream, name, size, limits)
                # Only who has read to the end knows whether it was whole; behind a tar's end stand a few zeros.
                _bounded(stream, name, Limits(one=64 << 20), 0)
            else:
                yield Document(name.removesuffix(".zst"), _bounded(stream, name, limits, size))
    elif name.endswith((".tar", ".tar.gz", ".tgz", ".tar.xz")):
        yield from _tar(file, name, size, limits)
    elif head[:2] == b"\x1f\x8b":
        with gzip.open(file) as unpacked:
            yield Document(name.removesuffix(".gz"), _bounded(unpacked, name, limits, size))
    else:
        yield Document(name, _bounded(file, name, limits, 0))


def _zip(file: IO[bytes], name: str, limits: Limits) -> Iterator[Document]:
    with zipfile.ZipFile(file) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) > limits.files:
            raise BadInput(f"holds more than {limits.files:,} files", where=name)
        budget = limits.all
        for member in members:
            where = f"{name}!{member.filename}"
            _inside(member.filename, name)
            with archive.open(member) as unpacked:
                data = _bounded(unpacked, where, limits, member.compress_size)
            budget -= len(data)
            if budget < 0:
                raise BadInput(f"holds more than {limits.all >> 30} GB unpacked", where=name)
            yield Document(where, data)


def _tar(file: IO[bytes], name: str, size: int, limits: Limits) -> Iterator[Document]:
    budget, seen = min(limits.all, max(size * limits.swell, 64 << 20)), 0
    with tarfile.open(fileobj=file, mode="r|*") as archive:
        for member in archive:
            _inside(member.name, name)
            seen += 1
            budget -= max(member.size, 0)
            if budget < 0 or seen > limits.files:
                raise BadInput("swells too far when it is unpacked", where=name, todo="It may be a bomb.")
            unpacked = archive.extractfile(member) if member.isfile() else None
            if unpacked is not None:
                where = f"{name}!{member.name}"
                yield Document(where, _bounded(unpacked, where, limits, 0))


def _inside(member: str, archive: str) -> None:
    path = PurePosixPath(member.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise BadInput(f"the archive names a path outside of itself: {member[:80]!r}", where=archive)


def _bounded(file: IO[bytes] | gzip.GzipFile, where: str, limits: Limits, packed: int) -> bytes:
    """Everything, but never more than the limits. `packed` above 0 also bounds how far it may swell."""
    most = limits.one if packed <= 0 else min(limits.one, max(packed * limits.swell, 1 << 20))
    made = bytearray()
    while block := file.read(1 << 20):
        made += block
        if len(made) > most:
            if most < limits.one:
                raise BadInput("swells too far when it is unpacked", where=where, todo="It may be a bomb.")
            raise BadInput(f"is larger than {limits.one >> 20} MB", where=where, todo="Give a smaller feed.")
    return bytes(made)
