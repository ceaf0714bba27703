"""How often something may be tried, counted in the database so that a restart or a second worker forgets nothing.

Only wrong attempts are counted. A path that guards a guessable secret (a code, a password) is closed for the window
when its limit is reached; other paths of the same person stay open. What was refused is written to the ledger once
when the path closes and once, as a count, when the window has passed: never one entry an attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from wardkeep.engine.accounts.books import Books, digest
from wardkeep.store.schema import rate_limits


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

    The counts are not awaited on disk (`rebuildable`): after a power cut the last few wrong attempts may be forgotten,
    and ten thousand of them cost the machine no ten thousand waits for its disk.
    """

    def __init__(self, books: Books) -> None:
        self.books = books
        self._swept: datetime | None = None

    def closed(self, path: str, who: str) -> Closed | None:
        """Why this path is closed for `who` now, or None. Reads one row."""
        now, limit = self.books.clock(), LIMITS[path]
        with self.books.store.read() as db:
            row = db.execute(
                sa.select(rate_limits.c.window, rate_limits.c.n).where(rate_limits.c.key == _key(path, who))
            ).one_or_none()
        if row is None or row.n < limit.wrong:
            return None
        until = row.window + timedelta(seconds=limit.seconds)
        return Closed(until, max(1, int((until - now).total_seconds()) + 1)) if until > now else None

    def wrong(self, path: str, who: str) -> int:
        """Count one wrong attempt; returns how many there were in this window. Records the moment the path closes."""
        now, limit, key = self.books.clock(), LIMITS[path], _key(path, who)
        self.sweep(now)
        start = now - timedelta(seconds=limit.seconds)
        insert = sqlite.insert if self.books.store.is_sqlite else postgresql.insert
        new = insert(rate_limits).values(key=key, window=now, n=1)
        fresh = rate_limits.c.window > start
        counted = new.on_conflict_do_update(
            index_elements=[rate_limits.c.key],
            set_={
                "n": sa.case((fresh, rate_limits.c.n + 1), else_=1),
                "window": sa.case((fresh, rate_limits.c.window), else_=new.excluded.window),
            },
        ).returning(rate_limits.c.n)
        with self.books.store.begin(rebuildable=True) as db:
            n = int(db.execute(counted).scalar_one())
        if n == limit.wrong:
            body = {"outcome": "path closed", "path": path, "limit": limit.wrong, "seconds": limit.seconds}
            self.books.record("sign-in", "engine", body | {"who": _shown(path, who)})
        return n

    def forget(self, path: str, who: str) -> None:
        """After the right answer the count starts anew."""
        with self.books.store.begin(rebuildable=True) as db:
            db.execute(sa.delete(rate_limits).where(rate_limits.c.key == _key(path, who)))

    def sweep(self, now: datetime, *, at_most_every: int = 60) -> None:
        """Close windows that have passed: one entry with the count for each that had refused somebody."""
        if self._swept is not None and now - self._swept < timedelta(seconds=at_most_every):
            return
        self._swept = now
        for path, limit in LIMITS.items():
            passed = sa.and_(
                rate_limits.c.key.startswith(path + ":"),
                rate_limits.c.window <= now - timedelta(seconds=limit.seconds),
            )
            with self.books.store.begin(rebuildable=True) as db:
                gone = db.execute(sa.delete(rate_limits).where(passed).returning(*rate_limits.c)).all()
            for row in gone:
                if row.n >= limit.wrong:
                    body = {
                        "outcome": "refused",
                        "path": path,
                        "attempts": row.n,
                        "since": row.window.isoformat(),
                    }
                    self.books.record("sign-in", "engine", body | {"key": row.key.partition(":")[2]})


def _key(path: str, who: str) -> str:
    # Digest, because `who` may be anything a stranger typed into the user name, at any length.
    return f"{path}:{digest(who)[:24]}"


def _shown(path: str, who: str) -> str:
    # An address is worth keeping; a wrongly typed user name may be somebody's password.
    return who[:64] if path.endswith("-address") else digest(who)[:12]
