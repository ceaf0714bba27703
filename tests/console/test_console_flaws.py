"""The review of published flaws in the console: what is shown, and that a decision made there is the same act as anywhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from test_console_browser import Page, Served, browser, operator, page, served  # the same fixtures

from wardkeep.engine.platform import Platform
from wardkeep.engine.waivers import list_waivers

SignIn = Callable[[str, str], str]
__all__ = ["Served", "browser", "operator", "page", "served"]
FLAW = "/flaws/CVE-2026-0006"


async def test_the_queue_with_its_arithmetic(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    sign_in("first", "operator")
    text = (await client.get("/flaws")).text
    assert "<h1>5 flaws of the fleet: 5 undecided, 1 late</h1>" in text
    assert "known exploited 40 + fix released 5 + listens to the network on 1 of 2 hosts (443/tcp) 15" in text
    told = (await client.get("/flaws.json")).json()["queue"]
    assert next(case["flaw"] for case in told["cases"]) == "CVE-2026-0001"
    assert told["counts"] == {"open": 5, "undecided": 5, "late": 1, "waived": 0, "closed": 0}
    found = (await client.get("/flaws.json?show=late")).json()["queue"]
    assert [case["flaw"] for case in found["cases"]] == ["CVE-2026-0001"]
    assert (await client.get("/flaws?show=nonsense")).status_code == 422
    assert (await client.get("/flaws/CVE-1999-0001")).status_code == 404


async def test_what_a_feed_says_is_text_and_nothing_else(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    sign_in("first", "operator")
    for path in ("/flaws", "/flaws/CVE-2026-0066", "/hosts/app-1/flaws"):
        text = (await client.get(path)).text
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text
        assert "{{7*7}}" in text  # not reckoned by the template


async def test_one_host_and_the_feeds(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    sign_in("first", "operator")
    told = (await client.get("/hosts/db-1/flaws.json")).json()
    assert {(one["case"]["flaw"], one["asset"]["host"]) for one in told["flaws"]} >= {
        ("CVE-2026-0001", "db-1")
    }
    assert (await client.get("/hosts/app-2/flaws.json")).json()["flaws"] == []
    assert (await client.get("/hosts/nobody/flaws")).status_code == 404
    health = (await client.get("/flaws/feeds.json")).json()["health"]
    assert {one["title"]: one["problem"] for one in health["feeds"]}["Debian security tracker"] == ""


async def test_a_decision_is_made_and_followed(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform
) -> None:
    token = sign_in("first", "operator")
    form = {"csrf": token, "package": "openssl", "decision": "waived", "owner": "Ada", "until": "2020-01-01"}
    form |= {"reason": "no fix yet", "compensating": "only over the VPN", "until_fixed": "yes"}
    refused = await client.post(f"{FLAW}/decisions", data=form)
    assert (refused.status_code, "not in the future" in refused.text) == (422, True)
    assert "only over the VPN" in refused.text  # nothing typed is lost
    day = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    given = await client.post(f"{FLAW}/decisions", data=form | {"until": day})
    assert (given.status_code, given.headers["location"]) == (303, FLAW)
    case = (await client.get(f"{FLAW}.json")).json()["details"][0]["case"]
    assert (case["decision"], case["decided_by"]) == ("waived", "operator:first")
    (held,) = list_waivers(platform, fingerprint=case["finding"])
    assert (held.owner, held.until_fixed, held.state) == ("Ada", True, "in force")
    assert "waived" in (await client.get(f"/findings/{case['finding']}")).text
    back = {"csrf": token, "package": "openssl", "decision": "reopened", "reason": "the VPN is gone"}
    assert (await client.post(f"{FLAW}/decisions", data=back)).status_code == 303
    assert "the VPN is gone" in (await client.get(FLAW)).text
    assert list_waivers(platform, fingerprint=case["finding"])[0].state == "revoked"


@pytest.mark.parametrize(
    "more",
    [
        {"decision": "planned", "owner": "Ada", "until": ""},
        {"decision": "not_affected", "justification": "because", "reason": "x"},
        {"decision": "forgotten"},
        {"decision": "accepted", "package": "nginx"},
    ],
)
async def test_what_cannot_be_decided_is_said(
    client: httpx.AsyncClient, sign_in: SignIn, more: dict[str, str]
) -> None:
    token = sign_in("first", "operator")
    answer = await client.post(f"{FLAW}/decisions", data={"csrf": token, "package": "openssl"} | more)
    assert answer.status_code == 422
    assert (await client.get(f"{FLAW}.json")).json()["details"][0]["case"]["decision"] == ""


async def test_the_days_review_is_put_on_record(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform
) -> None:
    token = sign_in("first", "operator")
    empty = await client.post("/flaws/reviewed", data={"csrf": token, "says": " "})
    assert empty.status_code == 422
    done = await client.post("/flaws/reviewed", data={"csrf": token, "says": "All five seen."})
    assert (done.status_code, done.headers["location"]) == (303, "/flaws")
    entry = next(one for one in reversed(list(platform.ledger.read())) if one["kind"] == "review")
    assert (entry["actor"], entry["body"]["open"]) == ("operator:first", 5)
    assert "No review is on record yet" not in (await client.get("/flaws")).text


def test_a_person_decides_in_the_browser(page: Page, served: Served, tmp_path: Path) -> None:
    page.goto("/flaws")
    page.get_by_role("link", name="CVE-2026-0002").click()
    page.locator("summary", has_text="Accept").click()
    page.get_by_role("button", name="Accept").click()
    page.wait_for_url("**/flaws/CVE-2026-0002")
    assert "accepted by operator:" in page.content()
    page.goto("/flaws/trends")
    assert page.locator("svg.chart g").count() == 90
