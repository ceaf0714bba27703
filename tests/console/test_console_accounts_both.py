"""What the accounts ask of the database, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyotp
import pytest
from argon2 import PasswordHasher

from wardkeep.core.errors import BadInput
from wardkeep.engine.accounts import Accounts, Books, Factors, Seal, open_accounts
from wardkeep.store import Store


@dataclass
class Desk:
    """Books with a list for a ledger and a clock that is moved."""

    accounts: Accounts
    entries: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    now: datetime = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def desk(store: Store) -> Desk:
    made: Desk

    def record(kind: str, actor: str, body: Mapping[str, Any]) -> None:
        made.entries.append((kind, actor, body))

    books = Books(store, record, Seal(b"k" * 32), lambda: made.now)
    made = Desk(open_accounts(books, factors=Factors(books, PasswordHasher(1, 8, 1))))
    made.accounts.users.add("ada", "operator", by="engine")
    return made


def test_a_life_of_an_account(desk: Desk) -> None:
    a = desk.accounts
    assert a.links.use(a.links.issue("ada", by="engine")) == "ada"
    secret = a.factors.new_secret()
    a.factors.set_totp(a.users.need("ada"), secret)
    a.factors.set_password(a.users.need("ada"), "three unrelated words")
    ada = a.users.need("ada")
    assert ada.enrolled
    assert a.factors.check_password(ada, "three unrelated words")
    assert not a.factors.check_password(ada, "three unrelated word")
    assert not a.factors.check_password(None, "three unrelated words")
    code = pyotp.TOTP(secret).at(desk.now)
    assert a.factors.check_totp(ada, code)
    assert not a.factors.check_totp(ada, code)
    codes = a.factors.new_recovery_codes(ada)
    assert a.factors.use_recovery_code(ada, codes[3])
    assert not a.factors.use_recovery_code(ada, codes[3])
    assert a.factors.recovery_codes_left(ada) == 9
    cookie = a.sessions.start("ada", "totp", address="::1", agent="x")
    session = a.sessions.find(cookie)
    assert session is not None
    assert session.full
    a.sessions.keep(session, one="two")
    kept = a.sessions.find(cookie)
    assert kept is not None
    assert kept.data == {"one": "two"}
    token, told = a.tokens.issue("ada", "ci", ["read", "waive"], days=3, by="operator:ada")
    bearer = a.tokens.check(token)
    assert bearer is not None
    assert bearer.scopes == {"read", "waive"}
    assert [t.id for t in a.tokens.all()] == [bearer.token.id]
    assert told.prefix in token
    a.users.reset("ada", by="engine")
    assert a.sessions.find(cookie) is None
    assert a.tokens.check(token) is None
    assert {kind for kind, _, _ in desk.entries} == {"user", "sign-in", "token"}


def test_of_many_at_once_one_link_and_one_code_win(desk: Desk) -> None:
    a = desk.accounts
    link = a.links.issue("ada", by="engine")
    secret = a.factors.new_secret()
    ada = a.users.need("ada")
    a.factors.set_totp(ada, secret)
    code = pyotp.TOTP(secret).at(desk.now)
    (recovery, *_) = a.factors.new_recovery_codes(ada)
    with ThreadPoolExecutor(8) as pool:
        links = list(pool.map(lambda _: a.links.use(link), range(16)))
        codes = list(pool.map(lambda _: a.factors.check_totp(ada, code), range(16)))
        recovered = list(pool.map(lambda _: a.factors.use_recovery_code(ada, recovery), range(16)))
    assert sorted(map(str, links)) == ["None"] * 15 + ["ada"]
    assert codes.count(True) == 1
    assert recovered.count(True) == 1


def test_counting_wrong_attempts(desk: Desk) -> None:
    limits = desk.accounts.limits
    for n in range(5):
        assert limits.closed("code-link", "ada") is None, n
        limits.wrong("code-link", "ada")
    closed = limits.closed("code-link", "ada")
    assert closed is not None
    assert 895 <= closed.seconds <= 901
    assert limits.closed("code-link", "bob") is None
    assert limits.closed("code-password", "ada") is None
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: limits.wrong("code-link", "ada"), range(345)))
    desk.forward(minutes=15, seconds=1)
    assert limits.closed("code-link", "ada") is None
    desk.forward(minutes=2)
    limits.wrong("code-link", "ada")
    said = [body for kind, _, body in desk.entries if kind == "sign-in" and "path" in body]
    assert [(b["outcome"], b.get("attempts")) for b in said] == [("path closed", None), ("refused", 350)]


def test_another_process_sees_a_closed_path(desk: Desk) -> None:
    for _ in range(5):
        desk.accounts.limits.wrong("recovery", "ada")
    assert open_accounts(desk.accounts.books).limits.closed("recovery", "ada") is not None


def test_a_name_that_is_taken(desk: Desk) -> None:
    with pytest.raises(BadInput, match="exists already"):
        desk.accounts.users.add("ada", "auditor", by="engine")


def test_a_seal_opens_only_with_its_key_and_for_its_owner() -> None:
    from wardkeep.core.errors import Unavailable

    seal = Seal(b"k" * 32)
    closed = seal.close(b"secret", "totp:ada")
    assert seal.open(closed, "totp:ada") == b"secret"
    for key, about, data in (
        (b"j" * 32, "totp:ada", closed),
        (b"k" * 32, "totp:bob", closed),
        (b"k" * 32, "totp:ada", closed[:-1]),
    ):
        with pytest.raises(Unavailable, match="cannot be opened"):
            Seal(key).open(data, about)
    assert "k" * 8 not in repr(seal)
