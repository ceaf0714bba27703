"""Making an evidence pack: the entries of a range with everything a stranger needs to check them without us.

The file is a gzip'd tar written in exactly one way, so the same ledger and range always give the same bytes. Proofs are
tiles: those that lead from the signed root to each entry (inclusion), and those that lead to the root of the earlier
checkpoint (consistency). The layout is described in docs/ledger.md and read by verify.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.ledger.ledger import Ledger
from wardkeep.ledger.note import Checkpoint, read_note
from wardkeep.ledger.oscal import Json, assessment_results
from wardkeep.ledger.page import facts_of, write_head, write_row, write_tail
from wardkeep.ledger.selection import Summary, concerns
from wardkeep.ledger.tamper import Tampered
from wardkeep.ledger.tiles import WIDTH, tile_path
from wardkeep.ledger.verify import tar_header

README = """An evidence pack of Wardkeep

{facts}

index.html               what is in here, to read or print
entries/*.jsonl          the entries: one a line, with its index
blobs/<sha256>           what the entries name: raw answers, lists of findings
assessment-results.json  the assessments as OSCAL Assessment Results
checkpoint               the signed root over all entries of the ledger
checkpoint-before        an earlier root, whose entries are the beginning of this one's
tile/                    the hashes between the root and the entries (C2SP tlog-tiles, RFC 6962)
manifest                 what belongs in here, signed
key.pub                  the key that signed, by its own word

Check it, offline:       wardkeep evidence verify THIS-FILE --key KEY
or with Wardkeep's one file verify.py:  python verify.py THIS-FILE --key KEY
Take the verifier and the key from somewhere else than this pack: whoever forged a pack
would forge its key too. Keep the checkpoint; next time, give it by --previous.
"""


@dataclass(frozen=True, slots=True)
class Exported:
    """What went into a pack."""

    path: Path
    entries: int
    blobs: int
    left_out: int
    start: int
    end: int
    size: int


def export(
    ledger: Ledger,
    out: Path | str,
    start: int = 0,
    end: int | None = None,
    control: str | None = None,
    *,
    previous: bytes | None = None,
    titles: Mapping[str, str] | None = None,
) -> Exported:
    """Write the pack of entries `[start, end)` to `out`, which is replaced in one act.

    `control` leaves out entries that do not concern it; the pack says how many. `previous` is a signed checkpoint that
    the reader already holds: the pack then reaches back to it; otherwise to the ledger of `start` entries. `titles` names
    the rows. Raises BadInput for an impossible range, Tampered if the ledger is not what was signed, Unavailable if
    the disk fails.
    """
    head, signed = ledger.checkpoint(), ledger.signed_checkpoint()
    end = head.size if end is None else end
    if not 0 <= start <= end <= head.size:
        raise BadInput(f"the ledger has entries 0 to {head.size - 1}; {start} to {end - 1} is no range of it")
    out = Path(out)
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".pack-") as folder:
            made = _Packing(ledger, head, signed, start, end, control or "", previous)
            with open(Path(folder) / "pack", "wb") as file:
                exported = made.write(out, file, Path(folder), titles or {})
                file.flush()
                os.fsync(file.fileno())
            os.replace(Path(folder) / "pack", out)
    except OSError as e:
        raise Unavailable(f"cannot write the pack: {e.strerror}", where=str(out)) from None
    return exported


def _size_of(previous: bytes) -> int:
    try:
        return Checkpoint.parse(read_note(previous)[0]).size
    except BadInput as e:
        raise BadInput(
            f"is no checkpoint ({e.what})",
            where="--previous",
            todo="Give the file `checkpoint` of an earlier pack.",
        ) from None


class _Packing:
    def __init__(
        self,
        ledger: Ledger,
        head: Checkpoint,
        signed: bytes,
        start: int,
        end: int,
        control: str,
        previous: bytes | None,
    ) -> None:
        self.ledger, self.head, self.signed = ledger, head, signed
        self.start, self.end, self.control = start, end, control
        if previous is None:
            self.before = ledger.sign_at(start)
            self.before_size = start
        else:
            self.before, self.before_size = previous, _size_of(previous)
            if self.before_size > head.size:
                raise Tampered(
                    f"the previous checkpoint has {self.before_size} entries, the ledger only {head.size}"
                )
        self.files: list[list[str | int]] = []  # name, size, digest, in the pack's order
        self.included: list[list[int]] = []
        self.blobs: set[str] = set()
        self.left_out = 0

    def write(self, out: Path, file: BinaryIO, folder: Path, titles: Mapping[str, str]) -> Exported:
        key = str(self.ledger.verifier)
        bundles, summary = self._survey(folder / "rows")
        facts = facts_of(self.head, self.start, self.end, summary, self.left_out, key)
        with (
            open(folder / "page", "w", encoding="utf-8") as page,
            open(folder / "rows", encoding="utf-8") as rows,
        ):
            write_head(page, summary, facts, titles)
            for line in rows:
                page.write(line)
            write_tail(page)
        oscal = assessment_results(self.head, self.start, self.end, summary, self._findings)
        readme = README.format(facts="\n".join(f"{label + ':':<12} {text}" for label, text in facts.items()))
        small = {
            "checkpoint": self.signed,
            "checkpoint-before": self.before,
            "key.pub": f"{key}\n".encode(),
            "README.txt": readme.encode(),
            "assessment-results.json": json.dumps(oscal, indent=1, ensure_ascii=False).encode() + b"\n",
        }
        for name, data in small.items():
            self._list(name, data)
        self._list_page(folder / "page")
        upper, leaves = self._tiles()
        for name, data in upper:
            self._list(name, data)
        for n in sorted({*leaves, *bundles}):
            if n in leaves:
                self._list(*leaves[n])
            if n in bundles:
                self.files.append(bundles[n])
        tar = _Tar(file)
        tar.add("manifest", self._manifest(summary))
        for name, data in small.items():
            tar.add(name, data)
        tar.copy("index.html", folder / "page")
        for name, data in upper:
            tar.add(name, data)
        for n in sorted({*leaves, *bundles}):
            if n in leaves:
                tar.add(*leaves[n])
            if n in bundles:
                tar.add(_entries_name(n), self._lines(n, None))
        for digest in sorted(self.blobs):
            tar.add(f"blobs/{digest.removeprefix('sha256:')}", self.ledger.get_blob(digest))
        tar.close()
        return Exported(
            out, summary.entries, len(self.blobs), self.left_out, self.start, self.end, self.head.size
        )

    def _survey(self, rows: Path) -> tuple[dict[int, list[str | int]], Summary]:
        """Read the range once: what is in it, each entries file's digest, the blobs, and the page's table."""
        summary, bundles = Summary(self.control), dict[int, list[str | int]]()
        with open(rows, "w", encoding="utf-8") as out:
            for n in range(self.start // WIDTH, -(-self.end // WIDTH)):
                data = self._lines(n, (summary, out))
                if data:
                    bundles[n] = [_entries_name(n), len(data), hashlib.sha256(data).hexdigest()]
        return bundles, summary

    def _lines(self, n: int, survey: tuple[Summary, TextIO] | None) -> bytes:
        """The entries file of bundle n; "" if nothing of it is in the pack."""
        lines = []
        low, high = max(self.start, n * WIDTH), min(self.end, (n + 1) * WIDTH)
        for index, data in self.ledger.read_raw(low, high):
            entry: dict[str, Any] = json.loads(data) if self.control or survey else {}
            if self.control and not concerns(entry, self.control):
                self.left_out += survey is not None
                continue
            lines.append(b'{"index":%d,"entry":%b}\n' % (index, data))
            if survey:
                survey[0].add(index, entry)
                write_row(survey[1], index, entry)
                self.blobs.update(blob["digest"] for blob in entry["blobs"])
                if self.included and self.included[-1][1] == index:
                    self.included[-1][1] = index + 1
                else:
                    self.included.append([index, index + 1])
        return b"".join(lines)

    def _tiles(self) -> tuple[list[tuple[str, bytes]], dict[int, tuple[str, bytes]]]:
        """The tiles of the right edge and those above the leaves, in the order of trust; and the full tiles of leaves."""
        edge = _edge(self.head.size)
        wanted = {(0, n) for low, high in self.included for n in range(low // WIDTH, (high - 1) // WIDTH + 1)}
        wanted |= set(_edge(self.before_size))
        for level in range(
            7
        ):  # a full tile is trusted through the one above it, up to the edge, which the root settles
            wanted |= {(level + 1, n // WIDTH) for at, n in wanted if at == level and (at, n) not in edge}
        inner = sorted(wanted - set(edge), key=lambda at: (-at[0], at[1]))
        upper = [self._tile(at) for at in (*edge, *(at for at in inner if at[0]))]
        return upper, {n: self._tile((level, n)) for level, n in inner if level == 0}

    def _tile(self, at: tuple[int, int]) -> tuple[str, bytes]:
        data = self.ledger.storage.tile(*at, self.head.size)
        return tile_path(*at, len(data) // 32), data

    def _manifest(self, summary: Summary) -> bytes:
        manifest = {
            "origin": self.head.origin,
            "start": self.start,
            "end": self.end,
            "size": self.head.size,
            "control": self.control,
            "included": self.included,
            "left_out": self.left_out,
            "entries": summary.entries,
            "before": self.before_size,
            "files": self.files,
        }
        return self.ledger.sign("wardkeep-pack/1\n" + json.dumps(manifest, separators=(",", ":")) + "\n")

    def _findings(self, digest: str) -> list[Json]:
        try:
            found = json.loads(self.ledger.get_blob(digest))
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise Tampered("the findings of an assessment cannot be read", where=digest)
        return found

    def _list(self, name: str, data: bytes) -> None:
        self.files.append([name, len(data), hashlib.sha256(data).hexdigest()])

    def _list_page(self, path: Path) -> None:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.files.append(["index.html", path.stat().st_size, digest])


def _edge(size: int) -> list[tuple[int, int]]:
    """The tiles (level, n) that are not full in a tree of `size` leaves, highest level first."""
    return [(level, size >> 8 * level + 8) for level in reversed(range(8)) if (size >> 8 * level) % WIDTH]


def _entries_name(n: int) -> str:
    return f"entries/{n:09d}.jsonl"


class _Tar:
    """Writes files one after the other into a gzip stream that depends on nothing but them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._deflate = file, zlib.compressobj(6, zlib.DEFLATED, 31)

    def add(self, name: str, data: bytes) -> None:
        self._write([tar_header(name, len(data)), data, bytes(-len(data) % 512)])

    def copy(self, name: str, path: Path) -> None:
        size = path.stat().st_size
        self._write([tar_header(name, size)])
        with open(path, "rb") as file:
            self._write(_pieces(file))
        self._write([bytes(-size % 512)])

    def close(self) -> None:
        self._write([bytes(1024)])
        self._file.write(self._deflate.flush())

    def _write(self, parts: Iterable[bytes]) -> None:
        for part in parts:
            self._file.write(self._deflate.compress(part))


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while part := file.read(1 << 18):
        yield part
