"""One layer of a container image, read as it streams: what it adds, what it takes away (OCI image specification, layer.md).

Nothing is written to the disk, and no more is held than what an inventory needs.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO, Self, cast

from wardkeep.advisories.components import Notice
from wardkeep.advisories.inventories.tree import Kept, Tree
from wardkeep.advisories.inventories.wanted import look, most_bytes
from wardkeep.advisories.zstd import MAGIC, unpacked_by_zstd
from wardkeep.core.errors import BadInput

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
BLOCK = 1 << 20
END = bytes(1024)  # two empty blocks
HEADER = 1 << 20  # the longest extended header of a member: names and attributes
# How often larger a layer may become. Ordinary ones stay below 20; only those that swell beyond this size are held to it.
SWELL, FREE = 200, 512 << 20


class Budget:
    """Bytes unpacked and members seen, over all layers of one image. Raises BadInput when they go beyond all measure."""

    def __init__(self, size: int = 64 << 30, members: int = 3_000_000, held: int = 1 << 30) -> None:
        self.size, self.members, self.held = size, members, held

    def unpacked(self, count: int, where: str) -> None:
        self.size -= count
        if self.size < 0:
            raise BadInput("swells too far when it is unpacked", where=where, todo="It may be a bomb.")

    def member(self, where: str) -> None:
        self.members -= 1
        if self.members < 0:
            raise BadInput("holds too many files", where=where, todo="It may be a bomb.")

    def keep(self, count: int, where: str) -> None:
        self.held -= count
        if self.held < 0:
            raise BadInput("holds too many package files to keep in memory", where=where)


class Stream:
    """The unpacked bytes of a layer, counted and hashed. Reading beyond what the packed size allows raises BadInput."""

    def __init__(self, file: IO[bytes], where: str, packed: int, budget: Budget) -> None:
        self._file, self._where, self._budget = file, where, budget
        self._most, self._count = max(packed * SWELL, FREE), 0
        self._digest = hashlib.sha256()
        self._last = b""

    @property
    def has_end(self) -> bool:
        """Whether what was read ends as an archive does. One that is cut between two files differs from a whole one in this alone."""
        return self._last == END

    def read(self, size: int = BLOCK) -> bytes:
        block = self._file.read(size)
        self._count += len(block)
        self._budget.unpacked(len(block), self._where)
        if self._count > self._most:
            raise BadInput("swells too far when it is unpacked", where=self._where, todo="It may be a bomb.")
        self._digest.update(block)
        self._last = (self._last + block)[-len(END) :] if len(block) < len(END) else block[-len(END) :]
        return block

    def finish(self) -> str:
        """The digest of everything, also of what follows the archive's end."""
        while self.read():
            pass
        return f"sha256:{self._digest.hexdigest()}"


class Member(tarfile.TarInfo):
    """A member whose extended headers are not read into memory without a bound."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        made = super().frombuf(buf, encoding, errors)
        extended = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
        if made.type in (*extended, tarfile.SOLARIS_XHDTYPE) and made.size > HEADER:
            raise BadInput(f"a member's header says that it has {made.size:,} bytes")
        return made


def apply_layer(
    tree: Tree, file: IO[bytes], where: str, packed: int, budget: Budget, *, to_its_end: bool = False
) -> str:
    """Put the layer on the tree; the sha256 digest of its unpacked archive. Raises BadInput in one line for a layer that is damaged.

    `to_its_end` is for an archive of which nobody tells the digest: it must end as an archive does.
    """
    try:
        with unpacked(file, where) as raw:
            stream = Stream(raw, where, packed, budget)
            _apply(tree, stream, where, budget)
            digest = stream.finish()
            if to_its_end and not stream.has_end:
                raise EOFError("it has no end")
            return digest
    except BadInput as e:
        raise BadInput(e.what, where=e.where or where, todo=e.todo) from None
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeError, ValueError) as e:
        raise BadInput(
            f"the {'archive' if to_its_end else 'layer'} is damaged or cut: {e}",
            where=where,
            todo="Save it again." if to_its_end else "Save the image again.",
        ) from None


def _apply(tree: Tree, stream: Stream, where: str, budget: Budget) -> None:
    standing = tree.standing()
    added, links, gone, emptied = dict[str, Kept](), dict[str, str](), set[str](), set[str]()
    with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|", tarinfo=Member) as archive:
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]  # tarfile would keep every one
            budget.member(where)
            path = inside(member.name)
            folder, _, name = path.rpartition("/")
            if name == OPAQUE:
                emptied.add(folder)
            elif name.startswith(WHITEOUT):
                gone.add(f"{folder}/{name[len(WHITEOUT) :]}".lstrip("/"))
            elif member.isdir():
                # A folder in the place of a link or a file; in the place of a folder it changes nothing.
                if path in tree.links or path in tree.files:
                    gone.add(path)
            else:
                for held in (added, links):
                    held.pop(path, None)  # the later member of one name counts
                if path in standing:
                    gone.add(path)
                if member.issym():
                    links[path] = member.linkname
                elif member.islnk():
                    target = inside(member.linkname)
                    kept = added.get(target) or tree.files.get(target)
                    if kept is not None:
                        added[path] = kept
                    elif most_bytes(path):
                        why = "it is a hard link to a file that was not read"
                        added[path] = Kept(notices=(Notice("not_readable", path, why),))
                elif member.isreg():
                    kept = look(path, member.mode, member.size, Reading(archive, member).read)
                    if kept is not None:
                        budget.keep(len(kept.data), where)
                        added[path] = kept
    tree.hide(gone, emptied)
    tree.files |= added
    tree.links |= links


class Reading:
    """The first bytes of a member, as many as are asked for: a stream gives each of them only once."""

    def __init__(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self._size, self._data, self._file = member.size, b"", archive.extractfile(member)

    def read(self, size: int) -> bytes:
        missing = min(size, self._size) - len(self._data)
        if missing > 0 and self._file is not None:
            block = self._file.read(missing)
            self._data = self._data + block if self._data else block
            if len(block) < missing:
                raise EOFError("a file ends too early")
        return self._data[:size]


def inside(name: str) -> str:
    """A member's path without leading `/` and `./`. Raises BadInput for one that leaves the layer."""
    path = PurePosixPath(name.lstrip("/"))
    if ".." in path.parts:
        raise BadInput(f"the archive names a path outside of itself: {name[:80]!r}")
    return "/".join(path.parts)


@contextmanager
def unpacked(file: IO[bytes], where: str) -> Iterator[IO[bytes]]:
    """The bytes of a layer that may be packed by gzip or zstd (the latter by the program `zstd`)."""
    head = file.read(4)
    file.seek(0)
    if head[:2] == b"\x1f\x8b":
        with gzip.open(file) as made:
            yield made  # type: ignore[misc]
    elif head == MAGIC:
        with unpacked_by_zstd(file, where) as made:
            yield made
    else:
        yield file
