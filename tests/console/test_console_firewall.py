"""The pages of the firewall: what a host last said, as a picture, rule by rule, with a trial's end; and the allowlist."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from console_browser import CHROMIUM, Served, add_authenticator, enrol_passkey, launch, new_context, serving
from playwright.sync_api import expect, sync_playwright

from wardkeep.core.facts import Answer, Snapshot
from wardkeep.engine.allowlist_review import start_campaign
from wardkeep.engine.clock import timestamp
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.fleet.snapshots import snapshot_bytes

SignIn = Callable[[str, str], str]
ANSWERS = Path(__file__).parents[1] / "facts" / "answers"
NASTY = "<script>alert(1)</script>"
LIST = """\
[[allow]]
list = "admins"
network = "192.0.2.7"
service = "22/tcp"
owner = "alice"
reason = "on call"
expires = 2020-01-31
"""


def rule(chain: str, handle: int, *expr: object, comment: str = "") -> dict[str, object]:
    about = {"family": "inet", "table": "own", "chain": chain, "handle": handle, "expr": list(expr)}
    return {"rule": {**about, **({"comment": comment} if comment else {})}}


def port(number: int) -> dict[str, object]:
    left = {"payload": {"protocol": "tcp", "field": "dport"}}
    return {"match": {"op": "==", "left": left, "right": number}}


def source(address: str) -> dict[str, object]:
    left = {"payload": {"protocol": "ip", "field": "saddr"}}
    return {"match": {"op": "==", "left": left, "right": address}}


HELD = {
    "nftables": [
        {"metainfo": {"version": "1.0.6", "release_name": "x", "json_schema_version": 1}},
        {"table": {"family": "inet", "name": "own", "handle": 1}},
        {
            "chain": {
                "family": "inet", "table": "own", "name": "input", "handle": 1, "type": "filter", "hook": "input",
                "prio": 0, "policy": "drop",
            }
        },
        rule("input", 2, port(443), {"accept": None}, comment=NASTY),
        rule("input", 3, source("192.0.2.7"), port(443), {"drop": None}),
    ]
}  # fmt: skip


def saw(platform: Platform, nftables: bytes, at: datetime) -> None:
    """The host app-1 was looked at."""
    given = {"nftables": nftables, "iptables": (ANSWERS / "iptables-debian12-open.txt").read_bytes()}
    snapshot = Snapshot("app-1", at, {name: Answer(name, 0, said) for name, said in given.items()})
    data = snapshot_bytes(snapshot)
    blob = {"name": "snapshot", "digest": platform.ledger.put_blob(data), "size": len(data)}
    entry = {"kind": "observe", "at": timestamp(at), "actor": "engine", "subject": {"host": "app-1"}}
    platform.ledger.append([{**entry, "body": {}, "blobs": [blob]}])


async def test_every_rule_is_there_with_its_verdict(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform
) -> None:
    saw(platform, json.dumps(HELD).encode(), datetime.now(UTC))
    sign_in("first", "operator")
    told = (await client.get("/firewall/hosts/app-1.json")).json()
    assert told["counts"] == {"live": 1, "dead": 1}
    live, dead = told["rules"]
    assert live["witness"]["destination_port"] == 443
    assert dead["hidden_by"] == [live["id"]]
    assert dead["contradicted"] is True
    assert told["until"] is None
    four, _ = [one for one in told["pictures"] if one["route"] == "input"]
    assert four["cells"][0][four["columns"].index("443/tcp https")] == "open"
    page = (await client.get("/firewall/hosts/app-1")).text
    assert "1 of 2 rules live" in page
    assert '<svg class="reach"' in page
    assert NASTY not in page
    assert "on trial" not in page
    only = (await client.get("/firewall/hosts/app-1.json?show=dead")).json()
    assert [one["verdict"] for one in only["rules"]] == ["dead"]


async def test_a_rule_that_counts_by_name_is_not_called_uncounted(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform
) -> None:
    counter = {"family": "inet", "table": "own", "name": "web", "handle": 9, "packets": 4321, "bytes": 1}
    elsewhere = {**counter, "table": "theirs", "packets": 7}
    named = rule("input", 4, port(80), {"counter": "web"}, {"accept": None})
    objects = [*HELD["nftables"], named, {"counter": elsewhere}, {"counter": counter}]
    saw(platform, json.dumps({"nftables": objects}).encode(), datetime.now(UTC))
    sign_in("first", "operator")
    told = (await client.get("/firewall/hosts/app-1.json")).json()
    assert [one["packets"] for one in told["rules"]] == [None, None, 4321]
    page = (await client.get("/firewall/hosts/app-1")).text
    assert (page.count("4,321"), page.count("not counted")) == (1, 2)


async def test_a_trial_says_when_the_kernel_goes_back(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform
) -> None:
    recorded = (ANSWERS / "nftables-debian12-on-trial.txt").read_bytes()
    at = datetime.now(UTC).replace(microsecond=0)
    saw(platform, recorded, at)
    sign_in("first", "operator")
    told = (await client.get("/firewall/hosts/app-1.json")).json()
    left = min(int(n) for n in re.findall(rb'"expires":\s*(\d+)', recorded))
    assert datetime.fromisoformat(told["until"]) == at + timedelta(seconds=left)
    assert "These rules are on trial." in (await client.get("/firewall/hosts/app-1")).text


async def test_what_is_not_known_is_said(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform
) -> None:
    sign_in("first", "operator")
    assert "is not known" in (await client.get("/firewall/hosts/app-2")).text
    saw(platform, b'{"nftables": [', datetime.now(UTC))
    told = (await client.get("/firewall/hosts/app-1.json")).json()
    assert told["problem"]
    assert told["rules"] == []
    assert (await client.get("/firewall/hosts/nobody")).status_code == 404


async def test_the_allowlist_names_who_answers_and_what_has_expired(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform
) -> None:
    (platform.folder / "allowlist.toml").write_text(LIST)
    sign_in("first", "operator")
    told = (await client.get("/firewall/allowlist.json")).json()
    assert [(e["owner"], e["expired"]) for e in told["entries"]] == [("alice", True)]
    assert "expired" in {one["kind"] for one in told["findings"]}
    page = (await client.get("/firewall/allowlist")).text
    assert "1 entry, 1 expired" in page
    assert "No review was begun yet" in page
    start_campaign(platform, "operator:ada", name="autumn")
    told = (await client.get("/firewall/allowlist.json")).json()
    assert (told["review"]["name"], told["review"]["left"]) == ("autumn", 1)
    assert "The review autumn: open, 1 entry left" in (await client.get("/firewall/allowlist")).text
    (platform.folder / "allowlist.toml").write_text("[[allow]\n")
    assert "cannot be read" in (await client.get("/firewall/allowlist")).text


@pytest.fixture
def served(fleet_folder: Path, tmp_path: Path) -> Iterator[Served]:
    shutil.copytree(fleet_folder, tmp_path / "state")
    (tmp_path / "state" / "allowlist.toml").write_text(LIST)
    with open_platform(tmp_path / "state") as platform:
        recorded = (ANSWERS / "nftables-debian12-on-trial.txt").read_bytes()
        saw(platform, re.sub(rb'("expires":\s*)\d+', rb"\g<1>86000", recorded), datetime.now(UTC))
    with serving(tmp_path / "state") as one:
        yield one


@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Debian's chromium is not installed")
def test_in_a_browser_wide_and_narrow_light_and_dark(served: Served) -> None:
    """Nothing breaks the policy, nothing scrolls sideways, the picture has the page's colours and the trial counts down."""
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = launch(playwright)
        entered = new_context(browser)
        first = entered.new_page()
        add_authenticator(entered, first)
        enrol_passkey(first, served.link)
        cookies = entered.storage_state()
        entered.close()
        seen = set()
        for width, scheme in ((1200, "light"), (390, "dark")):
            context = new_context(browser, storage_state=cookies)
            page = context.new_page()
            page.on(
                "console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None
            )
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            for path in ("/firewall", "/firewall/hosts/app-1", "/firewall/allowlist"):
                page.goto(served.origin + path)
                expect(page.locator("nav a[aria-current=page]")).to_have_text("Firewall")
                assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            page.goto(served.origin + "/firewall/hosts/app-1")
            expect(page.locator("time[data-until]")).to_contain_text(re.compile(r"in \d+ min \d+ s"))
            # The marks of the picture are in sight without scrolling it, also on a phone.
            box = page.locator(".reach .o, .reach .c, .reach .d").first.bounding_box()
            assert box is not None
            assert box["x"] < width
            seen.add(page.evaluate("getComputedStyle(document.querySelector('.reach text')).fill"))
            context.close()
        browser.close()
    assert complaints == []
    assert len(seen) == 2
