"""The append-only ledger: entries in a Merkle tree, a signed checkpoint after each batch, blobs beside it.

What is in the ledger is decided by the checkpoint alone, which is replaced in one act after everything under it is on
the disk. Files beyond it (a killed writer's unacknowledged tail) are no part of the ledger: they are never read, and
removed when the ledger is next opened for writing.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.ledger.audit import audit
from wardkeep.ledger.blobs import Blobs
from wardkeep.ledger.disk import Disk, locked, make_folders, move_files, put_files, stage_files
from wardkeep.ledger.entry import check_entry, write_entry
from wardkeep.ledger.merkle import consistency_proof, inclusion_proof, root_over
from wardkeep.ledger.note import Checkpoint, Malformed, Signer, Verifier
from wardkeep.ledger.storage import Storage
from wardkeep.ledger.tamper import Tampered
from wardkeep.ledger.tiles import WIDTH, Edge, tile_path, write_bundle
from wardkeep.ledger.witness import Witness, seen_by

Clock = Callable[[], float]  # seconds since 1970, UTC


@dataclass(frozen=True)
class _Head:
    """The end of the ledger as this process last saw it."""

    raw: bytes
    edge: Edge
    tail: tuple[bytes, ...]  # the entries of the bundle that is not full
    last_at: str


class Ledger:
    """A ledger's folder. Safe to use from threads, and from many processes at once."""

    def __init__(
        self, folder: Path, witness: Witness | None, key: Path | None, disk: Disk, clock: Clock = time.time
    ) -> None:
        self.folder = folder
        self.blobs = Blobs(folder / "blobs", disk)
        self.storage = Storage(folder)
        self._witness, self._disk, self._clock = witness, disk, clock
        self._key = key or folder / "key"
        self._turn = threading.Lock()
        self._head: _Head | None = None
        self._seen: tuple[bytes, Checkpoint] | None = None
        self.verifier = self._read_verifier()

    @classmethod
    def create(
        cls,
        folder: Path | str,
        origin: str = "",
        *,
        witness: Path | str | None = None,
        key: Path | str | None = None,
        disk: Disk | None = None,
    ) -> Self:
        """A new, empty ledger with a new signing key (mode 0600). `origin` is its name, for ever.

        `witness` is a file outside the folder that remembers the last checkpoint; `key` a place for the signing key
        other than `folder/key`. Killed in the middle, it can be called again. Raises BadInput if there is a ledger.
        """
        folder, disk = Path(folder), disk or Disk()
        at = Path(key) if key else folder / "key"
        if (folder / "checkpoint").exists():
            raise BadInput("there is a ledger already", where=str(folder))
        if (folder / "tile").exists():
            raise Tampered("the checkpoint is missing beside a ledger's entries", where=str(folder))
        if witness and Path(witness).exists() and seen_by(Path(witness)):
            raise Tampered("the ledger is gone; the witness has seen entries of it", where=str(witness))
        try:
            for made in make_folders(disk, folder):
                disk.sync_folder(made.parent)
            if at.exists():
                signer = Signer.parse(at.read_text().strip())
            else:
                signer = Signer.generate(origin or f"wardkeep-{secrets.token_hex(4)}")
                put_files(disk, [(at, (signer.private_text() + "\n").encode())], 0o600)
            put_files(disk, [(folder / "key.pub", f"{signer.verifier}\n".encode())])
            empty = signer.sign(Checkpoint(signer.name, 0, Edge().root()).text())
            if witness:
                put_files(disk, [(Path(witness), empty)])
            put_files(disk, [(folder / "checkpoint", empty)])
        except OSError as e:
            raise Unavailable(f"cannot create the ledger: {e.strerror}", where=str(folder)) from None
        return cls.open(folder, witness=witness, key=key, disk=disk)

    @classmethod
    def open(
        cls,
        folder: Path | str,
        *,
        witness: Path | str | None = None,
        key: Path | str | None = None,
        disk: Disk | None = None,
        clock: Clock = time.time,
        accept_missing_witness: bool = False,
    ) -> Self:
        """The ledger in the folder, its end checked against its checkpoint and the witness.

        Raises BadInput if there is none, Tampered if its end is not what was signed or the witness has seen more.
        """
        folder = Path(folder)
        if not (folder / "checkpoint").exists():
            raise BadInput("there is no ledger here", where=str(folder))
        watch = Witness(Path(witness), accept_missing_witness) if witness else None
        made = cls(folder, watch, Path(key) if key else None, disk or Disk(), clock)
        with made._turn, locked(folder / "lock"):
            head = made._refresh()
            made._check_witness(head)
            made._discard_tail(head)
        made.blobs.sweep()
        return made

    # Reading

    @property
    def size(self) -> int:
        """How many entries there are now, whoever appended them."""
        return self.checkpoint().size

    @property
    def origin(self) -> str:
        return self.verifier.name

    def signed_checkpoint(self) -> bytes:
        """The signed note of the last checkpoint, as it lies on the disk."""
        return self._read_checkpoint()[0]

    def checkpoint(self) -> Checkpoint:
        """The last checkpoint, its signature verified. Raises Tampered if it is not ours or has gone back."""
        return self._read_checkpoint()[1]

    def _read_checkpoint(self) -> tuple[bytes, Checkpoint]:
        seen = self._seen  # before the file is read: another thread may see a later one in the meantime
        path = self.folder / "checkpoint"
        try:
            raw = path.read_bytes()
        except OSError as e:
            raise Unavailable(f"cannot read the checkpoint: {e.strerror}", where=str(path)) from None
        if seen and seen[0] == raw:
            return seen
        try:
            made = Checkpoint.parse(self.verifier.open(raw))
        except Malformed as e:
            raise Tampered(f"the checkpoint is {e.what}", where=str(path)) from None
        if made.origin != self.verifier.name:
            raise Tampered(f"the checkpoint is of another log, {made.origin}", where=str(path))
        if seen and made.size < seen[1].size:
            was = seen[1].size
            raise Tampered(f"the ledger was rolled back from {was} to {made.size} entries", where=str(path))
        self._seen = (raw, made)
        return self._seen

    def read(self, start: int = 0, end: int | None = None) -> Iterator[dict[str, Any]]:
        """Entries `[start, end)` with their "index". Raises Tampered at an entry that is not what was recorded."""
        for index, data in self.read_raw(start, end):
            yield {**json.loads(data), "index": index}

    def read_raw(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Entries `[start, end)` as (index, canonical bytes)."""
        size = self.size
        end = size if end is None else min(end, size)
        for n in range(max(start, 0) // WIDTH, (end + WIDTH - 1) // WIDTH):
            for i, data in enumerate(self.storage.bundle(n, size)):
                if start <= n * WIDTH + i < end:
                    yield n * WIDTH + i, data

    def inclusion(self, index: int) -> list[bytes]:
        """The proof that the entry is under the last checkpoint."""
        size = self.size
        return inclusion_proof(index, size, lambda level, at: self.storage.node(level, at, size))

    def consistency(self, old: int) -> list[bytes]:
        """The proof that the ledger of `old` entries is the beginning of this one."""
        size = self.size
        return consistency_proof(old, size, lambda level, at: self.storage.node(level, at, size))

    def root_at(self, size: int) -> bytes:
        """The root that the ledger had when it held `size` entries."""
        now = self.size
        return root_over(0, size, lambda level, at: self.storage.node(level, at, now))

    def verify(self) -> int:
        """Read everything: each entry, tile and blob, up to the signed root. Returns the number of entries; raises Tampered."""
        return audit(self.checkpoint(), self.storage, self.blobs)

    def sign(self, text: str) -> bytes:
        """A note over `text` by the ledger's key, which must not read as a checkpoint."""
        return self._signer().sign(text)

    def sign_at(self, size: int) -> bytes:
        """The checkpoint of the ledger's first `size` entries."""
        return self.sign(Checkpoint(self.origin, size, self.root_at(size)).text())

    def put_blob(self, data: bytes) -> str:
        """Store a blob; returns "sha256:<hex>". On the disk when this returns."""
        return self.blobs.put(data)

    def put_blobs(self, contents: Sequence[bytes]) -> list[str]:
        """Store many blobs much quicker than one by one; their digests in the same order. On the disk when this returns."""
        return self.blobs.put_all(contents)

    def get_blob(self, digest: str) -> bytes:
        return self.blobs.get(digest)

    # Writing

    def append(
        self, entries: Sequence[Mapping[str, Any]], guard: Callable[[], None] | None = None
    ) -> list[int]:
        """Append a batch, all or nothing; returns its indices once everything is on the disk and signed.

        `guard` runs under the lock before anything is written and may raise to refuse (a fenced-off worker).
        Raises BadInput for an entry of the wrong shape, Unavailable if the disk or the lock fails (then nothing was
        recorded, or the error says that it may have been), Tampered if the ledger on the disk is not ours any more.
        """
        checked = [check_entry(entry) for entry in entries]
        for entry in checked:
            for blob in entry["blobs"]:
                if not self.blobs.has(blob["digest"]):
                    raise BadInput("the entry names a blob that is not stored", where=blob["digest"])
        if not checked:
            return []
        with self._turn, locked(self.folder / "lock"):
            head = self._refresh()
            if guard:
                guard()
            leaves, before, behind = [], head.last_at, self._behind()
            for entry in checked:
                leaves.append(write_entry(entry, before, behind))
                before, behind = entry["at"], 0
            self._head = self._write(head, leaves, before)
            if self._witness:
                self._witness.advance(self._disk)
        return list(range(head.edge.size, head.edge.size + len(leaves)))

    def _behind(self) -> int:
        """Whole seconds by which this machine's clock lies before the last append: it was set back."""
        return max(0, int((self.folder / "checkpoint").stat().st_mtime - self._clock()))

    def _write(self, head: _Head, leaves: Sequence[bytes], last_at: str) -> _Head:
        edge, tail, files = head.edge.copy(), list(head.tail), dict[str, bytes]()
        for leaf in leaves:
            tail.append(leaf)
            for level, n, data in edge.hold(leaf):
                if level == 0:
                    files[tile_path("entries", n)] = write_bundle(tail)
                    tail = []
                files[tile_path(level, n)] = data
        kept = set(_partials(head.edge))
        if tail:
            files[tile_path("entries", edge.size // WIDTH, len(tail))] = write_bundle(tail)
        for level, n, data in edge.partial():
            if (name := tile_path(level, n, len(data) // 32)) not in kept:
                files[name] = data
        signer = self._signer()
        raw = signer.sign(Checkpoint(self.origin, edge.size, edge.root()).text())
        goal = self.folder / "checkpoint"
        try:
            todo = [(self.folder / name, data) for name, data in files.items()]
            signed = [(goal, raw), *([(self._witness.path, raw)] if self._witness else [])]
            grown = stage_files(self._disk, [*todo, *signed])
            move_files(self._disk, [path for path, _ in todo], grown)
            move_files(self._disk, [goal])
        except OSError as e:
            self._head = None
            if _reads(goal) == raw:  # signed and in its place, but perhaps not yet on the disk
                what = f"the ledger's disk failed ({e.strerror}) after the entries were signed: they may be recorded"
                raise Unavailable(what, where=str(self.folder), todo="Look at the last entries") from None
            for name in [*files, *(f"{name}.new" for name in (*files, "checkpoint"))]:
                with contextlib.suppress(OSError):
                    self._disk.remove(self.folder / name)
            raise Unavailable(
                f"cannot append to the ledger: {e.strerror}; nothing was recorded",
                where=str(self.folder),
                todo="Make room on the disk, or mend it, and try again",
            ) from None
        current = set(_partials(edge))
        with contextlib.suppress(OSError):  # what stays is swept at the next open
            for name in kept - current:
                self._disk.remove(self.folder / name)
        self._seen = (raw, Checkpoint(self.origin, edge.size, edge.root()))
        return _Head(raw, edge, tuple(tail), last_at)

    def _refresh(self) -> _Head:
        """The end of the ledger, read anew if another process has appended. Under the lock."""
        raw, now = self._read_checkpoint()
        if self._head and self._head.raw == raw:
            return self._head
        self.storage.forget()
        edge = self.storage.edge(now.size)
        if edge.root() != now.root:
            raise Tampered("the tiles do not lead to the signed root", where=str(self.folder / "tile"))
        last = self.storage.bundle((now.size - 1) // WIDTH, now.size) if now.size else []
        last_at = json.loads(last[-1])["at"] if last else ""
        self._head = _Head(raw, edge, tuple(last) if now.size % WIDTH else (), last_at)
        return self._head

    def _discard_tail(self, head: _Head) -> None:
        """Remove what lies beyond the checkpoint: the files of a writer that was killed before it was acknowledged."""
        edge = head.edge
        live = {tile_path(level, n, len(data) // 32): data for level, n, data in edge.partial()}
        if head.tail:
            live[tile_path("entries", edge.size // WIDTH, len(head.tail))] = write_bundle(head.tail)
        with contextlib.suppress(OSError):  # it is never read, so it may as well stay (a read-only folder)
            # A copy made while the ledger grew may hold only wider partial files: the right ones come first.
            missing = [(self.folder / name, data) for name, data in live.items()]
            put_files(self._disk, [(path, data) for path, data in missing if not path.exists()])
            for level in ("entries", *range(8)):
                n = edge.size >> 8 * ((level if isinstance(level, int) else 0) + 1)
                for at in range(max(n - 1, 0), n + 1 << 30):
                    full = self.folder / tile_path(level, at)
                    partial = full.with_name(full.name + ".p")
                    found = [*partial.iterdir()] if partial.is_dir() else []
                    beside = full.with_name(full.name + ".new")
                    if at > n and not found and not full.exists() and not beside.exists():
                        break
                    for path in (*found, *([full] if at >= n else []), beside):
                        if str(path.relative_to(self.folder)) not in live and path.exists():
                            self._disk.remove(path)
                    if found and at < n:
                        self._disk.remove_folder(partial)

    def _signer(self) -> Signer:
        try:
            signer = Signer.parse(self._key.read_text().strip())
        except OSError as e:
            raise Unavailable(
                f"cannot read the ledger's signing key: {e.strerror}", where=str(self._key)
            ) from None
        if signer.verifier != self.verifier:
            raise Tampered(
                "the signing key is not the one whose public half is kept beside it", where=str(self._key)
            )
        return signer

    def _read_verifier(self) -> Verifier:
        path = self.folder / "key.pub"
        try:
            return Verifier.parse(path.read_text().strip())
        except OSError as e:
            raise Unavailable(f"cannot read the verifier key: {e.strerror}", where=str(path)) from None
        except (Malformed, UnicodeDecodeError):
            raise Tampered("the verifier key cannot be read", where=str(path)) from None

    def _check_witness(self, head: _Head) -> None:
        if self._witness:
            self._witness.check(self.verifier, self.checkpoint(), self.root_at)
            self._keep_witness(head.raw)

    def _keep_witness(self, raw: bytes) -> None:
        if self._witness:
            self._witness.keep(self._disk, raw)


def _partials(edge: Edge) -> Iterator[str]:
    """Names of the partial files of a right edge."""
    for level, n, data in edge.partial():
        yield tile_path(level, n, len(data) // 32)
        if level == 0:
            yield tile_path("entries", n, len(data) // 32)


def _reads(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
