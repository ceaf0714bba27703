"""Every page, over ASGI: who may see it, its JSON twin, and that what hosts say is text and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from console_fleet import NASTY
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wardkeep.console.app import PAGES as PARTS
from wardkeep.engine.accounts import Accounts
from wardkeep.engine.finding_views import Filters, list_findings
from wardkeep.engine.platform import Platform
from wardkeep.engine.policy_record import record_policy

SignIn = Callable[[str, str], str]
ALL, READERS = "operator developer auditor", "operator auditor"
PAGES = {
    "/": ALL,
    "/?order=matrix": ALL,
    "/rows/firewall": ALL,
    "/rows/firewall?as_of=2026-01-01": ALL,
    "/rows/base_images": ALL,
    "/findings": ALL,
    "/findings?verdict=fail,unknown&q=sshd": ALL,
    "/flaws": ALL,
    "/flaws?show=undecided&q=openssl": ALL,
    "/flaws?show=closed": ALL,
    "/flaws/CVE-2026-0001": ALL,
    "/flaws/trends": ALL,
    "/flaws/feeds": ALL,
    "/hosts/app-1/flaws": ALL,
    "/firewall": READERS,
    "/firewall/hosts/app-1": READERS,
    "/firewall/allowlist": READERS,
    "/changes": READERS,
    "/changes?host=app-1": READERS,
    "/hosts": ALL,
    "/hosts?q=db": ALL,
    "/hosts/db-1": ALL,
    "/hosts/platform": ALL,
    "/account": ALL,
    "/account/recovery": ALL,
    "/enrol": ALL,
    "/api/v1/docs": ALL,
    "/ledger": READERS,
    "/ledger?kind=assess&host=db-1": READERS,
    "/ledger/3": READERS,
    "/ledger/4/blobs/0": READERS,
    "/settings": READERS,
    "/settings/users": READERS,
    "/settings/tokens": READERS,
}
OPEN = {"/sign-in", "/sign-in/link", "/sign-in/second", "/sign-in/password", "/sign-in/passkey", "/sign-out"}
OPEN |= {"/sign-in/passkey/options"}


@pytest.mark.parametrize("role", ["operator", "developer", "auditor"])
async def test_every_page_for_every_role(client: httpx.AsyncClient, sign_in: SignIn, role: str) -> None:
    sign_in("first", "operator")
    sign_in("somebody", role)
    for path, roles in PAGES.items():
        answer = await client.get(path)
        assert answer.status_code == (200 if role in roles else 403), (path, role, answer.text[:300])
        assert "<h1>" in answer.text
        assert "style=" not in answer.text, path  # the policy would not let it work
        assert " onclick" not in answer.text, path


async def test_nothing_is_shown_to_strangers(client: httpx.AsyncClient) -> None:
    for part in PARTS:
        for route in part.router.routes:
            if route.path in OPEN:
                continue
            path = (
                route.path.replace("{control}", "firewall").replace("{index}", "0").replace("{number}", "0")
            )
            for method in route.methods:
                answer = await client.request(method, path)
                assert answer.status_code in (303, 401, 403), (method, path, answer.status_code)
                if answer.status_code == 303:
                    assert answer.headers["location"].startswith("/sign-in")


async def test_acts_are_for_operators(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    """Every POST that changes something of the platform is refused to the others, even with a good form token."""
    own = {
        "/sign-out",
        "/account/recovery",
        "/account/passkeys/remove",
        "/account/password",
        "/account/sessions/end",
    }
    posts = {
        route.path
        for part in PARTS
        for route in part.router.routes
        if "POST" in route.methods
        and route.path not in OPEN | own | {"/ledger/pack"}
        and not route.path.startswith("/enrol")
    }
    assert "/check" in posts
    assert "/findings/{fingerprint}/waivers" in posts
    sign_in("first", "operator")
    for role in ("developer", "auditor"):
        token = sign_in(role, role)
        for path in posts:
            answer = await client.post(path, data={"csrf": token})
            assert answer.status_code == 403, (role, path)


async def test_each_page_has_a_twin(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    sign_in("first", "operator")
    rows = (await client.get("/matrix.json")).json()
    assert len(rows["rows"]) == 25
    assert rows["score"]["of"] == 25
    for path in (
        "/findings",
        "/flaws",
        "/flaws/CVE-2026-0001",
        "/flaws/trends",
        "/flaws/feeds",
        "/hosts/app-1/flaws",
        "/hosts",
        "/hosts/db-1",
        "/rows/firewall",
        "/ledger",
        "/ledger/2",
        "/settings",
        "/account",
    ):
        answer = await client.get(path + ".json")
        assert answer.headers["content-type"] == "application/json", path
        assert isinstance(answer.json(), dict), path
    found = (await client.get("/findings.json?verdict=fail&host=db-1")).json()
    assert found["count"] == len(found["findings"]) > 0
    one = (await client.get(f"/findings/{found['findings'][0]['fingerprint']}.json")).json()
    assert one["detail"]["finding"] == found["findings"][0]


async def test_what_a_host_says_is_only_text(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform
) -> None:
    sign_in("first", "operator")
    fingerprint = list_findings(platform, Filters(verdict="fail", host="db-1")).findings[0].fingerprint
    for path in (
        "/findings?verdict=fail",
        f"/findings/{fingerprint}",
        "/hosts/db-1",
        "/ledger/4/blobs/0",
        "/ledger/4",
    ):
        answer = await client.get(path)
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text, path
    assert "&lt;script&gt;alert" in (await client.get(f"/findings/{fingerprint}")).text
    assert "{{7*7}}" in NASTY
    assert (
        "49" not in (await client.get(f"/findings/{fingerprint}")).text.split("<pre>")[1].split("</pre>")[0]
    )


async def test_the_heading_states_the_answer(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    sign_in("first", "operator")
    page = (await client.get("/")).text
    heading = page.split("<h1>")[1].split("</h1>")[0]
    assert "of 25 responsibilities hold" in heading
    rows = page.split("<tbody>")[1].split("</tbody>")[0]
    assert rows.count("<tr>") == 25
    order = [rows.index("s-fail"), rows.index("not built")]
    assert order == sorted(order)  # what needs somebody comes first
    by_number = (await client.get("/?order=matrix")).text
    assert by_number.index("Analysis of intrusion") < by_number.index("Monitoring and alerting")


async def test_paging_reaches_every_finding_once(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform
) -> None:
    sign_in("first", "operator")
    seen: list[str] = []
    after = ""
    for _ in range(100):
        page = (await client.get("/findings.json", params={"after": after})).json()
        seen += [f["fingerprint"] for f in page["findings"]]
        after = page["after"]
        if not after:
            break
    assert len(seen) == len(set(seen)) == page["count"]


async def test_a_waiver_is_given_and_revoked(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform, clock: Callable[[], datetime]
) -> None:
    token = sign_in("first", "operator")
    fingerprint = list_findings(platform, Filters(verdict="fail")).findings[0].fingerprint
    where = f"/findings/{fingerprint}/waivers"
    form = {"csrf": token, "owner": "Ada", "reason": "The vendor mends it in March.", "expires": "2020-01-01"}
    form["compensating"] = "The host is behind the bastion."
    refused = await client.post(where, data=form)
    assert refused.status_code == 422
    assert "not in the future" in refused.text
    assert "The vendor mends it in March." in refused.text  # nothing typed is lost
    in_time = (clock() + timedelta(days=30)).date().isoformat()
    given = await client.post(where, data=form | {"expires": in_time})
    assert given.status_code == 303, given.text
    page = (await client.get(f"/findings/{fingerprint}")).text
    assert "waived" in page
    entry = list(platform.ledger.read())[-1]
    assert (entry["kind"], entry["actor"]) == ("waiver", "operator:first")
    waiver = (await client.get(f"/findings/{fingerprint}.json")).json()["detail"]["waivers"][0]
    ended = await client.post(where + "/revoke", data={"csrf": token, "id": waiver["id"], "reason": "mended"})
    assert ended.status_code == 303
    assert (await client.get(f"/findings/{fingerprint}.json")).json()["detail"]["finding"][
        "waived_until"
    ] is None


async def test_reading_raw_answers_is_on_record(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform
) -> None:
    sign_in("first", "operator")
    sign_in("eve", "auditor")
    await client.get("/ledger/4/blobs/0")
    entry = list(platform.ledger.read())[-1]
    assert (entry["kind"], entry["actor"], entry["body"]["entry"]) == ("review", "auditor:eve", 4)


async def test_an_entry_comes_with_its_proof(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    """The proof is recomputed here by RFC 6962, section 2.1.1, from what the page's twin says alone."""
    from hashlib import sha256

    sign_in("first", "operator")
    for index in range(6):
        told = (await client.get(f"/ledger/{index}.json")).json()["detail"]
        node = sha256(b"\0" + told["canonical"].encode()).digest()
        assert node.hex() == told["leaf_hash"]
        at, last = index, told["size"] - 1
        for sibling in (bytes.fromhex(h) for h in told["proof"]):
            if at % 2 or at == last:
                node = sha256(b"\1" + sibling + node).digest()
                while at % 2 == 0 and at:
                    at, last = at >> 1, last >> 1
            else:
                node = sha256(b"\1" + node + sibling).digest()
            at, last = at >> 1, last >> 1
        assert node.hex() == told["root_hash"]


