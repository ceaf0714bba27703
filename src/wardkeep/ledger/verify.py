#!/usr/bin/env python3
"""Verifies a Wardkeep evidence pack, alone and offline: Python's standard library and one signature check.

A pack is a gzip'd tar: a signed manifest; a signed checkpoint, which is the root of a Merkle tree over all entries of the
ledger; tiles of hashes between that root and the entries; the entries; the blobs that they name. Shown is: (1) manifest and
checkpoint are signed by the key; (2) the tiles lead to the signed root (RFC 6962, C2SP tlog-tiles); (3) each entry has the
hash that the tree holds at its index, and none is missing; (4) each blob has the hash by which an entry names it; (5) the
tree of an earlier checkpoint is the beginning of this one; (6) every other file has its signed digest.
NOT shown is that the key is the right one: who forges a pack chooses its key. Get it another way and give it by --key.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import re
import sys
import zlib
from bisect import bisect
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from functools import reduce
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MOST_BYTES = 64 << 30  # of the unpacked pack
MOST_RATIO = 200  # unpacked to packed, from 64 MiB on; bombs come close to deflate's own limit of 1,032
MOST_SMALL = 32 << 20  # bytes of a file that is held in memory
MOST_PROBLEMS, MOST_GONE = 1000, 1 << 18  # told; looked for as removed
LINE = re.compile(rb'\{"index":(0|[1-9][0-9]{0,15}),"entry":(\{.*\})\}')
TILE = re.compile(r"tile/([0-7])/((?:x[0-9]{3}/){0,4}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")
ENTRIES = re.compile(r"entries/([0-9]{9})\.jsonl")
BLOB = re.compile(r"blobs/([0-9a-f]{64})")


class NotAPack(Exception):
    """The file is no pack, or one that we refuse to read on."""


class Damaged(Exception):
    """The pack ends too early, or its bytes are not a gzip'd tar as we write it."""


@dataclass
class Report:
    """What was found. `start` to `end` is the range of the pack, `size` and `root` are the ledger's at the checkpoint."""

    verified: bool = False
    entries: int = 0
    blobs: int = 0
    start: int = 0
    end: int = 0
    size: int = 0
    root: str = ""
    key: str = ""
    key_trusted: bool = False  # given by the reader, not only by the pack
    control: str = ""
    left_out: int = 0
    problems: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """For a person: the answer first."""
        lines = ["Verified: all in this pack is what was signed." if self.verified else "NOT verified:"]
        lines += [f"  ▲ {problem['where']}: {problem['what']}" for problem in self.problems]
        lines += [f"{self.entries} entries, from {self.start} to before {self.end}, and {self.blobs} blobs"]
        lines += [f"Root  {self.root}\nKey   {self.key}", *(f"Note: {note}." for note in self.notes)]
        return "\n".join(lines)

    def wrong(self, where: str, what: str) -> None:
        found = {"what": what, "where": where}
        if len(self.problems) < MOST_PROBLEMS and found not in self.problems:
            self.problems.append(found)


def open_note(raw: bytes, key_text: str) -> str:
    """The text that the key signed. Raises ValueError, whose words go on after the note's name."""
    others = []
    try:
        text, _, signatures = raw.decode().rpartition("\n\n")
        name, _, key = key_text.split("+", 2)
        public = base64.b64decode(key, validate=True)  # 1 for Ed25519, then 32 bytes
        key_id = sha(name.encode(), b"\n", public)[:4]
        for line in signatures.removesuffix("\n").split("\n"):
            dash, signer, data = line.split(" ")
            signature = base64.b64decode(data, validate=True)
            if dash != "—" or base64.b64encode(signature).decode() != data or signatures[-1] != "\n":
                raise ValueError
            if (signer, signature[:4]) == (name, key_id) and public[:1] == b"\1":
                Ed25519PublicKey.from_public_bytes(public[1:]).verify(signature[4:], f"{text}\n".encode())
                return f"{text}\n"
            others.append(f"{signer}+{signature[:4].hex()}")
    except InvalidSignature:
        raise ValueError("was changed after it was signed") from None
    except ValueError:
        raise ValueError("cannot be read as a signed note") from None
    raise ValueError(f"is signed by another key ({', '.join(others)[:200]})")


