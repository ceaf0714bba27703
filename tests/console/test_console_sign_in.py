"""Ways in: one-time links, the app's codes, passwords, recovery codes; sessions and their ends; how often one may try."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

import httpx
import pyotp
import pytest

from wardkeep.core.errors import BadInput, Refused
from wardkeep.engine.accounts import Accounts, User
from wardkeep.engine.platform import Platform

PASSWORD = "three unrelated words"


class Clock(Protocol):
    def __call__(self) -> object: ...
    def forward(self, **span: float) -> None: ...


def token_of(page: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page)
    assert found, page[:500]
    return found[1]


async def post(client: httpx.AsyncClient, path: str, shown: str, **fields: str) -> httpx.Response:
    """Send a form as a browser would: with the token of the page that shows it."""
    page = await client.get(shown)
    return await client.post(path, data={"csrf": token_of(page.text), **fields})


@pytest.fixture
def alice(accounts: Accounts) -> User:
    return accounts.users.add("alice", "operator", by="engine")


async def open_link(client: httpx.AsyncClient, accounts: Accounts) -> httpx.Response:
    secret = accounts.links.issue("alice", by="engine")
    return await post(client, "/sign-in/link", f"/sign-in/link?token={secret}", token=secret)


async def enrol_app(
    client: httpx.AsyncClient, accounts: Accounts, clock: Clock, password: str = ""
) -> pyotp.TOTP:
    """By link to the enrolment page, then with the key shown there."""
    await open_link(client, accounts)
    page = (await client.get("/enrol")).text
    found = re.search(r"Key: <code>([A-Z2-7 ]+)</code>", page)
    assert found
    app = pyotp.TOTP(found[1].replace(" ", ""))
    code = app.at(clock())  # type: ignore[call-overload]
    done = await post(client, "/enrol/totp", "/enrol", code=code, password=password)
    assert done.status_code == 303, done.text
    assert done.headers["location"] == "/account/recovery"
    return app


async def test_a_link_lets_in_once_and_only_to_enrol(
    client: httpx.AsyncClient, accounts: Accounts, alice: User
) -> None:
    secret = accounts.links.issue("alice", by="engine")
    page = await client.get(f"/sign-in/link?token={secret}")
    assert "Sign in as alice" in page.text
    again = await client.get(f"/sign-in/link?token={secret}")
    assert "Sign in as alice" in again.text  # looking does not use it up
    used = await client.post("/sign-in/link", data={"csrf": token_of(again.text), "token": secret})
    assert used.headers["location"] == "/enrol"
    assert (await client.get("/")).headers["location"] == "/enrol"  # nothing else is open yet
    assert (await client.get("/findings.json")).status_code == 401
    client.cookies.clear()
    assert (await client.get(f"/sign-in/link?token={secret}")).status_code == 410


async def test_a_link_ends_after_fifteen_minutes(
    client: httpx.AsyncClient, accounts: Accounts, alice: User, clock: Clock
) -> None:
    secret = accounts.links.issue("alice", by="engine")
    clock.forward(minutes=14, seconds=59)
    assert accounts.links.peek(secret) == "alice"
    clock.forward(seconds=2)
    assert accounts.links.peek(secret) is None
    assert accounts.links.use(secret) is None


def test_a_newer_link_ends_the_older(accounts: Accounts, alice: User) -> None:
    older, newer = accounts.links.issue("alice", by="engine"), accounts.links.issue("alice", by="engine")
    assert accounts.links.use(older) is None
    assert accounts.links.use(newer) == "alice"


def test_secrets_are_nowhere_at_rest(accounts: Accounts, alice: User, platform: Platform) -> None:
    link = accounts.links.issue("alice", by="engine")
    cookie = accounts.sessions.start("alice", "totp", address="", agent="")
    token, _ = accounts.tokens.issue("alice", "ci", ["read"], days=1, by="engine")
    secret = accounts.factors.new_secret()
    accounts.factors.set_totp(alice, secret)
    accounts.factors.set_password(alice, PASSWORD)
    codes = accounts.factors.new_recovery_codes(alice)
    held = b"".join(p.read_bytes() for p in platform.folder.rglob("*") if p.is_file())
    for one in (link, cookie, token, secret, PASSWORD, *codes):
        assert one.encode() not in held


async def test_enrol_an_app_then_sign_in_with_password_and_code(
    client: httpx.AsyncClient, accounts: Accounts, alice: User, clock: Clock, platform: Platform
) -> None:
    app = await enrol_app(client, accounts, clock, PASSWORD)
    assert (await client.get("/")).status_code == 200
    out = await post(client, "/sign-out", "/")
    assert out.status_code == 303
    assert (await client.get("/")).status_code == 303
    clock.forward(seconds=30)
    code = app.at(clock())  # type: ignore[call-overload]
    fields = {"name": "alice", "password": PASSWORD, "code": code, "next": "/findings"}
    entered = await post(client, "/sign-in/password", "/sign-in", **fields)
    assert entered.headers["location"] == "/findings"
    assert (await client.get("/findings")).status_code == 200
    bodies = [e["body"] for e in platform.ledger.read() if e["kind"] == "sign-in"]
    assert {"outcome": "signed in", "by": "totp", "address": "127.0.0.1"} in bodies
    await post(client, "/sign-out", "/")
    replayed = await post(client, "/sign-in/password", "/sign-in", **fields)
    assert replayed.status_code == 403  # the same code a second time


async def test_a_code_is_good_for_its_time_and_once(accounts: Accounts, alice: User, clock: Clock) -> None:
    secret = accounts.factors.new_secret()
    accounts.factors.set_totp(alice, secret)
    code = pyotp.TOTP(secret).at(clock())  # type: ignore[call-overload]
    assert accounts.factors.check_totp(alice, code)
    assert not accounts.factors.check_totp(alice, code)
    clock.forward(seconds=90)
    assert not accounts.factors.check_totp(alice, code)
    for bad in ("", "12345", "1234567", "abcdef", "١٢٣٤٥٦", code + "0"):
        assert not accounts.factors.check_totp(alice, bad)


async def test_the_answer_does_not_tell_what_was_wrong(
    client: httpx.AsyncClient, accounts: Accounts, alice: User
) -> None:
    accounts.factors.set_password(alice, PASSWORD)
    accounts.factors.set_totp(alice, accounts.factors.new_secret())
    said = set()
    for name, password in (("alice", "wrong"), ("nobody", "wrong"), ("alice", PASSWORD)):
        answer = await post(
            client, "/sign-in/password", "/sign-in", name=name, password=password, code="000000"
        )
        said.add((answer.status_code, re.sub(r'value="[^"]*"', "", answer.text.split("<main")[1])))
    assert len(said) == 1


async def test_too_many_wrong_codes_close_one_path_and_leave_the_others(
    client: httpx.AsyncClient, accounts: Accounts, alice: User, clock: Clock, platform: Platform
) -> None:
    app = await enrol_app(client, accounts, clock, PASSWORD)
    await post(client, "/sign-out", "/")
    size = platform.ledger.size
    answers = []
    for n in range(40):
        wrong = {"name": "alice", "password": PASSWORD, "code": f"{n:06}"}
        answers.append((await post(client, "/sign-in/password", "/sign-in", **wrong)).status_code)
    assert answers[:5] == [403] * 5
    assert set(answers[5:]) == {429}
    assert platform.ledger.size - size == 1  # one entry, not forty
    clock.forward(seconds=30)
    right = {"name": "alice", "password": PASSWORD, "code": app.at(clock())}  # type: ignore[call-overload]
    assert (await post(client, "/sign-in/password", "/sign-in", **right)).status_code == 429
    # The rightful operator goes by a link, whose codes are counted apart.
    assert (await open_link(client, accounts)).headers["location"] == "/sign-in/second"
    entered = await post(client, "/sign-in/second", "/sign-in/second", code=right["code"])
    assert entered.status_code == 303
    assert (await client.get("/")).status_code == 200
    # And after a quarter of an hour the closed path is open again, its count on record.
    await post(client, "/sign-out", "/")
    clock.forward(minutes=16)
    right["code"] = app.at(clock())  # type: ignore[call-overload]
    assert (await post(client, "/sign-in/password", "/sign-in", **right)).status_code == 303
    accounts.limits.wrong("recovery", "somebody")  # any attempt sweeps what has passed
    refused = [e["body"] for e in platform.ledger.read() if e["body"].get("outcome") == "refused"]
    assert [(b["path"], b["attempts"]) for b in refused] == [("code-password", 5)]


async def test_guessing_names_closes_the_address(client: httpx.AsyncClient, accounts: Accounts) -> None:
    statuses = [
        (
            await post(client, "/sign-in/password", "/sign-in", name=f"u{n}", password="x", code="1")
        ).status_code
        for n in range(35)
    ]
    assert statuses == [403] * 30 + [429] * 5


async def test_recovery_codes_work_once(
    client: httpx.AsyncClient, accounts: Accounts, alice: User, clock: Clock
) -> None:
    await enrol_app(client, accounts, clock, PASSWORD)
    page = (await post(client, "/account/recovery", "/account/recovery")).text
    codes = re.findall(r"<li>([a-z2-7]{5}-[a-z2-7]{5})</li>", page)
    assert len(set(codes)) == 10
    for attempt, status in ((codes[0], 303), (codes[0], 403), (codes[1].upper().replace("-", " "), 303)):
        await post(client, "/sign-out", "/account") if (
            await client.get("/account")
        ).status_code == 200 else None
        answer = await post(
            client, "/sign-in/password", "/sign-in", name="alice", password=PASSWORD, code=attempt
        )
        assert answer.status_code == status
    assert accounts.factors.recovery_codes_left(alice) == 8


async def test_a_link_alone_does_not_open_an_enrolled_account(
    client: httpx.AsyncClient, accounts: Accounts, alice: User, clock: Clock
) -> None:
    await enrol_app(client, accounts, clock)
    await post(client, "/sign-out", "/")
    assert (await open_link(client, accounts)).headers["location"] == "/sign-in/second"
    assert (await client.get("/")).headers["location"] == "/sign-in/second"
    assert (
        (await client.get("/enrol")).headers["location"].startswith("/sign-in/second")
    )  # nor adds another way in
    refused = await post(client, "/sign-in/second", "/sign-in/second", code="000000")
    assert refused.status_code == 403


def test_sessions_end_by_idleness_and_by_age(accounts: Accounts, alice: User, clock: Clock) -> None:
    cookie = accounts.sessions.start("alice", "totp", address="", agent="")
    clock.forward(minutes=29)
    assert accounts.sessions.find(cookie)
    clock.forward(minutes=31)
    assert accounts.sessions.find(cookie) is None
    busy = accounts.sessions.start("alice", "totp", address="", agent="")
    for _ in range(35):
        clock.forward(minutes=20)
        alive = accounts.sessions.find(busy) is not None
    assert alive  # 11 h 40
    clock.forward(minutes=21)
    assert accounts.sessions.find(busy) is None
    assert accounts.sessions.find("") is None
    assert accounts.sessions.find("x" * 5000) is None


async def test_signing_in_changes_the_cookie(
    client: httpx.AsyncClient, accounts: Accounts, alice: User, clock: Clock
) -> None:
    """A cookie planted or seen before the second factor is worth nothing after it."""
    await open_link(client, accounts)
    half = client.cookies["wardkeep-loopback"]
    client.cookies.clear()
    await enrol_app(client, accounts, clock)
    assert client.cookies["wardkeep-loopback"] != half


async def test_other_sessions_can_be_ended(
    client: httpx.AsyncClient, accounts: Accounts, alice: User, clock: Clock
) -> None:
    await enrol_app(client, accounts, clock)
    other = accounts.sessions.start("alice", "totp", address="10.0.0.9", agent="elsewhere")
    mine = client.cookies["wardkeep-loopback"]
    assert "10.0.0.9" in (await client.get("/account")).text
    await post(client, "/account/sessions/end", "/account")
    assert accounts.sessions.find(other) is None
    assert accounts.sessions.find(mine)


def test_who_is_disabled_or_reset_is_out(accounts: Accounts, alice: User) -> None:
    accounts.users.add("bob", "operator", by="engine")
    cookie = accounts.sessions.start("alice", "totp", address="", agent="")
    token, _ = accounts.tokens.issue("alice", "ci", ["read"], days=1, by="engine")
    accounts.users.disable("alice", by="operator:bob")
    assert accounts.sessions.find(cookie) is None
    assert accounts.tokens.check(token) is None
    with pytest.raises(BadInput, match="disabled"):
        accounts.links.issue("alice", by="operator:bob")
    accounts.users.enable("alice", by="operator:bob")
    assert accounts.tokens.check(token) is None  # enabling does not bring old tokens back
    accounts.factors.set_totp(alice, accounts.factors.new_secret())
    accounts.users.reset("alice", by="operator:bob")
    assert not accounts.users.need("alice").enrolled


def test_the_last_operator_stays(accounts: Accounts, alice: User) -> None:
    with pytest.raises(Refused, match="last operator"):
        accounts.users.disable("alice", by="operator:alice")
    with pytest.raises(Refused, match="last operator"):
        accounts.users.set_role("alice", "auditor", by="operator:alice")


@pytest.mark.parametrize("name", ["", "A", "1a", "a b", "a" * 33, "ro\u200bot", "a/b", "<b>"])
def test_bad_user_names(accounts: Accounts, name: str) -> None:
    with pytest.raises(BadInput):
        accounts.users.add(name, "operator", by="engine")


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "alice", "x" * 300])
def test_weak_passwords(accounts: Accounts, alice: User, password: str) -> None:
    with pytest.raises(BadInput):
        accounts.factors.set_password(alice, password)


def test_every_act_is_on_record(accounts: Accounts, alice: User, platform: Platform) -> None:
    acts: list[Callable[[], object]] = [
        lambda: accounts.users.add("bob", "auditor", by="operator:alice"),
        lambda: accounts.users.set_role("bob", "operator", by="operator:alice"),
        lambda: accounts.links.issue("bob", by="operator:alice"),
        lambda: accounts.tokens.issue("bob", "ci", ["read"], days=2, by="operator:alice"),
        lambda: accounts.users.disable("bob", by="operator:alice"),
        lambda: accounts.users.enable("bob", by="operator:alice"),
        lambda: accounts.users.reset("bob", by="operator:alice"),
    ]
    for act in acts:
        before = platform.ledger.size
        act()
        entries = list(platform.ledger.read(before))
        assert [e["actor"] for e in entries] == ["operator:alice"]
