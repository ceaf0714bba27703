"""Sessions and one-time links. The browser holds a secret, the database only its digest."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from wardkeep.core.errors import BadInput
from wardkeep.engine.accounts.books import Books, digest, draw
from wardkeep.engine.accounts.users import User, Users
from wardkeep.store.schema import login_links, sessions

IDLE = timedelta(minutes=30)
ABSOLUTE = timedelta(hours=12)
HALF_DONE = timedelta(minutes=15)  # a session that still owes its second factor
LINK_LIFE = timedelta(minutes=15)
FULL = frozenset({"totp", "passkey", "recovery"})


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in browser. `strength` is how: `link` and `password` still owe a second factor."""

    id: str  # SHA-256 of the cookie
    user: User
    created: datetime
    last_used: datetime
    expires: datetime
    address: str
    agent: str
    strength: str
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Both factors were shown; everything the role allows is open."""
        return self.strength in FULL


def csrf_token(cookie: str) -> str:
    """The token every form of this session carries: bound to the cookie, useless without it, not the cookie itself."""
    return hmac.new(cookie.encode(), b"wardkeep form", hashlib.sha256).hexdigest()


class Sessions:
    """Open, find and end sessions."""

    def __init__(self, books: Books, people: Users) -> None:
        self.books, self.people = books, people

    def start(self, user: str, strength: str, *, address: str, agent: str) -> str:
        """Begin a session and return the cookie's secret. A full one counts as the user's sign-in."""
        now, cookie = self.books.clock(), draw()
        life = ABSOLUTE if strength in FULL else HALF_DONE
        row = {
            "digest": digest(cookie),
            "user": user,
            "created": now,
            "last_used": now,
            "expires": now + life,
            "address": address[:64],
            "agent": agent[:200],
            "csrf": digest(csrf_token(cookie)),
            "strength": strength,
            "data": {},
        }
        with self.books.store.begin() as db:
            db.execute(sa.delete(sessions).where(sessions.c.expires < now))
            db.execute(sa.insert(sessions).values(row))
        if strength in FULL:
            self.people.signed_in(user)
        return cookie

    def find(self, cookie: str) -> Session | None:
        """The live session of this cookie. Marks it used (at most once a minute, so that reading pages writes little)."""
        if not 20 <= len(cookie) <= 64:
            return None
        now, key = self.books.clock(), digest(cookie)
        with self.books.store.read() as db:
            row = db.execute(sa.select(sessions).where(sessions.c.digest == key)).one_or_none()
        if row is None or row.expires <= now or now - row.last_used > IDLE:
            return None
        user = self.people.find(row.user)
        if user is None or user.disabled:
            return None
        if now - row.last_used > timedelta(minutes=1):
            with self.books.store.begin() as db:
                db.execute(sa.update(sessions).where(sessions.c.digest == key).values(last_used=now))
        return _session(row, user)

    def of(self, user: User) -> list[Session]:
        query = sa.select(sessions).where(
            sessions.c.user == user.name, sessions.c.expires > self.books.clock()
        )
        with self.books.store.read() as db:
            rows = db.execute(query.order_by(sessions.c.last_used.desc())).all()
        return [_session(row, user) for row in rows]

    def keep(self, session: Session, **data: Any) -> None:
        """Remember something small for the next request of this session (a challenge). None forgets it."""
        merged = {k: v for k, v in (session.data | data).items() if v is not None}
        with self.books.store.begin() as db:
            db.execute(sa.update(sessions).where(sessions.c.digest == session.id).values(data=merged))

    def end(self, session_id: str, *, user: str) -> bool:
        """End one session of this user; True if there was one."""
        mine = sa.and_(sessions.c.digest == session_id, sessions.c.user == user)
        with self.books.store.begin() as db:
            return bool(db.execute(sa.delete(sessions).where(mine)).rowcount)

    def end_others(self, session: Session) -> int:
        mine = sa.and_(sessions.c.user == session.user.name, sessions.c.digest != session.id)
        with self.books.store.begin() as db:
            return int(db.execute(sa.delete(sessions).where(mine)).rowcount)


class Links:
    """One-time sign-in links: 256 bits, used once, gone after 15 minutes, kept only as a digest."""

    def __init__(self, books: Books, people: Users) -> None:
        self.books, self.people = books, people

    def issue(self, user: str, *, by: str) -> str:
        """The secret part of a new link. Earlier unused links of the user stop working."""
        person = self.people.need(user)
        if person.disabled:
            raise BadInput(f"the user {user!r} is disabled", todo=f"Run `wardkeep user enable {user}` first.")
        now, secret = self.books.clock(), draw()
        with self.books.store.begin() as db:
            db.execute(sa.delete(login_links).where(login_links.c.user == user))
            row = {"digest": digest(secret), "user": user, "created": now, "expires": now + LINK_LIFE}
            db.execute(sa.insert(login_links).values(row))
        self.books.record("sign-in", by, {"outcome": "link issued", "user": user})
        return secret

    def peek(self, secret: str) -> str | None:
        """Whose link this is, without using it; None when it is used, expired or unknown."""
        query = sa.select(login_links.c.user).where(self._good(secret))
        with self.books.store.read() as db:
            return db.execute(query).scalar_one_or_none()

    def use(self, secret: str) -> str | None:
        """Use the link up and return its user. Of two at the same moment exactly one succeeds."""
        spend = sa.update(login_links).where(self._good(secret)).values(used=self.books.clock())
        with self.books.store.begin() as db:
            return db.execute(spend.returning(login_links.c.user)).scalar_one_or_none()

    def _good(self, secret: str) -> sa.ColumnElement[bool]:
        return sa.and_(
            login_links.c.digest == digest(secret[:128]),
            login_links.c.used.is_(None),
            login_links.c.expires > self.books.clock(),
        )


def _session(row: sa.Row[Any], user: User) -> Session:
    return Session(
        id=row.digest,
        user=user,
        created=row.created,
        last_used=row.last_used,
        expires=row.expires,
        address=row.address,
        agent=row.agent,
        strength=row.strength,
        data=dict(row.data),
    )
