"""API tokens: `wk_` + 8 characters that may be shown + a secret + a check. Only a SHA-256 digest is stored."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from wardkeep.core.errors import BadInput
from wardkeep.engine.accounts.books import Books, digest, same
from wardkeep.engine.accounts.users import Role, User, Users
from wardkeep.store.schema import api_tokens

SCOPES = {
    "read": "read the matrix, findings, hosts and the ledger",
    "check": "start a check or a drill",
    "waive": "waive findings",
    "flaws": "decide about published flaws",
    "admin": "add users and tokens, change settings",
}
MAY = {
    Role.OPERATOR: frozenset(SCOPES),
    Role.AUDITOR: frozenset({"read"}),
    Role.DEVELOPER: frozenset({"read"}),
}
LONGEST = 366  # days


@dataclass(frozen=True, slots=True)
class Token:
    """An API token as it may be shown: never the secret. `prefix` is how a person tells tokens apart."""

    id: str
    prefix: str
    name: str
    user: str
    scopes: tuple[str, ...]
    created: datetime
    expires: datetime
    last_used: datetime | None
    revoked: datetime | None


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who a presented token speaks for, and what it may do: its scopes, cut down to what the user's role may."""

    user: User
    token: Token
    scopes: frozenset[str]


class Tokens:
    """Issue, check and revoke API tokens."""

    def __init__(self, books: Books, people: Users) -> None:
        self.books, self.people = books, people

    def issue(self, user: str, name: str, scopes: Iterable[str], *, days: int, by: str) -> tuple[str, Token]:
        """A new token and its description. The token itself is shown this once."""
        person, wanted = self.people.need(user), tuple(dict.fromkeys(scopes))
        if unknown := [s for s in wanted if s not in SCOPES]:
            raise BadInput(f"{unknown[0][:40]!r} is no scope", todo=f"Use {', '.join(SCOPES)}.")
        if not wanted:
            raise BadInput("a token needs a scope", todo=f"Use {', '.join(SCOPES)}.")
        if beyond := [s for s in wanted if s not in MAY[person.role]]:
            raise BadInput(
                f"a token of {user!r} cannot have the scope {beyond[0]!r}", todo=f"{user} is {person.role}."
            )
        if not 1 <= days <= LONGEST:
            raise BadInput(f"a token lives 1 to {LONGEST} days", where="days")
        if not name.strip() or person.disabled:
            raise BadInput("a token needs a name and a user who is not disabled", where="name")
        shown, now = "wk_" + secrets.token_hex(4), self.books.clock()
        body = f"{shown}_{secrets.token_urlsafe(32).replace('_', '-')}"
        secret = f"{body}_{_check(body)}"
        row = {
            "id": shown,
            "digest": digest(secret),
            "name": name.strip()[:80],
            "user": user,
            "scopes": list(wanted),
            "created": now,
            "expires": now + timedelta(days=days),
        }
        with self.books.store.begin() as db:
            db.execute(sa.insert(api_tokens).values(row))
        told = {"act": "issued", "token": shown, "user": user, "scopes": list(wanted), "days": days}
        self.books.record("token", by, told)
        return secret, self._all(api_tokens.c.id == shown)[0]

    def check(self, presented: str) -> Bearer | None:
        """Who this token speaks for; None if it is none of ours, expired or revoked.

        A mistyped or invented token fails its check characters and costs no look into the database.
        """
        body, _, given = presented.rpartition("_")
        if not 40 <= len(presented) <= 100 or not presented.isascii() or not same(_check(body), given):
            return None
        shown, now = body.rpartition("_")[0], self.books.clock()
        with self.books.store.read() as db:
            row = db.execute(sa.select(api_tokens).where(api_tokens.c.id == shown)).one_or_none()
        if row is None or not same(row.digest, digest(presented)):
            return None
        user = self.people.find(row.user)
        if row.revoked or row.expires is None or row.expires <= now or user is None or user.disabled:
            return None
        if row.last_used is None or now - row.last_used > timedelta(minutes=1):
            with self.books.store.begin() as db:
                db.execute(sa.update(api_tokens).where(api_tokens.c.id == shown).values(last_used=now))
        return Bearer(user, _token(row), frozenset(row.scopes) & MAY[user.role])

    def all(self) -> list[Token]:
        return self._all(sa.true())

    def of(self, user: str) -> list[Token]:
        return self._all(api_tokens.c.user == user)

    def revoke(self, token_id: str, *, by: str) -> Token:
        live = sa.and_(api_tokens.c.id == token_id, api_tokens.c.revoked.is_(None))
        with self.books.store.begin() as db:
            done = db.execute(sa.update(api_tokens).where(live).values(revoked=self.books.clock())).rowcount
        if not done:
            raise BadInput(f"there is no live token {token_id[:40]!r}", todo="See `wardkeep token list`.")
        self.books.record("token", by, {"act": "revoked", "token": token_id})
        return self._all(api_tokens.c.id == token_id)[0]

    def _all(self, where: sa.ColumnElement[bool]) -> list[Token]:
        query = sa.select(api_tokens).where(where).order_by(api_tokens.c.created.desc())
        with self.books.store.read() as db:
            return [_token(row) for row in db.execute(query)]


def _token(row: sa.Row[tuple[object, ...]]) -> Token:
    r = row._mapping
    return Token(
        id=r["id"],
        prefix=r["id"],
        name=r["name"],
        user=r["user"],
        scopes=tuple(r["scopes"]),
        created=r["created"],
        expires=r["expires"],
        last_used=r["last_used"],
        revoked=r["revoked"],
    )


def _check(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"
