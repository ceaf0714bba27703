"""The API for programs: scopes, problems in one line, tokens right and wrong, live events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from wardkeep.console.api import acting, deciding, reading
from wardkeep.engine.accounts import SCOPES, Accounts
from wardkeep.engine.finding_views import Filters, list_findings
from wardkeep.engine.platform import Platform

SignIn = Callable[[str, str], str]


@pytest.fixture
def issue(accounts: Accounts) -> Callable[..., dict[str, str]]:
    """`issue("read", role="auditor")` is the header of a new token."""

    def make(*scopes: str, role: str = "operator", days: int = 1) -> dict[str, str]:
        name = f"{role}-{len(accounts.users.all())}"
        accounts.users.add(name, role, by="engine")
        secret, _ = accounts.tokens.issue(name, "test", scopes, days=days, by="engine")
        return {"Authorization": f"Bearer {secret}"}

    return make


def routes() -> list[tuple[str, str, str]]:
    """(method, path, scope) of every route of the API."""
    found = []
    for route in [*reading.router.routes, *acting.router.routes, *deciding.router.routes]:
        scopes = {
            getattr(d.call, "scope", "")
            for dependency in route.dependant.dependencies
            for d in [dependency, *dependency.dependencies]
        }
        (scope,) = scopes - {""}
        found += [(method, route.path, scope) for method in route.methods]
    return found


async def test_every_route_wants_its_scope(
    client: httpx.AsyncClient, issue: Callable[..., dict[str, str]]
) -> None:
    headers = {scope: issue(scope) for scope in SCOPES}
    seen = set()
    for method, path, scope in routes():
        where = path.format(
            control="firewall",
            fingerprint="0" * 16,
            name="db-1",
            index=2,
            number=0,
            run="x",
            flaw="x",
            waiver="x",
            token="x",
        )
        assert (await client.request(method, where)).status_code == 401, where
        for other, header in headers.items():
            answer = await client.request(method, where, headers=header)
            assert (answer.status_code == 403) is (other != scope), (where, other, answer.text)
            assert answer.status_code < 500
        seen.add(scope)
    assert seen == set(SCOPES)


async def test_a_token_has_no_more_rights_than_its_user(
    accounts: Accounts, client: httpx.AsyncClient, issue: Callable[..., dict[str, str]]
) -> None:
    header = issue("read", "admin", "waive")
    name = next(u.name for u in accounts.users.all() if u.role == "operator")
    assert (await client.get("/api/v1/users", headers=header)).status_code == 200
    accounts.users.add("other", "operator", by="engine")
    accounts.users.set_role(name, "developer", by="operator:other")
    assert (await client.get("/api/v1/users", headers=header)).status_code == 403
    assert (await client.get("/api/v1/controls", headers=header)).status_code == 200
    assert (
        await client.get("/api/v1/ledger", headers=header)
    ).status_code == 403  # developers see no raw answers


async def test_problems_are_one_line(client: httpx.AsyncClient, issue: Callable[..., dict[str, str]]) -> None:
    header = issue("read", "check", "admin")
    asked = [
        ("GET", "/api/v1/controls/firewal", None, 422, "Did you mean `firewall`?"),
        ("GET", "/api/v1/findings?verdict=maybe", None, 422, "pass, fail, unknown"),
        ("GET", "/api/v1/findings?limit=0", None, 422, "limit"),
        ("GET", "/api/v1/findings/ffffffffffffffff", None, 404, "No finding"),
        ("GET", "/api/v1/flaws?show=maybe", None, 422, "no part of the queue"),
        ("GET", "/api/v1/flaws/CVE-1999-0001", None, 404, "No flaw"),
        ("GET", "/api/v1/ledger/999999", None, 404, "no entry"),
        ("GET", "/api/v1/ledger/abc", None, 422, "index"),
        ("GET", "/api/v1/nothing", None, 404, "Not Found"),
        ("POST", "/api/v1/checks", {"controls": ["x"]}, 422, "no control"),
        ("POST", "/api/v1/checks", {"hosts": ["nowhere"]}, 422, "no host"),
        ("POST", "/api/v1/checks", {"host": ["db-1"]}, 422, "Extra inputs"),
        ("POST", "/api/v1/users", {"name": "x\x00", "role": "operator"}, 422, "zero byte"),
        ("POST", "/api/v1/tokens", {"name": "x", "user": "nobody", "scopes": ["read"]}, 422, "no user"),
    ]
    for method, path, body, status, says in asked:
        answer = await client.request(method, path, json=body, headers=header)
        assert answer.status_code == status, (path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        told = answer.json()
        assert set(told) == {"title", "status", "detail"}
        assert says in told["detail"], told
        assert "\n" not in told["detail"]


async def test_the_review_of_flaws_is_read(
    client: httpx.AsyncClient, issue: Callable[..., dict[str, str]]
) -> None:
    header = issue("read")
    told = (await client.get("/api/v1/flaws?show=late", headers=header)).json()
    assert [case["flaw"] for case in told["cases"]] == ["CVE-2026-0001"]
    (one,) = (await client.get("/api/v1/flaws/DSA-9001-1", headers=header)).json()
    assert {asset["host"] for asset in one["assets"]} == {"app-1", "db-1"}


async def test_flaws_are_decided_by_api_with_the_refusals_of_the_acts(
    client: httpx.AsyncClient, issue: Callable[..., dict[str, str]], platform: Platform
) -> None:
    header = issue("flaws")

    async def decide(**asked: object) -> httpx.Response:
        return await client.post("/api/v1/flaws/decisions", json=asked, headers=header)

    flaw = "CVE-2026-0006"
    told = (await decide(flaws=[flaw], decision="accepted", says="tonight")).json()
    assert [(case["flaw"], case["decision"], case["said"]["says"]) for case in told["cases"]] == [
        (flaw, "accepted", "tonight")
    ]
    (entry,) = platform.ledger.read(told["entry"], told["entry"] + 1)
    assert (entry["kind"], entry["actor"][:9], entry["body"]["act"]) == ("flaw", "operator:", "accepted")
    waived = {"owner": "Ada", "says": "no fix", "compensating": "VPN only", "until": "2027-01-31"}
    made = await decide(flaws=[flaw], decision="waived", until_fixed=True, **waived)
    assert (made.status_code, len(made.json()["waivers"])) == (201, 1), made.text
    size = platform.ledger.size
    refused = [
        ({"flaws": ["CVE-1999-0001"], "decision": "accepted"}, "concerns the fleet"),
        ({"flaws": [flaw, "CVE-1999-0001"], "decision": "accepted"}, "concerns the fleet"),
        ({"flaws": [flaw], "decision": "planned", "owner": "Ada"}, "needs a day"),
        ({"flaws": [flaw], "decision": "planned", "owner": "Ada", "until": "2020-01-01"}, "is past"),
        (
            {"flaws": [flaw], "decision": "not_affected", "justification": "luck", "says": "x"},
            "no justification",
        ),
        ({"flaws": [flaw], "decision": "reopened"}, "must be said"),
        ({"flaws": [flaw], "decision": "perhaps"}, "decision"),
        ({"flaws": [], "decision": "accepted"}, "flaws"),
        ({"flaws": [flaw], "decision": "accepted", "by": "operator:other"}, "Extra inputs"),
    ]
    for asked, says in refused:
        answer = await decide(**asked)
        assert answer.status_code == 422, answer.text
        assert says in answer.json()["detail"]
    assert platform.ledger.size == size
    done = await client.post("/api/v1/flaws/reviewed", json={"says": "five, one waived"}, headers=header)
    (entry,) = platform.ledger.read(done.json()["entry"], done.json()["entry"] + 1)
    assert entry["kind"] == "review"


async def test_ten_thousand_wrong_tokens(
    client: httpx.AsyncClient,
    issue: Callable[..., dict[str, str]],
    platform: Platform,
    accounts: Accounts,
    clock: Callable[..., object],
) -> None:
    """Refused cheaply, on record as two entries at most, and the right token works all the while."""
    right = issue("read")
    size, wrong = platform.ledger.size, right["Authorization"][:-9]
    began = time.process_time()
    statuses = set()
    for n in range(10_000):
        # Half of them invented, half with everything right but the secret: check characters recomputed by the attacker.
        secret = f"wk_{n:08x}_" + "A" * 43
        token = f"{secret}_{crc(secret)}" if n % 2 else f"{wrong.removeprefix('Bearer ')}_{n:08x}"
        if n < 60 or n % 200 == 0:
            answer = await client.get("/api/v1/controls", headers={"Authorization": f"Bearer {token}"})
            statuses.add(answer.status_code)
        else:  # the same check without the HTTP client, which costs more than what is measured
            assert accounts.tokens.check(token) is None
            accounts.limits.closed("token-address", "127.0.0.1")
            accounts.limits.wrong("token-address", "127.0.0.1")
    spent = time.process_time() - began
    assert statuses == {401, 429}
    assert platform.ledger.size - size == 1
    entry = next(e for e in platform.ledger.read(size))
    assert (entry["kind"], entry["body"]["path"]) == ("sign-in", "token-address")
    assert (await client.get("/api/v1/controls", headers=right)).status_code == 200
    clock.forward(minutes=16)  # type: ignore[attr-defined]
    accounts.limits.wrong("token-address", "10.0.0.1")  # whatever comes next sweeps what has passed
    told = [e["body"] for e in platform.ledger.read(size) if e["kind"] == "sign-in"]
    assert [b["attempts"] for b in told if b["outcome"] == "refused"] == [10_000]
    assert len(told) == 2
    assert spent < 20, f"{spent:.1f} s of CPU for 10,000 wrong tokens"


def crc(text: str) -> str:
    import zlib

    return f"{zlib.crc32(text.encode()):08x}"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic Zm9v", "Bearer é", "Bearer " + "x" * 9000, "wk_"]
)
async def test_odd_headers(client: httpx.AsyncClient, header: str) -> None:
    answer = await client.get("/api/v1/controls", headers={"Authorization": header.encode()})  # type: ignore[dict-item]
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_tokens_end(accounts: Accounts, clock: Callable[..., object]) -> None:
    accounts.users.add("ada", "operator", by="engine")
    secret, token = accounts.tokens.issue("ada", "ci", ["read"], days=2, by="engine")
    assert accounts.tokens.check(secret)
    clock.forward(days=2)  # type: ignore[attr-defined]
    assert accounts.tokens.check(secret) is None
    again, token = accounts.tokens.issue("ada", "ci", ["read"], days=2, by="engine")
    accounts.tokens.revoke(token.id, by="engine")
    assert accounts.tokens.check(again) is None


async def test_waive_by_api(
    client: httpx.AsyncClient,
    issue: Callable[..., dict[str, str]],
    platform: Platform,
    clock: Callable[..., object],
) -> None:
    header = issue("waive")
    fingerprint = list_findings(platform, Filters(verdict="fail")).findings[0].fingerprint
    asked = {"owner": "Ada", "reason": "mended in March", "compensating": "behind the bastion"}
    asked["expires"] = (clock() + timedelta(days=9)).isoformat()  # type: ignore[operator]
    made = await client.post(f"/api/v1/findings/{fingerprint}/waivers", json=asked, headers=header)
    assert made.status_code == 201, made.text
    again = await client.post(f"/api/v1/findings/{fingerprint}/waivers", json=asked, headers=header)
    assert again.status_code == 422
    ended = await client.post(
        f"/api/v1/waivers/{made.json()['id']}/revoke", json={"reason": "done"}, headers=header
    )
    assert ended.json()["state"] == "revoked"


async def test_a_check_is_started_and_followed(
    client: httpx.AsyncClient, issue: Callable[..., dict[str, str]], platform: Platform
) -> None:
    from wardkeep.engine.hosts import remove_host

    for name in ("app-1", "app-2", "db-1"):
        remove_host(platform, name, "operator:test")  # the platform itself is left to look at
    header = issue("check", "read")
    began = await client.post("/api/v1/checks", json={"controls": ["alerting"]}, headers=header)
    assert began.status_code == 202, began.text
    run = began.json()["id"]
    events = await asyncio.wait_for(client.get(f"/api/v1/checks/{run}/events", headers=header), 20)
    assert events.headers["content-type"].startswith("text/event-stream")
    assert events.text.rstrip().split("event: ")[-1].startswith("done")
    told = (await client.get(f"/api/v1/checks/{run}", headers=header)).json()
    assert told["ended"]
    assert "Looked at 1" in told["events"][-1]["says"]


async def test_the_contract_names_every_route(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    sign_in("first", "operator")
    told = (await client.get("/api/v1/openapi.json")).json()
    assert told["openapi"].startswith("3.")
    named = {(method.upper(), path) for path, operations in told["paths"].items() for method in operations}
    assert named == {(method, path) for method, path, _ in routes()}
    for operations in told["paths"].values():
        for operation in operations.values():
            assert operation["description"], operation["operationId"]
            assert operation["security"] == [{"token": []}]


async def test_metrics_are_for_a_token(
    client: httpx.AsyncClient, issue: Callable[..., dict[str, str]]
) -> None:
    assert (await client.get("/metrics")).status_code == 401
    assert (await client.get("/metrics", headers=issue("check"))).status_code == 403
    answer = await client.get("/metrics", headers=issue("read"))
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "wardkeep_findings{" in answer.text
    assert "db-1" not in answer.text


async def test_the_contract_is_there_for_any_good_token(
    client: httpx.AsyncClient, issue: Callable[..., dict[str, str]]
) -> None:
    assert (await client.get("/api/v1/openapi.json")).status_code == 401
    told = await client.get("/api/v1/openapi.json", headers=issue("check"))
    assert told.json()["openapi"].startswith("3.")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("controls?as_of=2026-01-01", "takes no parameters"),
        ("controls/firewall?as-of=2026-01-01", "takes no parameters"),
        ("findings?sevrity=critical", "Did you mean `severity`?"),
        ("findings?control=firewal", "Did you mean `firewall`?"),
        ("findings?host=ap-1", "Did you mean `app-1`?"),
        ("findings?rule=nothing.at_all", "no rule is called"),
        ("findings?rule=system_access.no_such", "no rule is called"),
    ],
)
async def test_a_misspelt_question_is_refused_and_not_answered(
    client: httpx.AsyncClient, issue: Callable[..., dict[str, str]], asked: str, said: str
) -> None:
    answer = await client.get(f"/api/v1/{asked}", headers=issue("read"))
    assert answer.status_code == 422, answer.text
    assert said in answer.json()["detail"]
