"""Building the local database from documents: read, merge by flaw and package, write one file, put it in place at once."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from wardkeep.advisories.documents import Document
from wardkeep.advisories.ecosystems import family, is_vendor, scheme_of
from wardkeep.advisories.feeds import FEEDS, feed_of
from wardkeep.advisories.packages import UP_TO, Row, pack
from wardkeep.advisories.records import Claim, Flaw, Says, Stamp
from wardkeep.advisories.versions import NotAVersion, key
from wardkeep.core.errors import BadInput

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE feed (id INTEGER PRIMARY KEY, name TEXT UNIQUE, plugin TEXT, title TEXT, entries INTEGER, newest TEXT, taken TEXT);
CREATE TABLE package (id INTEGER PRIMARY KEY, ecosystem TEXT, name TEXT, rows BLOB, UNIQUE (ecosystem, name));
CREATE TABLE flaws (first INTEGER PRIMARY KEY, name TEXT, data BLOB);
CREATE TABLE alias (name TEXT, flaw INTEGER, PRIMARY KEY (name, flaw)) WITHOUT ROWID;
"""
FORMAT = "1"
CHUNK = 256
EPOCH = date(1970, 1, 1)
PLUGIN = {feed.name: feed for feed in FEEDS}


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
class Builder:
    """Takes records in, keeps them merged; `write` makes the file. Memory: about 300 bytes for each claim."""

    flaws: dict[str, Flaw] = field(default_factory=dict)
    claims: dict[tuple[str, str], list[tuple[str, Claim]]] = field(default_factory=lambda: defaultdict(list))
    feeds: dict[str, FeedCount] = field(default_factory=dict)
    strange: Counter[str] = field(default_factory=Counter)
    _texts: dict[str, str] = field(default_factory=dict)

    def take(self, document: Document) -> bool:
        """Read one document; False when no feed knows it. Raises BadInput when its feed refuses it: nothing of it is kept."""
        plugin = feed_of(document.name, document.data)
        if plugin is None:
            self.strange[Path(document.name.partition("!")[2] or document.name).suffix or "none"] += 1
            return False
        records = list(plugin.read(document.data, document.name))
        names = {plugin.name}
        for record in records:
            if isinstance(record, Claim) and plugin.name == "osv":
                names.add(f"osv {family(record.ecosystem)}")
        names.discard("osv")
        for name in names:
            count = self.feeds.setdefault(name, FeedCount(plugin.name))
            for record in records:
                self._count(count, record, name)
        for record in records:
            self._keep(plugin.name, record)
        return True

    def _count(self, count: FeedCount, record: Claim | Flaw | Stamp, name: str) -> None:
        if isinstance(record, Stamp):
            count.newest = max(count.newest, record.day)
        elif isinstance(record, Claim):
            if not name.startswith("osv ") or name == f"osv {family(record.ecosystem)}":
                count.entries += 1
                count.newest = max(count.newest, record.day)
        elif count.plugin in ("kev", "epss", "cve5"):
            count.entries += 1
            count.newest = max(count.newest, record.published)

    def _keep(self, plugin: str, record: Claim | Flaw | Stamp) -> None:
        if isinstance(record, Flaw):
            if record.id in self.flaws:
                self.flaws[record.id].merge(record)
            else:
                self.flaws[record.id] = record
        elif isinstance(record, Claim):
            name = f"osv {family(record.ecosystem)}" if plugin == "osv" else plugin
            self.claims[record.ecosystem, record.package].append((name, self._shared(record)))

    def _shared(self, claim: Claim) -> Claim:
        """The same claim on texts held once: most repeat thousands of times."""
        held = self._texts
        return Claim(
            *(
                held.setdefault(value, value) if type(value) is str else value
                for value in (getattr(claim, name) for name in Claim.__slots__)
            )  # type: ignore[arg-type]
        )

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
        for at, (ecosystem, package) in enumerate(sorted(self.claims), start=1):
            made = [
                _row(claim, number[claim.flaw], feed_number.get(feed, 0))
                for feed, claim in merged(self.claims[ecosystem, package], ecosystem)
            ]
            rows += len(made)
            for flaw in {row.flaw for row in made}:
                concerned[flaw].append(at)
            blob = zlib.compress(pack(ecosystem, made), 6)
            db.execute("INSERT INTO package VALUES (?, ?, ?, ?)", (at, ecosystem, package, blob))
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


def days_of(day: str) -> int:
    """Days since 1970-01-01 of an ISO day; 0 for none. Raises BadInput for another text."""
    if not day:
        return 0
    try:
        return max((date.fromisoformat(day) - EPOCH).days, 0)
    except ValueError:
        raise BadInput(f"`{day[:20]}` is no day") from None


__all__ = ["Builder", "Says", "StoredFlaw"]
