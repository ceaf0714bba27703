"""Content-addressed blobs: raw answers and lists of findings, compressed, each stored once under its SHA-256."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
import zlib
from pathlib import Path

from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.ledger.disk import Disk, make_folders
from wardkeep.ledger.entry import DIGEST
from wardkeep.ledger.tamper import Tampered

LARGEST_BLOB = 1 << 30  # bytes, uncompressed
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
        if len(data) > LARGEST_BLOB:
            raise BadInput(f"a blob holds at most {LARGEST_BLOB} bytes, not {len(data)}")
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        path = self.path(digest)
        with contextlib.suppress(BadInput, Tampered, Unavailable):
            if path.exists() and self.get(digest) == data:  # a rotten copy is written anew
                return digest
        # Outside the ledger's lock, so two processes may write the same blob: each beside it, either one wins.
        beside = self.folder / f".new-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            new = make_folders(self._disk, path.parent)
            self._disk.write(beside, zlib.compress(data, 6), 0o640)
            self._disk.replace(beside, path)
            for folder in {path.parent, *(made.parent for made in new)}:
                self._disk.sync_folder(folder)
        except OSError as e:
            with contextlib.suppress(OSError):
                self._disk.remove(beside)
            raise Unavailable(f"cannot write a blob: {e.strerror}", where=str(self.folder)) from None
        return digest

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
