"""Building the local database from documents: read, merge by flaw and package, write one file, put it in place at once."""

from __future__ import annotations

import functools
import json
import os
import re
import sqlite3
import tempfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from wardkeep.advisories.documents import Document
from wardkeep.advisories.ecosystems import family, is_vendor, scheme_of
from wardkeep.advisories.feeds import FEEDS, feed_of
from wardkeep.advisories.feeds.plugin import Plugin
from wardkeep.advisories.packages import UP_TO, Row, pack
from wardkeep.advisories.records import Claim, Flaw, Says, Stamp
from wardkeep.advisories.versions import NotAVersion, key
from wardkeep.core.errors import BadInput

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE feed (id INTEGER PRIMARY KEY, name TEXT UNIQUE, plugin TEXT, title TEXT, entries INTEGER, newest TEXT, taken TEXT);
CREATE TABLE packages (start INTEGER PRIMARY KEY, first TEXT UNIQUE, data BLOB);
CREATE TABLE flaws (first INTEGER PRIMARY KEY, name TEXT, data BLOB);
CREATE TABLE alias (name TEXT, flaw INTEGER, PRIMARY KEY (name, flaw)) WITHOUT ROWID;
"""
FORMAT = "2"
CHUNK = 256  # flaws in a block
BLOCK = 16 << 10  # bytes of packages in a block, before it is packed
MODULE = ".module_"  # in the release of a package that belongs to a module
EPOCH = date(1970, 1, 1)
PLUGIN = {feed.name: feed for feed in FEEDS}
DESCRIBING = ("kev", "epss", "cve5")  # these speak of flaws, not of packages


class StoredFlaw(msgspec.Struct, array_like=True):
    id: str
    summary: str
    published: str
    seen: str  # the day this platform first had it
    ratings: list[tuple[str, str, float]]
    kev: str
    kev_note: str
    epss: float
    ssvc: str
    packages: list[int]


@dataclass(slots=True)
class FeedCount:
    """What one feed gave: documents read, the newest day in them."""

    plugin: str
    entries: int = 0
    newest: str = ""


@dataclass(slots=True)
class Block:
    """Packages put together until they fill a block: small ones then cost next to nothing, a large one stands alone."""

    db: sqlite3.Connection
    start: int = 0
    held: list[tuple[str, bytes]] = field(default_factory=list)
    size: int = 0

    def add(self, at: int, place: str, rows: bytes) -> None:
        if self.held and self.size + len(rows) > BLOCK:
            self.close()
        if not self.held:
            self.start = at
        self.held.append((place, rows))
        self.size += len(place) + len(rows)

    def close(self) -> None:
        if self.held:
            data = zlib.compress(msgspec.msgpack.encode(self.held), 6)
            self.db.execute("INSERT INTO packages VALUES (?, ?, ?)", (self.start, self.held[0][0], data))
        self.held, self.size = [], 0


def place_text(place: tuple[str, str]) -> str:
    """Ecosystem and package as one text, by whose order the blocks stand."""
    return f"{place[0]}\t{place[1]}"


@dataclass(slots=True)
class Builder:
    """Takes records in, keeps them merged; `write` makes the file. Memory: about 300 bytes for each claim."""

    flaws: dict[str, Flaw] = field(default_factory=dict)
    claims: dict[tuple[str, str], list[tuple[str, Claim]]] = field(default_factory=lambda: defaultdict(list))
    feeds: dict[str, FeedCount] = field(default_factory=dict)
    strange: Counter[str] = field(default_factory=Counter)
    doubts: list[str] = field(default_factory=list)
    _last: Plugin | None = None

    def take(self, document: Document) -> bool:
        """Read one document; False when no feed knows it. Raises BadInput when its feed refuses it: nothing of it is kept."""
        last = self._last
        # Documents of one archive are of one feed.
        if last is not None and last.recognises(document.name, document.data):
            plugin: Plugin | None = last
        else:
            plugin = self._last = feed_of(document.name, document.data)
        if plugin is None:
            ending = Path(document.name.partition("!")[2] or document.name).suffix or "none"
            if ending == ".json" and not _is_whole(document.data):
                self.doubts.append(f"{document.name}: is no whole JSON, so which feed it is of is not known")
                return False
            self.strange[ending] += 1
            return False
        records = list(plugin.read(document.data, document.name))
        for record in records:
            day = record.published if isinstance(record, Flaw) else record.day
            if not _is_day(day):  # refused before anything of the document counts
                raise BadInput(f"`{day[:20]}` is no day that anything was published", where=document.name)
        days = [record.day for record in records if isinstance(record, Stamp)]
        counts: dict[str, FeedCount] = {}
        for record in records:
            if isinstance(record, Claim):
                name = f"osv {family(record.ecosystem)}" if plugin.name == "osv" else plugin.name
                count = counts.get(name)
                if count is None:
                    count = counts[name] = self.feeds.setdefault(name, FeedCount(plugin.name))
                count.entries += 1
                count.newest = max(count.newest, record.day)
                self.claims[record.ecosystem, record.package].append((name, record))
            elif isinstance(record, Flaw):
                known = self.flaws.setdefault(record.id, record)
                if known is not record:
                    known.merge(record)
                if plugin.name in DESCRIBING:
                    count = counts[plugin.name] = self.feeds.setdefault(plugin.name, FeedCount(plugin.name))
                    count.entries += 1
                    count.newest = max(count.newest, record.published)
        said = max((record.count for record in records if isinstance(record, Stamp)), default=0)
        has = sum(not isinstance(record, Stamp) for record in records)
        if has < said:
            self.doubts.append(f"{document.name}: says it has {said:,} entries and has {has:,}: it was cut")
        for count in counts.values():
            count.newest = max([count.newest, *days])
        return True

    def write(self, path: Path, now: datetime, seen: Mapping[str, str], taken: Mapping[str, str]) -> None:
        """Make the file beside `path` and rename it over: a reader has the old one or the new one, never a half.

        `seen` is, for each flaw known before, the day it was first had; `taken` when each feed's data were got.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        try:
            with sqlite3.connect(name, isolation_level=None) as db:
                db.executescript(
                    "PRAGMA page_size=4096; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" + SCHEMA
                )
                db.execute("BEGIN")
                self._fill(db, now, seen, taken)
                db.execute("COMMIT")
            db.close()
            with open(name, "rb") as file:
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _fill(
        self, db: sqlite3.Connection, now: datetime, seen: Mapping[str, str], taken: Mapping[str, str]
    ) -> None:
        names = sorted({claim.flaw for rows in self.claims.values() for _, claim in rows})
        number = {name: i for i, name in enumerate(names)}
        feed_number = {name: i for i, name in enumerate(self.feeds, start=1)}
        concerned: dict[int, list[int]] = defaultdict(list)
        rows = 0
        block = Block(db)
        ecosystems: Counter[str] = Counter()
        for at, place in enumerate(sorted(self.claims, key=place_text)):
            made = [
                _row(claim, number[claim.flaw], feed_number.get(feed, 0))
                for feed, claim in merged(self.claims[place], place[0])
            ]
            rows += len(made)
            ecosystems[place[0]] += 1
            for flaw in {row.flaw for row in made}:
                concerned[flaw].append(at)
            block.add(at, place_text(place), pack(place[0], made))
        block.close()
        today = now.date().isoformat()
        for first in range(0, len(names), CHUNK):
            chunk = [
                self._stored(name, seen.get(name, today), concerned[number[name]])
                for name in names[first : first + CHUNK]
            ]
            data = zlib.compress(msgspec.msgpack.encode(chunk), 9)
            db.execute("INSERT INTO flaws VALUES (?, ?, ?)", (first, names[first], data))
        db.executemany(
            "INSERT OR IGNORE INTO alias VALUES (?, ?)",
            (
                (alias, number[name])
                for name in names
                if name in self.flaws
                for alias in sorted(self.flaws[name].aliases)
            ),
        )
        for name, at in feed_number.items():
            count = self.feeds[name]
            title = PLUGIN[count.plugin].title + name.removeprefix(count.plugin)
            db.execute(
                "INSERT INTO feed VALUES (?, ?, ?, ?, ?, ?, ?)",
                (at, name, count.plugin, title, count.entries, count.newest, taken.get(name, "")),
            )
        facts = {
            "format": FORMAT,
            "built": now.astimezone(UTC).isoformat(timespec="seconds"),
            "rows": str(rows),
            "ecosystems": json.dumps(dict(sorted(ecosystems.items()))),
            "flaws": str(len(names)),
        }
        db.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())

    def _stored(self, name: str, seen: str, packages: list[int]) -> StoredFlaw:
        flaw = self.flaws.get(name) or Flaw(name)
        return StoredFlaw(
            name,
            flaw.summary,
            flaw.published,
            seen,
            [(one.source, one.label, one.score) for one in flaw.ratings],
            flaw.kev,
            flaw.kev_note,
            flaw.epss,
            flaw.ssvc,
            packages,
        )


