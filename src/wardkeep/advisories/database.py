"""The local database, read only: claims by package, flaws by number or name, the health of its feeds."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import msgspec

from wardkeep.advisories.build import CHUNK, FORMAT, PLUGIN, StoredFlaw, place_text
from wardkeep.advisories.packages import PackageRows, unpack
from wardkeep.core.errors import Unavailable

BLOCK = msgspec.msgpack.Decoder(list[tuple[str, bytes]])
FLAWS = msgspec.msgpack.Decoder(list[StoredFlaw])
UPDATE = "Run `wardkeep vulns update`, or `wardkeep vulns update --from FOLDER` where there is no network."
FEW = 16  # questions for a flaw's other names
HELD = 4096  # packages, and blocks of each kind, kept in memory


@dataclass(frozen=True, slots=True)
class FeedState:
    """One feed in the database. `taken` is when its data were got or, for a folder, of when they are; UTC."""

    name: str
    title: str
    entries: int
    newest: str
    taken: datetime | None
    is_stale: bool


class Database:
    """One file. Usable from one thread; opening it costs a millisecond. `stamp` changes when another file takes its place."""

    def __init__(self, path: Path) -> None:
        """Raises Unavailable, in one line with what to do, when it is not there or not readable."""
        self.path = path
        if not path.is_file():
            raise Unavailable("there is no advisory database", where=str(path), todo=UPDATE)
        try:
            self.stamp = path.stat().st_mtime_ns
            self._db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
            self.meta = dict(self._db.execute("SELECT name, value FROM meta").fetchall())
            self.feed_names = dict(self._db.execute("SELECT id, name FROM feed").fetchall())
        except (OSError, sqlite3.Error) as e:
            raise Unavailable(
                f"the advisory database cannot be read: {e}", where=str(path), todo=UPDATE
            ) from None
        if self.meta.get("format") != FORMAT:
            raise Unavailable("the advisory database is of another version", where=str(path), todo=UPDATE)
        self._packages: dict[str, PackageRows | None] = {}
        self._blocks: dict[int, dict[str, bytes]] = {}
        self._chunks: dict[int, list[StoredFlaw]] = {}
        self._aliases: dict[int, list[str]] | None = None
        self._asked_aliases = 0

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def package(self, ecosystem: str, name: str) -> PackageRows | None:
        """What is claimed of a package; None when nothing is."""
        place = place_text((ecosystem, name))
        if place not in self._packages:
            if len(self._packages) >= HELD:
                self._packages.clear()
            row = self._db.execute(
                "SELECT start, data FROM packages WHERE first <= ? ORDER BY first DESC LIMIT 1", (place,)
            ).fetchone()
            held = self._block(*row) if row else {}
            self._packages[place] = unpack(ecosystem, held[place]) if place in held else None
        return self._packages[place]

    def flaw(self, number: int) -> StoredFlaw:
        return self._chunk(number // CHUNK * CHUNK)[number % CHUNK]

    def numbers(self, name: str) -> list[int]:
        """The flaws called so: by their own name, or by an alias or an advisory's number; empty when none is."""
        row = self._db.execute(
            "SELECT first FROM flaws WHERE name <= ? ORDER BY name DESC LIMIT 1", (name,)
        ).fetchone()
        found = [row[0] + i for i, one in enumerate(self._chunk(row[0])) if one.id == name] if row else []
        aliases = self._db.execute("SELECT flaw FROM alias WHERE name = ?", (name,)).fetchall()
        return sorted({*found, *(number for (number,) in aliases)})

    def aliases(self, number: int) -> list[str]:
        """Its other names. They are not indexed by flaw: from some number of questions on, all of them are read at once."""
        self._asked_aliases += 1
        if self._aliases is None and self._asked_aliases > FEW:
            self._aliases = self.all_aliases()
        if self._aliases is not None:
            return self._aliases.get(number, [])
        return [
            n for (n,) in self._db.execute("SELECT name FROM alias WHERE flaw = ? ORDER BY name", (number,))
        ]

    def all_aliases(self) -> dict[int, list[str]]:
        made: dict[int, list[str]] = {}
        for name, number in self._db.execute("SELECT name, flaw FROM alias ORDER BY name"):
            made.setdefault(number, []).append(name)
        return made

    def packages_of(self, number: int) -> list[tuple[str, str]]:
        """The packages (ecosystem, name) that any claim about the flaw names."""
        found = []
        for at in self.flaw(number).packages:
            start, data = self._db.execute(
                "SELECT start, data FROM packages WHERE start <= ? ORDER BY start DESC LIMIT 1", (at,)
            ).fetchone()
            ecosystem, _, name = list(self._block(start, data))[at - start].partition("\t")
            found.append((ecosystem, name))
        return found

    def ecosystems(self) -> dict[str, int]:
        """Each ecosystem with how many of its packages have claims."""
        told: dict[str, int] = json.loads(self.meta["ecosystems"])
        return told

    def flaws(self) -> Iterator[StoredFlaw]:
        for (data,) in self._db.execute("SELECT data FROM flaws ORDER BY first"):
            yield from FLAWS.decode(zlib.decompress(data))

    def feeds(self, now: datetime) -> list[FeedState]:
        made = []
        for name, plugin, title, entries, newest, taken in self._db.execute(
            "SELECT name, plugin, title, entries, newest, taken FROM feed ORDER BY name"
        ):
            at = datetime.fromisoformat(taken).astimezone(UTC) if taken else None
            stale = at is None or now - at > PLUGIN[plugin].fresh_for
            made.append(FeedState(name, title, entries, newest, at, stale))
        return made

    def _block(self, start: int, data: bytes) -> dict[str, bytes]:
        if start not in self._blocks:
            if len(self._blocks) >= HELD:
                self._blocks.clear()
            self._blocks[start] = dict(BLOCK.decode(zlib.decompress(data)))
        return self._blocks[start]

    def _chunk(self, first: int) -> list[StoredFlaw]:
        if first not in self._chunks:
            if len(self._chunks) >= HELD:
                self._chunks.clear()
            (data,) = self._db.execute("SELECT data FROM flaws WHERE first = ?", (first,)).fetchone()
            self._chunks[first] = FLAWS.decode(zlib.decompress(data))
        return self._chunks[first]
