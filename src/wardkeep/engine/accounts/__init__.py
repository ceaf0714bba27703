"""Users, one-time links, sessions, second factors, passkeys, API tokens and how often anything may be tried."""

from __future__ import annotations

from dataclasses import dataclass

from wardkeep.engine.accounts.books import Books, Seal, utc_now
from wardkeep.engine.accounts.factors import Factors
from wardkeep.engine.accounts.limits import Closed, Limits
from wardkeep.engine.accounts.passkeys import Party, Passkey, Passkeys
from wardkeep.engine.accounts.sessions import Links, Session, Sessions, csrf_token
from wardkeep.engine.accounts.tokens import MAY, SCOPES, Bearer, Token, Tokens
from wardkeep.engine.accounts.users import Role, User, Users

__all__ = [
    "MAY",
    "SCOPES",
    "Accounts",
    "Bearer",
    "Books",
    "Closed",
    "Factors",
    "Limits",
    "Links",
    "Party",
    "Passkey",
    "Passkeys",
    "Role",
    "Seal",
    "Session",
    "Sessions",
    "Token",
    "Tokens",
    "User",
    "Users",
    "csrf_token",
    "open_accounts",
    "utc_now",
]


@dataclass(frozen=True)
class Accounts:
    """Everything about who may come in."""

    books: Books
    users: Users
    links: Links
    sessions: Sessions
    factors: Factors
    passkeys: Passkeys
    tokens: Tokens
    limits: Limits


def open_accounts(books: Books, *, factors: Factors | None = None) -> Accounts:
    """The accounts kept in these books. `factors` lets tests hash passwords at less cost."""
    users = Users(books)
    return Accounts(
        books=books,
        users=users,
        links=Links(books, users),
        sessions=Sessions(books, users),
        factors=factors or Factors(books),
        passkeys=Passkeys(books),
        tokens=Tokens(books, users),
        limits=Limits(books),
    )
