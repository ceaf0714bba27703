"""A second memory of the last checkpoint, outside the ledger's folder, so that a rolled-back folder is noticed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wardkeep.core.errors import Unavailable
from wardkeep.ledger.disk import Disk, beside, put_files
from wardkeep.ledger.note import Checkpoint, Malformed, Verifier, read_note
from wardkeep.ledger.tamper import Tampered


class Witness:
    """A file with the last signed checkpoint that this installation has seen."""

    def __init__(self, path: Path, accept_missing: bool = False) -> None:
        self.path, self._accept_missing = path, accept_missing

    def check(self, verifier: Verifier, now: Checkpoint, root_at: Callable[[int], bytes]) -> None:
        """Raises Tampered unless the ledger still holds everything that the witness has seen."""
        where = str(self.path)
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            if self._accept_missing:
                return
            raise Tampered(
                "the witness of the last checkpoint is missing, so a rollback could not be seen",
                where=where,
                todo="If you removed or restored it yourself, open the ledger once without it",
            ) from None
        except OSError as e:
            raise Unavailable(f"cannot read the witness: {e.strerror}", where=where) from None
        try:
            seen = Checkpoint.parse(verifier.open(raw))
        except Malformed:
            raise Tampered(
                "the witness holds no checkpoint signed by this ledger's key", where=where
            ) from None
        if seen.size > now.size:
            raise Tampered(
                f"the ledger was rolled back: it holds {now.size} entries, and {seen.size} were seen before",
                where=where,
                todo="Find out who restored or replaced the ledger's folder before you go on",
            )
        if root_at(seen.size) != seen.root:
            raise Tampered(f"the first {seen.size} entries are not those that were seen before", where=where)

    def advance(self, disk: Disk) -> None:
        """Put the staged checkpoint in place. Not synced: after a loss of power it may be the one before, which is true too."""
        try:
            disk.replace(beside(self.path), self.path)
        except OSError as e:
            what = f"the entries are recorded, but the witness cannot be written: {e.strerror}"
            raise Unavailable(what, where=str(self.path)) from None

    def keep(self, disk: Disk, raw: bytes) -> None:
        """Remember the checkpoint. Raises Unavailable."""
        try:
            if not self.path.exists() or self.path.read_bytes() != raw:
                put_files(disk, [(self.path, raw)])
        except OSError as e:
            raise Unavailable(f"the witness cannot be written: {e.strerror}", where=str(self.path)) from None


def seen_by(path: Path) -> int:
    """How many entries the witness file says it has seen (its signature is not looked at); 1 if it cannot be read."""
    try:
        return Checkpoint.parse(read_note(path.read_bytes())[0]).size
    except (OSError, Malformed):
        return 1