def merged(rows: list[tuple[str, Claim]], ecosystem: str) -> Iterable[tuple[str, Claim]]:
    """The claims that stand. Language ecosystems: all, each span once. A vendor: for each flaw the claims of its best feed,
    where a fix outranks no fix and the highest fix counts; the day and number of its advisory are kept from any."""
    if not is_vendor(ecosystem):
        return {(c.flaw, c.introduced, c.fixed, c.last): (feed, c) for feed, c in reversed(rows)}.values()
    by_flaw: dict[str, list[tuple[str, Claim]]] = defaultdict(list)
    for feed, claim in rows:
        by_flaw[claim.flaw].append((feed, claim))
    return [one for some in by_flaw.values() for one in _standing(some, ecosystem)]


def _standing(some: list[tuple[str, Claim]], ecosystem: str) -> Iterable[tuple[str, Claim]]:
    if len(some) == 1:
        return some
    best = min(PLUGIN[feed.partition(" ")[0]].rank for feed, _ in some)
    chosen = [one for one in some if PLUGIN[one[0].partition(" ")[0]].rank == best]
    if any(claim.introduced for _, claim in chosen):
        return {(c.introduced, c.fixed, c.last): (feed, c) for feed, c in chosen}.values()
    fixes = [one for one in chosen if one[1].fixed]
    if any(MODULE in claim.fixed for _, claim in fixes):
        return _by_stream(fixes, ecosystem)
    feed, claim = max(fixes, key=lambda one: _place(ecosystem, one[1].fixed)) if fixes else chosen[0]
    numbered = sorted(
        {
            (c.day, c.advisory)
            for _, c in some
            if c.day and c.advisory.startswith(("DSA", "DLA", "USN", "ALSA"))
        }
    )
    day, advisory = numbered[0] if numbered else (claim.day, claim.advisory)
    return [
        (
            feed,
            Claim(
                claim.ecosystem,
                claim.package,
                claim.flaw,
                claim.says,
                "",
                claim.fixed,
                claim.last,
                claim.note,
                advisory,
                day,
            ),
        )
    ]


