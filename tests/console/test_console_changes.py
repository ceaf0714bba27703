"""The pages of changes: what a plan opens and closes packet by packet, who planned it, what was tried, and its clocks."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from console_browser import CHROMIUM, Served, add_authenticator, enrol_passkey, launch, new_context, serving
from playwright.sync_api import expect, sync_playwright

from wardkeep.controls.firewall import Policy, control
from wardkeep.core.changes import Act, Blocked
from wardkeep.core.facts import Answer, Snapshot
from wardkeep.engine.apply.host_scripts import CONFIRM
from wardkeep.engine.apply.records import Stored, begin, end, store_plan
from wardkeep.engine.assess import remedies
from wardkeep.engine.change_views import change_page
from wardkeep.engine.durable_steps import StepDone
from wardkeep.engine.plans import ActChange, Plan, Withheld, read_plan
from wardkeep.engine.platform import Platform, open_platform

SignIn = Callable[[str, str], str]
ANSWERS = Path(__file__).parents[1] / "facts" / "answers"
OPEN = {"nftables": "debian12-open", "iptables": "debian12-open", "listeners": "debian13-open"}
OPEN |= {"boot_firewall": "debian12-open", "ssh_sessions": "debian12-connected"}
NASTY = "<script>alert(1)</script>"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def firewall_plan(
    policy: Policy | None = None, *, host: str = "app-1", created: str = "2026-11-22T12:00:00Z"
) -> Plan:
    """What is planned for an open host as it was recorded: a trial and the keeping of our own table, or why not."""
    given = {q: Answer(q, 0, (ANSWERS / f"{q}-{state}.txt").read_bytes()) for q, state in OPEN.items()}
    made = remedies(control, Snapshot(host, NOW, given), policy or Policy())
    told = {
        (one.says, getattr(one, "reason", "")): one
        for _, _, answer in made if isinstance(answer, list) for one in answer
    }.values()  # fmt: skip
    acts = tuple(
        ActChange(
            says=one.says, script=one.script, undo=one.undo, cuts_access=one.cuts_access, probes=one.probes,
            packets=one.packets, trial=one.trial, rules=(one.why,),
        )
        for one in told if isinstance(one, Act)
    )  # fmt: skip
    withheld = tuple(
        Withheld(says=one.says, reason=one.reason, todo=one.todo, rule=one.why)
        for one in told
        if isinstance(one, Blocked)
    )
    return Plan(
        host=host, created=created, controls=("firewall",), policy="sha256:0", changes=acts, withheld=withheld
    )


def planned(platform: Platform, **how: str) -> Stored:
    return store_plan(platform, firewall_plan(**how), "operator:ada")  # type: ignore[arg-type]


def done(*names: str, at: datetime, result: list[dict[str, str]] | None = None) -> list[StepDone]:
    """Steps, a second each."""
    return [
        StepDone(name, at + timedelta(seconds=n), result if name.startswith("probe") else None)  # type: ignore[arg-type]
        for n, name in enumerate(names)
    ]


def test_a_plan_carries_its_packets_and_keeps_its_name() -> None:
    plan = firewall_plan()
    trial, kept = plan.changes
    assert isinstance(trial, ActChange)
    assert isinstance(kept, ActChange)
    assert (trial.trial, kept.trial) == (300, 0)
    assert trial.packets
    assert read_plan(plan.document()) == plan
    assert not {"packets", "trial"} & set(plan.data()["changes"][1])


async def test_a_planned_change_says_what_it_opens_and_closes_and_who_planned_it(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform
) -> None:
    stored = planned(platform)
    sign_in("first", "operator")
    told = (await client.get(f"/changes/{stored.id}.json")).json()
    assert (told["state"], told["by"], told["entry"]) == ("planned", "operator:ada", stored.entry)
    trial, _ = told["changes"]
    assert {tuple(one["before"]) for one in trial["packets"]} == {("accept",)}
    assert {tuple(one["after"]) for one in trial["packets"]} == {("drop",)}
    assert [one["verdict"] for one in trial["probes"]] == ["", ""]
    page = (await client.get(f"/changes/{stored.id}")).text
    assert "A change of app-1 is planned" in page
    assert f"wardkeep apply {stored.id}" in page
    assert "What it opens and closes" in page
    assert "to be tried" in page
    assert "data-until" not in page
    listed = (await client.get("/changes.json?host=app-1")).json()["changes"]
    assert [(one["plan"], one["state"]) for one in listed] == [(stored.id, "planned")]
    assert "A change is planned." in (await client.get("/firewall/hosts/app-1")).text
    assert (await client.get("/changes/p-000000000000")).status_code == 404
    assert (await client.get("/changes.json?host=db-1")).json()["changes"] == []


async def test_a_refused_change_shows_the_packet(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform
) -> None:
    stored = store_plan(platform, firewall_plan(Policy(allow=("443/tcp",))), "operator:ada")
    sign_in("first", "operator")
    page = (await client.get(f"/changes/{stored.id}")).text
    assert "A change of app-1 is refused" in page
    assert len(re.findall(r"Refused: ", page)) == 2
    assert re.search(r"Refused: .*10\.88\.0\.1.*every packet to 22/tcp", page, re.DOTALL | re.IGNORECASE)
    assert "wardkeep apply" not in page


async def test_what_was_done_shows_what_was_tried(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform
) -> None:
    stored = planned(platform)
    begin(platform, "a-1", stored, "operator:bob", "", lambda: None)
    seen = {
        "says": "a packet to 22/tcp is let in",
        "expect": "open",
        "verdict": "pass",
        "seen": f"it answered {NASTY}",
    }
    body = {
        "summary": "2 changes made",
        "changes": [{"number": 1, "says": "x", "outcome": "confirmed", "probes": [seen]}],
    }
    end(platform, "a-1", stored, "operator:bob", "applied", body, lambda: None)
    sign_in("first", "operator")
    told = (await client.get(f"/changes/{stored.id}.json")).json()
    assert (told["state"], told["applied"]["actor"]) == ("applied", "operator:bob")
    assert told["changes"][0]["probes"] == [seen]
    page = (await client.get(f"/changes/{stored.id}")).text
    assert "app-1 was changed" in page
    assert "Tried before it was confirmed" in page
    assert NASTY not in page
    later = planned(platform, created="2026-11-22T11:00:00Z")
    begin(platform, "a-2", stored, "operator:bob", "a-1", lambda: None)
    assert (await client.get(f"/changes/{later.id}.json")).json()["state"] == "outdated"


async def test_a_change_that_failed_out_of_reach_says_that_the_host_goes_back_by_itself(
    client: httpx.AsyncClient, sign_in: SignIn, platform: Platform
) -> None:
    stored = planned(platform)
    begin(platform, "a-1", stored, "operator:bob", "", lambda: None)
    body = {"summary": "it is not known how it ended", "changes": [{"number": 1, "outcome": "failed"}]}
    end(platform, "a-1", stored, "operator:bob", "failed", body, lambda: None)
    sign_in("first", "operator")
    page = " ".join((await client.get(f"/changes/{stored.id}")).text.split())
    assert "What was not confirmed app-1 takes back by itself a minute after it was made" in page
    assert "<code>wardkeep check app-1</code>" in page


def test_the_clocks_of_a_change_that_is_being_made(platform: Platform) -> None:
    stored = planned(platform)
    begin(platform, "a-1", stored, "operator:bob", "", lambda: None)
    at = NOW

    def clocks(*names: str) -> list[tuple[str, int, float]]:
        page = change_page(platform, stored.id, done(*names, at=at))
        assert page is not None
        return [(one.who, one.number, (one.until - at).total_seconds()) for one in page.clocks]

    first = ("begin", "look", "prepare 1")
    assert clocks(*first) == []
    assert clocks(*first, "make 1", "probe 1") == [("host", 1, 3 + CONFIRM), ("kernel", 1, 303)]
    assert clocks(*first, "make 1", "probe 1", "confirm 1") == [("kernel", 1, 303)]
    second = (*first, "make 1", "confirm 1", "prepare 2", "make 2")
    assert clocks(*second) == [("host", 2, 6 + CONFIRM)]
    assert clocks(*second, "confirm 2") == []
    assert clocks(*first, "make 1", "undo 1") == []
    blind = change_page(platform, stored.id, None)
    assert blind is not None
    assert blind.clocks == ()
    assert "is not known here" in blind.problem


@pytest.fixture
def served(fleet_folder: Path, tmp_path: Path) -> Iterator[tuple[Served, str]]:
    shutil.copytree(fleet_folder, tmp_path / "state")
    with open_platform(tmp_path / "state") as platform:
        stored = planned(platform)
        store_plan(platform, firewall_plan(Policy(allow=("443/tcp",)), host="db-1"), "operator:ada")
    with serving(tmp_path / "state") as one:
        yield one, stored.id


@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Debian's chromium is not installed")
def test_in_a_browser_wide_and_narrow_by_keyboard_and_live(served: tuple[Served, str]) -> None:
    """Nothing scrolls sideways, everything is reached by Tab, and a change that begins and ends is followed without a reload."""
    place, plan = served
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = launch(playwright)
        entered = new_context(browser)
        first = entered.new_page()
        add_authenticator(entered, first)
        enrol_passkey(first, place.link)
        cookies = entered.storage_state()
        entered.close()
        for width, scheme in ((1200, "light"), (390, "dark")):
            context = new_context(browser, storage_state=cookies, color_scheme=scheme)
            page = context.new_page()
            page.on(
                "console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None
            )
            page.set_viewport_size({"width": width, "height": 900})
            for path in ("/changes", f"/changes/{plan}"):
                page.goto(place.origin + path)
                expect(page.locator("nav a[aria-current=page]")).to_have_text("Firewall")
                assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            page.locator("details.why summary").first.focus()
            page.keyboard.press("Enter")
            expect(page.locator("details[open] pre").first).to_be_visible()
            if width == 1200:
                context.close()
                continue
            with open_platform(place.folder) as platform:
                stored = Stored(firewall_plan(), plan, firewall_plan().digest, "operator:ada", NOW, 1)
                begin(platform, "a-1", stored, "operator:bob", "", lambda: None)
                page.goto(f"{place.origin}/changes/{plan}")
                expect(page.locator("h1")).to_have_text("A change of app-1 is being made")
                end(
                    platform,
                    "a-1",
                    stored,
                    "operator:bob",
                    "undone",
                    {"summary": "the packet met silence"},
                    lambda: None,
                )
            expect(page.locator("h1")).to_have_text("The change of app-1 was taken back")
            expect(page.locator("#now")).to_contain_text("the packet met silence")
            assert page.locator("[hx-get]").count() == 0  # nothing is asked any more
            context.close()
        browser.close()
    assert complaints == []
