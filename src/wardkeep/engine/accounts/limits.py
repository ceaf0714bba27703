"""How often something may be tried, counted in the database so that a restart or a second worker forgets nothing.

Only wrong attempts are counted. A path that guards a guessable secret (a code, a password) is closed for the window
when its limit is reached; other paths of the same person stay open. What was refused is written to the ledger once
when the path closes and once, as a count, when the window has passed: never one entry an attempt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from wardkeep.engine.accounts.books import Books, digest
from wardkeep.store.schema import rate_limits

MOST_REMEMBERED = 10_000  # closed paths known to this process without asking the database
WRITTEN_AT = 100


@dataclass(frozen=True, slots=True)
class Limit:
    """`wrong` attempts a window of `seconds`; `what` is the word used in the ledger and on the page."""

    wrong: int
    seconds: int
    what: str


# The first word of a key names its limit.
LIMITS = {
    "password-user": Limit(5, 900, "password for one user name"),
    "password-address": Limit(30, 900, "passwords from one address"),
    "code-password": Limit(5, 900, "codes after a password"),
    "code-link": Limit(5, 900, "codes after a sign-in link"),
    "code-enrol": Limit(10, 900, "codes while setting up an app"),
    "recovery": Limit(5, 900, "recovery codes"),
    "link-address": Limit(30, 900, "sign-in links from one address"),
    "passkey-address": Limit(30, 900, "passkeys from one address"),
    "token-address": Limit(50, 900, "API tokens from one address"),
}


@dataclass(frozen=True, slots=True)
class Closed:
    """The path is closed until `until`; `seconds` is how long that still is."""

    until: datetime
    seconds: int


class Limits:
    """Count wrong attempts and close paths.

    The counts are not awaited on disk (`rebuildable`): after a power cut the last few wrong attempts may be forgotten.
    While a path is closed its attempts are counted in this process and written a hundred at a time: ten thousand of
    them cost neither ten thousand writes nor a wait for those who write something useful.
    """

    def __init__(self, books: Books) -> None:
        self.books = books
        self._swept: datetime | None = None
        self._shut: dict[str, datetime] = {}  # key → until when its path is closed
        self._late: Counter[str] = Counter()  # key → attempts since it was closed, not written yet
        self._lock = Lock()

    def closed(self, path: str, who: str) -> Closed | None:
        """Why this path is closed for `who` now, or None. Reads at most one row."""
        now, limit, key = self.books.clock(), LIMITS[path], _key(path, who)
        with self._lock:
            until = self._shut.get(key)
        if until is None:
            with self.books.store.read() as db:
                columns = (rate_limits.c.window, rate_limits.c.n)
                row = db.execute(sa.select(*columns).where(rate_limits.c.key == key)).one_or_none()
            if row is None or row.n < limit.wrong:
                return None
            until = row.window + timedelta(seconds=limit.seconds)
            with self._lock:
                if len(self._shut) < MOST_REMEMBERED:
                    self._shut[key] = until
        if until <= now:
            self._write_late(key)
            return None
        return Closed(until, max(1, int((until - now).total_seconds()) + 1))

    def wrong(self, path: str, who: str) -> None:
        """Count one wrong attempt. Records the moment the path closes."""
        now, limit, key = self.books.clock(), LIMITS[path], _key(path, who)
        self.sweep(now)
        with self._lock:
            shut = (until := self._shut.get(key)) is not None and until > now
            if shut:
                self._late[key] += 1
            enough = self._late[key] >= WRITTEN_AT
        if enough or not shut:
            self._write_late(key)
        if shut:
            return
        n = self._count(key, 1, now, limit)
        if n == limit.wrong:
            body = {"outcome": "path closed", "path": path, "limit": limit.wrong, "seconds": limit.seconds}
            self.books.record("sign-in", "engine", body | {"who": _shown(path, who)})

    def forget(self, path: str, who: str) -> None:
        """After the right answer the count starts anew; what had been refused is put on record first."""
        key = _key(path, who)
        self._write_late(key)
        with self.books.store.begin(rebuildable=True) as db:
            gone = db.execute(
                sa.delete(rate_limits).where(rate_limits.c.key == key).returning(*rate_limits.c)
            ).all()
        self._tell(path, gone)

    def sweep(self, now: datetime, *, at_most_every: int = 60) -> None:
        """Close windows that have passed: one entry with the count for each that had refused somebody."""
        with self._lock:
            if self._swept is not None and now - self._swept < timedelta(seconds=at_most_every):
                return
            self._swept = now
            late = list(self._late)
        for key in late:
            self._write_late(key)
        for path, limit in LIMITS.items():
            passed = sa.and_(
                rate_limits.c.key.startswith(path + ":"),
                rate_limits.c.window <= now - timedelta(seconds=limit.seconds),
            )
            with self.books.store.begin(rebuildable=True) as db:
                gone = db.execute(sa.delete(rate_limits).where(passed).returning(*rate_limits.c)).all()
            with self._lock:
                for row in gone:
                    self._shut.pop(row.key, None)
            self._tell(path, gone)

    def _tell(self, path: str, gone: Sequence[Any]) -> None:
        for row in gone:
            if row.n >= LIMITS[path].wrong:
                body = {
                    "outcome": "refused",
                    "path": path,
                    "attempts": row.n,
                    "since": row.window.isoformat(),
                }
                self.books.record("sign-in", "engine", body | {"key": row.key.partition(":")[2]})

    def _write_late(self, key: str) -> None:
        """Add what was counted in this process to the database's count of the same window."""
        with self._lock:
            late = self._late.pop(key, 0)
            if (until := self._shut.get(key)) is not None and until <= self.books.clock():
                del self._shut[key]
        if late:
            with self.books.store.begin(rebuildable=True) as db:
                mine = sa.update(rate_limits).where(rate_limits.c.key == key)
                db.execute(mine.values(n=rate_limits.c.n + late))

    def _count(self, key: str, more: int, now: datetime, limit: Limit) -> int:
        start = now - timedelta(seconds=limit.seconds)
        insert = sqlite.insert if self.books.store.is_sqlite else postgresql.insert
        new = insert(rate_limits).values(key=key, window=now, n=more)
        fresh = rate_limits.c.window > start
        counted = new.on_conflict_do_update(
            index_elements=[rate_limits.c.key],
            set_={
                "n": sa.case((fresh, rate_limits.c.n + more), else_=more),
                "window": sa.case((fresh, rate_limits.c.window), else_=new.excluded.window),
            },
        ).returning(rate_limits.c.n)
        with self.books.store.begin(rebuildable=True) as db:
            return int(db.execute(counted).scalar_one())


def _key(path: str, who: str) -> str:
    # Digest, because `who` may be anything a stranger typed into the user name, at any length.
    return f"{path}:{digest(who)[:24]}"


def _shown(path: str, who: str) -> str:
    # An address is worth keeping; a wrongly typed user name may be somebody's password.
    return who[:64] if path.endswith("-address") else digest(who)[:12]