def _by_stream(fixes: list[tuple[str, Claim]], ecosystem: str) -> Iterable[tuple[str, Claim]]:
    """Modules of RPM distributions are kept side by side in several streams (nodejs 18 and 20), each with its own fix: one claim a stream,
    which begins with the stream. The lowest begins with the first version: what is older than all of them is mended by none."""
    numbers = {
        one.fixed: re.findall(r"\d+", one.fixed.rpartition(":")[2].partition("-")[0]) for _, one in fixes
    }
    minors: dict[str, set[str]] = defaultdict(set)
    for found in numbers.values():
        minors[".".join(found[:1])].add(".".join(found[:2]))
    streams: dict[str, tuple[str, Claim]] = {}
    for feed, claim in sorted(fixes, key=lambda one: _place(ecosystem, one[1].fixed)):
        found = numbers[claim.fixed]
        # php has a stream 8.1 beside 8.2, nodejs one 18: where two minor numbers are mended at once, they are streams.
        width = 2 if len(minors[".".join(found[:1])]) > 1 else 1
        epoch, colon, _ = claim.fixed.partition(":")
        streams[(epoch + colon if colon else "") + ".".join(found[:width])] = (feed, claim)
    lowest = next(iter(streams))
    return [
        (feed, claim if stream == lowest else replace(claim, introduced=stream))
        for stream, (feed, claim) in streams.items()
    ]


def _place(ecosystem: str, version: str) -> bytes:
    try:
        return key(scheme_of(ecosystem), version)
    except NotAVersion:
        return b""


def _row(claim: Claim, flaw: int, feed: int) -> Row:
    fixed = claim.fixed or (UP_TO + claim.last if claim.last else "")
    return Row(
        flaw, claim.says, claim.introduced, fixed, claim.note, claim.advisory, feed, days_of(claim.day)
    )


JSON = msgspec.json.Decoder(msgspec.Raw)


def _is_whole(data: bytes) -> bool:
    """Whether it is one JSON value to its end; nothing is kept of it."""
    try:
        JSON.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


@functools.lru_cache(maxsize=65536)
def _is_day(day: str) -> bool:
    """Whether the database can hold it."""
    try:
        return days_of(day) < 1 << 16
    except BadInput:
        return False


def days_of(day: str) -> int:
    """Days since 1970-01-01 of an ISO day; 0 for none. Raises BadInput for another text."""
    if not day:
        return 0
    try:
        return max((date.fromisoformat(day) - EPOCH).days, 0)
    except ValueError:
        raise BadInput(f"`{day[:20]}` is no day") from None


__all__ = ["Builder", "Says", "StoredFlaw"]
