"""Users: a name, a role, and ways to prove who they are. There is no default user and no default password."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from wardkeep.core.errors import BadInput, Refused
from wardkeep.engine.accounts.books import Books
from wardkeep.store.schema import api_tokens, login_links, passkeys, recovery_codes, sessions, users

NAME = re.compile(r"[a-z][a-z0-9._-]{0,31}")


class Role(StrEnum):
    """What a person may do: everything, their own applications, or read everything and change nothing."""

    OPERATOR = "operator"
    DEVELOPER = "developer"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class User:
    """One person. `passkeys` counts them; `has_totp` and `has_password` say which other ways are set up."""

    name: str
    display: str
    role: Role
    created: datetime
    disabled: datetime | None
    last_sign_in: datetime | None
    has_totp: bool
    has_password: bool
    passkeys: int

    @property
    def enrolled(self) -> bool:
        """Has something beyond a link: an authenticator app or a passkey."""
        return self.has_totp or self.passkeys > 0

    @property
    def actor(self) -> str:
        """How the ledger names this person."""
        return f"{self.role}:{self.name}"


class Users:
    """Add, look up, change and disable people."""

    def __init__(self, books: Books) -> None:
        self.books = books

    def all(self) -> list[User]:
        return self._read(sa.true())

    def find(self, name: str) -> User | None:
        found = self._read(users.c.name == name)
        return found[0] if found else None

    def need(self, name: str) -> User:
        """The user, or BadInput that names those who exist."""
        if user := self.find(name):
            return user
        known = ", ".join(u.name for u in self.all()) or "nobody yet"
        raise BadInput(f"there is no user {name!r}", todo=f"Known: {known}.")

    def add(self, name: str, role: str, *, by: str, display: str = "") -> User:
        if not NAME.fullmatch(name):
            raise BadInput(
                f"{name[:40]!r} cannot be a user name",
                todo="Use 1 to 32 of a-z, 0-9, dot, dash, underscore, beginning with a letter.",
            )
        kind = _role(role)
        if self.find(name):
            raise BadInput(f"the user {name!r} exists already", todo=f"See `wardkeep user link {name}`.")
        row = {"name": name, "display": display[:120], "role": kind.value, "created": self.books.clock()}
        with self.books.store.begin() as db:
            db.execute(sa.insert(users).values(row))
        self.books.record("user", by, {"act": "added", "user": name, "role": kind.value})
        return self.need(name)

    def set_role(self, name: str, role: str, *, by: str) -> User:
        user, kind = self.need(name), _role(role)
        if user.role == Role.OPERATOR and kind != Role.OPERATOR:
            self._keep_an_operator(user)
        with self.books.store.begin() as db:
            db.execute(sa.update(users).where(users.c.name == name).values(role=kind.value))
            # A session carries no role of its own, but a demoted person should notice at once.
            db.execute(sa.delete(sessions).where(sessions.c.user == name))
        self.books.record(
            "user", by, {"act": "role changed", "user": name, "from": user.role, "to": kind.value}
        )
        return self.need(name)

    def disable(self, name: str, *, by: str) -> None:
        """End every session and token of this person and refuse new ones. Nothing of their history is removed."""
        user = self.need(name)
        self._keep_an_operator(user)
        now = self.books.clock()
        with self.books.store.begin() as db:
            db.execute(sa.update(users).where(users.c.name == name).values(disabled=now))
            self._end_ways_in(db, name, now)
        self.books.record("user", by, {"act": "disabled", "user": name})

    def enable(self, name: str, *, by: str) -> None:
        self.need(name)
        with self.books.store.begin() as db:
            db.execute(sa.update(users).where(users.c.name == name).values(disabled=None))
        self.books.record("user", by, {"act": "enabled", "user": name})

    def reset(self, name: str, *, by: str) -> None:
        """Take away every way to sign in (a lost phone): only a new one-time link lets this person enrol again."""
        self.need(name)
        with self.books.store.begin() as db:
            values = {"totp_sealed": None, "totp_last_step": 0, "password_hash": None}
            db.execute(sa.update(users).where(users.c.name == name).values(values))
            db.execute(sa.delete(passkeys).where(passkeys.c.user == name))
            db.execute(sa.delete(recovery_codes).where(recovery_codes.c.user == name))
            self._end_ways_in(db, name, self.books.clock())
        self.books.record("user", by, {"act": "ways to sign in reset", "user": name})

    def signed_in(self, name: str) -> None:
        with self.books.store.begin() as db:
            db.execute(sa.update(users).where(users.c.name == name).values(last_sign_in=self.books.clock()))

    def _end_ways_in(self, db: sa.Connection, name: str, now: datetime) -> None:
        db.execute(sa.delete(sessions).where(sessions.c.user == name))
        db.execute(sa.delete(login_links).where(login_links.c.user == name))
        live = sa.and_(api_tokens.c.user == name, api_tokens.c.revoked.is_(None))
        db.execute(sa.update(api_tokens).where(live).values(revoked=now))

    def _keep_an_operator(self, user: User) -> None:
        others = [u for u in self.all() if u.role == Role.OPERATOR and not u.disabled and u.name != user.name]
        if user.role == Role.OPERATOR and not others:
            raise Refused(
                f"{user.name!r} is the last operator",
                todo="Make somebody else operator first: `wardkeep user add`.",
            )

    def _read(self, where: sa.ColumnElement[bool]) -> list[User]:
        count = sa.select(sa.func.count()).where(passkeys.c.user == users.c.name).scalar_subquery()
        query = sa.select(users, count.label("keys")).where(where).order_by(users.c.name)
        with self.books.store.read() as db:
            rows: Sequence[sa.Row[tuple[object, ...]]] = db.execute(query).all()
        return [
            User(
                name=r.name,
                display=r.display,
                role=Role(r.role),
                created=r.created,
                disabled=r.disabled,
                last_sign_in=r.last_sign_in,
                has_totp=r.totp_sealed is not None,
                has_password=r.password_hash is not None,
                passkeys=r.keys,
            )
            for r in rows
        ]


def _role(word: str) -> Role:
    try:
        return Role(word)
    except ValueError:
        raise BadInput(f"{word[:40]!r} is no role", todo="Use operator, developer or auditor.") from None