TEXT = st.text(max_size=60) | st.sampled_from(
    ["fail", "unknown", "0", "-1", "9" * 30, "1.2.3", "2026-13-01", "\x00", "%00"]
)
NAMES = (
    "verdict",
    "severity",
    "control",
    "host",
    "rule",
    "q",
    "state",
    "after",
    "before",
    "kind",
    "as_of",
    "order",
    "limit",
)
PLACES = (
    "/",
    "/findings",
    "/findings.json",
    "/hosts",
    "/rows/firewall",
    "/ledger",
    "/api/v1/findings",
    "/api/v1/ledger",
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(place=st.sampled_from(PLACES), asked=st.dictionaries(st.sampled_from(NAMES), TEXT, max_size=4))
def test_no_query_breaks_a_page(
    fuzzed: Callable[[str, dict[str, str]], httpx.Response], place: str, asked: dict[str, str]
) -> None:
    answer = fuzzed(place, asked)
    assert answer.status_code in (200, 400, 422), (place, asked, answer.text[:500])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.sampled_from(["/rows/", "/findings/", "/hosts/", "/ledger/", "/runs/", "/ledger/1/blobs/"]),
    st.text(max_size=40),
)
def test_no_path_breaks_a_page(
    fuzzed: Callable[[str, dict[str, str]], httpx.Response], place: str, name: str
) -> None:
    from urllib.parse import quote

    answer = fuzzed(place + quote(name, safe=""), {})
    assert answer.status_code in (200, 303, 307, 400, 404, 405, 422), (place, name, answer.text[:500])