class Pack:
    """Reads the pack's files one after the other, in flat memory, whatever the bytes are."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._tar = file, gzip.GzipFile(fileobj=file, mode="rb")
        self._unpacked = self._rest = 0
        self.name = "its beginning"

    def files(self) -> Iterator[str]:
        """Each file's name; what the caller has not read of it is passed over."""
        while (block := self._take(512)) != bytes(512):
            name, size = block[:100].rstrip(b"\0").decode("ascii", "replace"), block[124:135]
            if not re.fullmatch(rb"[0-7]{11}", size) or tar_header(name, int(size, 8)) != block:
                raise Damaged("has a file header that we would not write")
            self.name, self._rest = name, int(size, 8)
            padding = -self._rest % 512
            yield name
            for _ in self.chunks():
                pass
            if self._take(padding).strip(b"\0"):
                raise Damaged("hides something behind a file")
        if self._take(512) != bytes(512) or self._take(1, may_end=True):
            raise Damaged("goes on after its end")

    def chunks(self, most: int = MOST_BYTES) -> Iterator[bytes]:
        if self._rest > most:
            raise NotAPack(f"holds a file of {self._rest} bytes where at most {most} are expected")
        while self._rest:
            part = self._take(min(self._rest, 1 << 18))
            self._rest -= len(part)
            yield part

    def _take(self, count: int, may_end: bool = False) -> bytes:
        try:
            data = self._tar.read(count)
        except (EOFError, gzip.BadGzipFile, zlib.error) as e:
            raise Damaged("is cut short" if isinstance(e, EOFError) else "is damaged") from None
        self._unpacked += len(data)
        if self._unpacked > min(MOST_BYTES, max(64 << 20, MOST_RATIO * self._file.tell())):
            raise NotAPack(f"unpacks to more than we read on for ({self._unpacked} bytes so far)")
        if len(data) < count and not may_end:
            raise Damaged("is cut short")
        return data


def tar_header(name: str, size: int) -> bytes:
    """The one ustar header that a file of this name and size has in a pack."""
    head = name.encode("ascii", "replace")[:100].ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2
    head = head + b"%011o\0" % size + b"00000000000\0" + b" " * 8 + b"0" + bytes(100) + b"ustar\x0000"
    head = head.ljust(512, b"\0")
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def top(tile: bytes) -> bytes:
    """The root over a power of two of hashes."""
    half = len(tile) // 2
    return tile if half == 16 else sha(b"\1", top(tile[:half]), top(tile[half:]))


def peaks(tile: bytes) -> list[bytes]:
    """The roots of the whole subtrees over a tile's hashes, left to right."""
    widths = [32 << bit for bit in reversed(range(9)) if len(tile) & 32 << bit]
    return [top(tile[sum(widths[:i]) :][:width]) for i, width in enumerate(widths)]


def edge(size: int) -> list[tuple[int, int]]:
    """The tiles (level, n) at the right edge of a tree of `size` leaves, highest first: they alone make its root."""
    return [(level, size >> 8 * level + 8) for level in reversed(range(8)) if (size >> 8 * level) % 256]


