"""What every answer carries and every request must satisfy."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from wardkeep.console.app import PAGES as PARTS
from wardkeep.console.app import create_app
from wardkeep.console.auth.gate import local_path
from wardkeep.console.security import LARGEST_BODY
from wardkeep.engine.accounts import Accounts
from wardkeep.engine.platform import Platform

SignIn = Callable[[str, str], str]


async def test_every_answer_carries_the_headers(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    sign_in("first", "operator")
    for path in ("/", "/findings.json", "/nothing", "/static/console.css", "/api/v1/controls", "/sign-in"):
        headers = (await client.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["referrer-policy"] == "same-origin"
    assert (await client.get("/")).headers["cache-control"] == "no-store"


async def test_another_host_name_is_refused(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    """DNS rebinding: a name of the attacker's that resolves to 127.0.0.1 opens nothing."""
    sign_in("first", "operator")
    for host in ("evil.example", "evil.example:8420", "localhost.evil.example", "127.0.0.1.evil.example", ""):
        assert (await client.get("/", headers={"Host": host})).status_code == 421, host
    for host in ("localhost", "localhost:8420", "127.0.0.1:8420", "[::1]:8420"):
        assert (await client.get("/sign-in", headers={"Host": host})).status_code != 421, host


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
async def test_a_post_from_elsewhere_is_refused(
    client: httpx.AsyncClient, sign_in: SignIn, headers: dict[str, str]
) -> None:
    token = sign_in("first", "operator")
    answer = await client.post(
        "/settings/users", data={"csrf": token, "act": "link", "name": "first"}, headers=headers
    )
    assert answer.status_code == 403


async def test_every_post_needs_the_form_token(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform
) -> None:
    good = sign_in("first", "operator")
    before = platform.ledger.size
    posts = [route.path for part in PARTS for route in part.router.routes if "POST" in route.methods]
    assert len(posts) > 12
    for path in posts:
        for token in ("", "0" * 64, good[:-1], good + "0"):
            answer = await client.post(path, data={"csrf": token, "act": "disable", "name": "first"})
            assert answer.status_code == 403, (path, token)
        answer = await client.post(path, json={"csrf": good})  # in a JSON body it does not count
        assert answer.status_code == 403, path
    assert platform.ledger.size == before


async def test_one_sessions_token_is_no_good_in_another(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    first = sign_in("first", "operator")
    second = sign_in("second", "operator")
    assert first != second
    assert (await client.post("/account/recovery", data={"csrf": first})).status_code == 403
    assert (await client.post("/account/recovery", data={"csrf": second})).status_code == 200


async def test_large_bodies_are_refused(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    token = sign_in("first", "operator")
    answer = await client.post("/account/password", data={"csrf": token, "password": "x" * LARGEST_BODY})
    assert answer.status_code == 413


async def test_cookies_on_the_loopback_and_behind_tls(platform: Platform, accounts: Accounts) -> None:
    for origin, name, secure in (
        ("http://localhost:8420", "wardkeep-loopback-visitor", False),
        ("https://wardkeep.example", "__Host-wardkeep-visitor", True),
    ):
        app = create_app(platform, accounts, origin=origin)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=origin) as client:
            answer = await client.get("/sign-in")
        cookie = answer.headers["set-cookie"].lower()
        assert cookie.startswith(name.lower() + "=")
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "path=/" in cookie
        assert "domain=" not in cookie
        assert ("secure" in cookie) is secure
        assert ("strict-transport-security" in answer.headers) is secure


def test_a_sign_in_forwards_only_within_the_console() -> None:
    for bad in (
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil",
        "javascript:alert(1)",
        "/\n/evil",
        "",
    ):
        assert local_path(bad) == "/"
    assert local_path("/findings?q=a") == "/findings?q=a"


async def test_a_fault_of_ours_shows_no_inside(
    platform: Platform, accounts: Accounts, sign_in: SignIn, app: object
) -> None:
    """The database is gone: one line for people, one for programs, no traceback."""
    cookie = (
        accounts.sessions.start("first", "passkey", address="", agent="")
        if accounts.users.find("first")
        else ""
    )
    sign_in("first", "operator")
    cookie = cookie or accounts.sessions.start("first", "passkey", address="", agent="")
    with platform.store.begin() as write:
        write.exec_driver_sql("ALTER TABLE row_states RENAME TO elsewhere")
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for path in ("/", "/matrix.json"):
            answer = await client.get(path, headers={"Cookie": f"wardkeep-loopback={cookie}"})
            assert answer.status_code in (500, 503)
            assert "Traceback" not in answer.text
            assert "row_states" not in answer.text or answer.status_code == 503
            assert answer.headers["x-frame-options"] == "DENY"
