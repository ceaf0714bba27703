"""Content-addressed blobs: raw answers and lists of findings, compressed, each stored once under its SHA-256."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from isal import isal_zlib

from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.ledger.disk import Disk, make_folders
from wardkeep.ledger.entry import DIGEST
from wardkeep.ledger.tamper import Tampered

LARGEST_BLOB = 1 << 30  # bytes, uncompressed
# Of ISA-L, which writes zlib's own format: as small as zlib's level 3 on recorded hosts (a tenth larger than its usual 6), in a
# sixth of the time.
COMPRESSION = 2
ABANDONED = 3600.0  # seconds after which a file being written is taken for a killed process's


class Blobs:
    """The folder `blobs/`: `ab/cdef….z`, zlib inside (the standard library reads it in any year)."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.folder, self._disk = folder, disk

    def path(self, digest: str) -> Path:
        if not DIGEST.match(digest):
            raise BadInput("not a digest such as sha256:<64 hex digits>", where=digest[:80])
        name = digest.removeprefix("sha256:")
        return self.folder / name[:2] / f"{name[2:]}.z"

    def has(self, digest: str) -> bool:
        return self.path(digest).exists()

    def put(self, data: bytes) -> str:
        """Store and return the digest. On the disk when this returns. Raises Unavailable."""
        return self.put_all([data])[0]

    def put_all(self, contents: Sequence[bytes]) -> list[str]:
        """Store many, with a few turns of the disk for all of them. All on the disk when this returns, or none counted."""
        digests = [self._digest(data) for data in contents]
        new = {
            name: data for name, data in zip(digests, contents, strict=True) if not self._holds(name, data)
        }
        if new:
            self._write(new)
        return digests

    def _digest(self, data: bytes) -> str:
        if len(data) > LARGEST_BLOB:
            raise BadInput(f"a blob holds at most {LARGEST_BLOB} bytes, not {len(data)}")
        return "sha256:" + hashlib.sha256(data).hexdigest()

    def _holds(self, digest: str, data: bytes) -> bool:
        with contextlib.suppress(BadInput, Tampered, Unavailable):  # a rotten copy is written anew
            return self.path(digest).exists() and self.get(digest) == data
        return False

    def _write(self, blobs: Mapping[str, bytes]) -> None:
        # Outside the ledger's lock, so two processes may write the same blob: each beside it, either one wins.
        beside = {name: self.folder / f".new-{os.getpid()}-{secrets.token_hex(8)}" for name in blobs}
        try:
            touched: dict[Path, None] = {}
            for folder in dict.fromkeys(self.path(name).parent for name in blobs):
                for made in make_folders(self._disk, folder):
                    touched[made.parent] = None
                touched[folder] = None
            self._disk.each(lambda name: self._write_beside(beside[name], blobs[name]), list(blobs))
            for name, path in beside.items():
                self._disk.replace(path, self.path(name))
            self._disk.each(self._disk.sync_folder, list(touched))
        except OSError as e:
            for path in beside.values():
                with contextlib.suppress(OSError):
                    self._disk.remove(path)
            raise Unavailable(f"cannot write a blob: {e.strerror}", where=str(self.folder)) from None

    def _write_beside(self, path: Path, data: bytes) -> None:
        # Several at once (`Disk.each`): compressing leaves Python's lock, so it runs while others wait for the disk.
        self._disk.write(path, isal_zlib.compress(data, COMPRESSION), 0o640)

    def get(self, digest: str) -> bytes:
        """The content. Raises BadInput if there is none, Tampered if it is not what its name says."""
        path = self.path(digest)
        try:
            packed = path.read_bytes()
        except FileNotFoundError:
            raise BadInput("the ledger holds no such blob", where=digest) from None
        except OSError as e:
            raise Unavailable(f"cannot read a blob: {e.strerror}", where=str(path)) from None
        inflate = zlib.decompressobj()
        try:
            data = inflate.decompress(packed, LARGEST_BLOB)
        except zlib.error:
            data = b""
        if not inflate.eof or inflate.unused_data or "sha256:" + hashlib.sha256(data).hexdigest() != digest:
            raise Tampered("the blob's content is not what its digest says", where=digest)
        return data

    def sweep(self) -> None:
        """Remove what killed processes left half written."""
        for path in self.folder.glob(".new-*"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > ABANDONED:
                    path.unlink()