class Verification:
    """One walk through a pack, in the order in which trust is passed on: signatures, root, tiles, entries, blobs."""

    def __init__(self, key: str, previous: bytes) -> None:
        self.report, self._key = Report(key_trusted=bool(key)), key.strip()
        self._small = {"--previous": previous}  # and the manifest, the checkpoints, the key
        self._named: set[bytes] = set()  # digests of blobs that entries name, until the blob comes
        self._gone: list[tuple[int, bytes, str]] = []  # entries not in their place: index, hash, what
        self._strange: dict[bytes, str] = {}  # hash of an entry that stands where it should not: where
        self._tiles: dict[tuple[int, int], bytes] = {}  # by (level, n); few of the lowest level, see _leaves
        self._leaves: dict[int, bytes] = {}  # the tile of leaves at the right edge, and the last that came

    def run(self, pack: Pack) -> Report:
        files, wrong = pack.files(), self.report.wrong
        try:
            self._read_manifest(b"".join(pack.chunks(MOST_SMALL)) if next(files) == "manifest" else b"")
        except (Damaged, StopIteration):
            raise NotAPack("is no Wardkeep evidence pack") from None
        waiting = dict(self._listed)
        try:
            for name in files:
                if BLOB.fullmatch(name):
                    self._take_blob(name, pack)
                elif waiting.pop(name, None):
                    self._take_file(name, pack)
                else:
                    wrong(name, "a file that does not belong here, or not twice, was inserted")
        except Damaged as e:
            wrong(f"in {pack.name}", f"the pack {e}")
        self._check_signatures()
        for name in waiting:
            wrong(name, "the file was removed")
            if (entries := ENTRIES.fullmatch(name)) and len(self._gone) < MOST_GONE:
                self._gone += [(i, b"", "removed") for i in self._indices(int(entries[1]))]
        self._finish()
        return self.report

    def _read_manifest(self, raw: bytes) -> None:
        self._small["manifest"], r = raw, self.report
        try:
            head, m = (line := raw.decode().split("\n"))[0], json.loads(line[1])
            self._listed = {str(name): (int(size), str(digest)) for name, size, digest in m["files"]}
            r.start, r.end, r.size = int(m["start"]), int(m["end"]), int(m["size"])
            r.control, self._earlier = str(m["control"]), {"checkpoint-before": int(m["before"])}
            self._bounds = [int(bound) for span in m["included"] for bound in span]  # start, end, start...
            r.left_out = r.end - r.start - sum(self._bounds[1::2]) + sum(self._bounds[::2])
            if previous := self._small["--previous"].decode():
                self._earlier["--previous"] = int(previous.split("\n")[1])
            order = [0, r.start, *self._bounds, r.end, r.size, 1 << 53]
            if head != "wardkeep-pack/1" or order != sorted(order) or (r.left_out and not r.control):
                raise ValueError
        except (ValueError, KeyError, TypeError, IndexError, RecursionError, OverflowError):
            raise NotAPack("has no manifest that can be read (or --previous is no checkpoint)") from None
        self._kept = {at for n in (r.size, *self._earlier.values()) if n <= r.size for at in edge(n)}

    def _indices(self, n: int) -> list[int]:
        """The indices that the entries file n should hold: those of its 256 that lie inside a span of the pack."""
        return [i for i in range(256 * n, 256 * n + 256) if bisect(self._bounds, i) % 2]

    def _take_file(self, name: str, pack: Pack) -> None:
        size, digest, held = 0, hashlib.sha256(), b""
        for part in pack.chunks(MOST_BYTES if (big := name.endswith((".html", ".json"))) else MOST_SMALL):
            digest.update(part)
            size, held = size + len(part), held if big else held + part
        whole = self._listed[name] == (size, digest.hexdigest())
        if tile := TILE.fullmatch(name):
            self._take_tile(name, int(tile[1]), int(re.sub("[x/]", "", tile[2])), held, whole)
        elif entries := ENTRIES.fullmatch(name):
            self._take_entries(name, int(entries[1]), held, whole)
        elif name in ("checkpoint", "checkpoint-before", "key.pub"):
            self._small[name] = held
        if not whole and not name.startswith("entries/"):  # of those, each changed entry is named
            self.report.wrong(name, "the file was changed")

    def _take_tile(self, name: str, level: int, n: int, data: bytes, whole: bool) -> None:
        """A tile has its length and, when full, the hash that the tile above it says; partial ones make the root."""
        if (level, n) not in edge(size := self.report.size):
            self._check_signatures()
        width = min(256, (size >> 8 * level) - 256 * n)
        above = self._tiles.get((level + 1, n // 256), b"")[n % 256 * 32 :][:32]
        whole_tile = len(data) == 32 * width > 0 and (width < 256 or peaks(data) == [above])
        if not whole_tile or (level, n) in self._tiles:
            whole = False
            self.report.wrong(name, "the hashes do not lead to the signed root")
        if level or (level, n) in self._kept:
            self._tiles[level, n] = data[:8192]
        if not level:
            self._leaves = {size >> 8: self._leaves.get(size >> 8, b""), n: data if whole else b""}

    def _root(self, size: int) -> bytes:
        """The root over the first `size` leaves. Raises ValueError where a tile for it is not in the pack."""
        if not all(at in self._tiles for at in edge(size)):
            raise ValueError(f"cannot be compared: ask for a pack that reaches back to entry {size}")
        parts = [p for at in edge(size) for p in peaks(self._tiles[at][: (size >> 8 * at[0]) % 256 * 32])]
        return reduce(lambda root, part: sha(b"\1", part, root), reversed(parts)) if parts else sha()

    def _check_signatures(self) -> None:
        """Once the tiles of the right edge have come, which make the root: everything else hangs on it."""
        r = self.report
        if r.root:
            return
        inside = self._small.get("key.pub", b"").decode("ascii", "replace").strip()
        r.key = self._key or inside
        if r.key != inside:
            r.wrong("key.pub", "the pack's key is not the one you trust")
        for at in edge(r.size):
            self._tiles.setdefault(at, b"")
        r.root = self._root(r.size).hex()
        self._check_note("manifest", None)
        self._check_note("checkpoint", r.size)

    def _check_note(self, name: str, size: int | None) -> None:
        """The note is signed by the key, and if it is the checkpoint of `size` entries, it says the root that we see."""
        try:
            text = open_note(self._small.get(name, b""), self.report.key)
            if size is not None:
                root = base64.b64encode(self._root(size)).decode()
                if text != f"{self.report.key.split('+')[0]}\n{size}\n{root}\n":
                    raise ValueError(f"does not sign the {size} entries that lead to this pack's root")
        except ValueError as e:
            self.report.wrong(name, f"the {name.strip('-')} {e}")

    def _take_entries(self, name: str, n: int, data: bytes, whole: bool) -> None:
        found: list[tuple[int, bytes]] = []
        for line in data.split(b"\n")[:-1]:
            match = LINE.fullmatch(line)
            found.append((int(match[1]), sha(b"\0", match[2])) if match else (-1, sha(b"\0", line)))
            try:
                entry = json.loads(line)["entry"]
                self._named.update(bytes.fromhex(blob["digest"][7:]) for blob in entry["blobs"])
                if "clock" in entry and len(notes := self.report.notes) < 100:
                    notes.append(f"at entry {found[-1][0]} the clock was {str(entry['clock'])[:60]}")
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                self.report.wrong(f"entry {found[-1][0]}", "the entry cannot be read")
        self.report.entries += len(found)
        expected = [(i, self._leaves.get(n, b"")[i % 256 * 32 :][:32]) for i in self._indices(n)]
        if not self._leaves.get(n):
            self.report.wrong(name, "its entries cannot be checked: their hashes were changed or removed")
        elif found != expected:
            self._compare(expected, found[:1024], name)
        elif not whole:
            self.report.wrong(name, "the file was changed around its entries")

    def _compare(self, expected: list[tuple[int, bytes]], found: list[tuple[int, bytes]], name: str) -> None:
        """Note each entry that is not in its place, and each that stands where it should not."""
        should_be, are = [digest for _, digest in expected], [digest for _, digest in found]
        for tag, a, b, c, d in SequenceMatcher(None, should_be, are, autojunk=False).get_opcodes():
            after = f"after entry {expected[b - 1][0]}" if b else f"at the beginning of {name}"
            for should, stands in zip_longest(expected[a:b], found[c:d]):
                if tag == "equal" and should[0] != stands[0]:
                    self.report.wrong(f"entry {should[0]}", f"the entry was renumbered to {stands[0]}")
                elif tag != "equal" and len(self._gone) + len(self._strange) < MOST_PROBLEMS:
                    if should:
                        self._gone.append((*should, "changed" if stands else "removed"))
                    if stands:
                        self._strange[stands[1]] = "" if should else after

    def _take_blob(self, name: str, pack: Pack) -> None:
        digest, wanted = hashlib.sha256(), bytes.fromhex(name[6:])
        for part in pack.chunks():
            digest.update(part)
        self.report.blobs += 1
        if digest.digest() != wanted:
            self.report.wrong(name, "the blob was swapped or changed: its content is not what its name says")
        if wanted not in self._named:
            self.report.wrong(name, "a blob that no entry here names was inserted")
        self._named.discard(wanted)

    def _finish(self) -> None:
        r, last = self.report, self.report.end
        for index, digest, what in sorted(self._gone, reverse=True):
            if digest in self._strange:
                what = "moved (reordered)"
            elif what == "removed" and index == last - 1:
                last, what = index, "removed (the range is truncated)"
            r.wrong(f"entry {index}", f"the entry was {what}")
        gone = {digest for _, digest, _ in self._gone}
        for where in (where for digest, where in self._strange.items() if where and digest not in gone):
            r.wrong(where, "an entry was inserted")
        for digest in sorted(self._named)[:MOST_PROBLEMS]:
            r.wrong(f"blobs/{digest.hex()}", "a blob that an entry names was removed")
        for name, size in self._earlier.items():
            if size > r.size:
                r.wrong(name, f"the ledger was rolled back: it had {size} entries, and now {r.size}")
            else:
                self._check_note(name, size)
        if not r.problems and r.entries != r.end - r.start - r.left_out:
            r.wrong("manifest", "it does not name the files of all entries")
        left_out = f"{r.left_out} entries are left out as not about {r.control}; that is the platform's word"
        own_word = "the key is the pack's own word: compare it with one you got another way (--key)"
        r.notes += [left_out] * bool(r.left_out) + [own_word] * (not r.key_trusted)
        r.verified = not r.problems


def verify_pack(path: str, key: str = "", previous: bytes = b"") -> Report:
    """Verify the pack, by a key that you trust and a checkpoint that you kept. Raises NotAPack, OSError."""
    with open(path, "rb") as file:
        return Verification(key, previous).run(Pack(file))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(epilog="Exit status: 0 verified, 1 not what was signed, 2 no pack.")
    parser.add_argument("pack")
    parser.add_argument("--key", default="", help="the verifier key that you trust: name+id+base64")
    parser.add_argument("--previous", default="", help="a file with a checkpoint that you kept from before")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    try:
        previous = Path(given.previous).read_bytes() if given.previous else b""
        report = verify_pack(given.pack, given.key, previous)
    except (NotAPack, OSError) as e:
        print(f"{given.pack}: {e}" if isinstance(e, NotAPack) else e, file=sys.stderr)
        return 2
    print(json.dumps(asdict(report), indent=1) if given.json else report)
    return 0 if report.verified else 1


if __name__ == "__main__":
    sys.exit(main())