@pytest.fixture
def fuzzed(app: FastAPI, accounts: Accounts) -> Callable[[str, dict[str, str]], httpx.Response]:
    """One event loop an example: hypothesis and pytest's fixture loop do not share one."""
    import asyncio

    accounts.users.add("first", "operator", by="engine")
    cookie = accounts.sessions.start("first", "passkey", address="127.0.0.1", agent="test")

    def get(path: str, asked: dict[str, str]) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as one:
                return await one.get(path, params=asked, headers={"Cookie": f"wardkeep-loopback={cookie}"})

        return asyncio.run(ask())

    return get


async def test_an_auditor_takes_a_pack_away_that_verifies(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform, tmp_path: Path
) -> None:
    from wardkeep.ledger.verify import verify_pack

    sign_in("first", "operator")
    token = sign_in("audrey", "auditor")
    answer = await client.post("/ledger/pack", data={"csrf": token, "control": "firewall"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/gzip"
    (tmp_path / "pack.tar.gz").write_bytes(answer.content)
    report = verify_pack(str(tmp_path / "pack.tar.gz"))
    assert report.verified, report.problems
    entry = list(platform.ledger.read())[-1]
    assert (entry["actor"], entry["body"]["act"]) == ("auditor:audrey", "pack exported")
    refused = await client.post(
        "/ledger/pack", data={"csrf": token, "from": "1999-01-01", "to": "1999-01-02"}
    )
    assert refused.status_code == 422
    token = sign_in("devon", "developer")
    assert (await client.post("/ledger/pack", data={"csrf": token})).status_code == 403


async def test_settings_say_since_when_they_are_in_force_and_lead_to_the_entry(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform
) -> None:
    index = record_policy(platform, "operator:test")
    assert index is not None
    sign_in("first", "operator")
    page = (await client.get("/settings")).text
    assert f'on record as entry <a href="/ledger/{index}">' in page
    assert "the profile hipaa" in (await client.get("/ledger?kind=policy")).text
    assert (await client.get("/settings.json")).json()["on_record"]["current"] is True


async def test_settings_mask_addresses_and_show_what_was_not_delivered(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform, clock: Callable[[], datetime]
) -> None:
    from dataclasses import replace

    from sqlalchemy import insert

    from wardkeep.store.schema import deliveries

    secret = "json://user:hunter2@hooks.example/path"
    settings_now = replace(platform.config.settings, alerts_urls=(secret,))
    platform.config = replace(platform.config, settings=settings_now)
    row = {"id": "d1", "channel": "json #1", "title": "t", "body": "b", "created": clock(), "attempts": 3}
    with platform.store.begin() as write:
        write.execute(insert(deliveries).values(**row, next_try=clock(), problem="no route to the service"))
    sign_in("first", "operator")
    page = (await client.get("/settings")).text
    assert "hunter2" not in page
    assert "hooks.example" not in page
    assert "json #1" in page
    assert "no route to the service" in page
    assert "not delivered" in page
