"""The pictures of the README and the docs: the running program in a real Chromium, over recorded hosts.

python -m tests.console.screenshots          (or `make screenshots`)

Four hosts are looked at as they were recorded on real Debian systems in several states (tests/hosts). Everything
shown is what the rules say of those answers; nothing is made up, so the strip of 90 days begins on the day it is made.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src"), str(Path(__file__).parent)]

from console_browser import add_authenticator, enrol_passkey, launch, serving  # noqa: E402

from wardkeep.core.facts import HOST, PLATFORM, Snapshot  # noqa: E402
from wardkeep.engine.assess import questions  # noqa: E402
from wardkeep.engine.cycle import record_looks  # noqa: E402
from wardkeep.engine.finding_views import Filters, list_findings  # noqa: E402
from wardkeep.engine.hosts import add_host  # noqa: E402
from wardkeep.engine.platform import Platform, open_platform  # noqa: E402
from wardkeep.engine.waivers import waive  # noqa: E402
from wardkeep.fleet import Host  # noqa: E402
from wardkeep.fleet.recorded import RecordedConnector  # noqa: E402

IMAGES = ROOT / "docs" / "images"
HOSTS = ROOT / "tests" / "hosts"
# Each host answers as a real Debian system in that state once did.
STATES = {
    "app-1": "debian13-hardened",
    "app-2": "debian13-patched-and-closed",
    "db-1": "debian12-fresh",
    "web-1": "debian12-broken",
}


def look(platform: Platform, now: datetime) -> None:
    """Look at the recorded hosts, and at the platform itself."""
    wanted, at = questions(platform.controls, HOST), now - timedelta(minutes=4)
    looks = [Snapshot(PLATFORM, at, {})]
    for name, state in STATES.items():
        add_host(platform, Host(name=name, url=f"ssh://wardkeep@{name}.example"), "operator:ada")
        recorded = RecordedConnector(HOSTS / state, host=name)
        looks.append(replace(asyncio.run(recorded.ask(wanted)), at=at))
    record_looks(platform, "engine", looks, platform.controls)
    accepted = list_findings(platform, Filters(verdict="fail", severity="medium")).findings
    if accepted:
        waive(
            platform,
            accepted[0].fingerprint,
            owner="Ada Okafor",
            reason="The vendor's agent needs it until its next release in January.",
            compensating="The host answers only to the bastion, and its log-ins are reviewed each week.",
            expires=now + timedelta(days=45),
            by="operator:ada",
        )


def shoot(browser: Browser, origin: str, link: str) -> None:
    """Sign in by the printed link, then one picture a place."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, base_url=origin)
    page = context.new_page()
    add_authenticator(context, page)
    enrol_passkey(page, link)
    cookies = context.storage_state()
    take(page, "/", "matrix.png", 1180)
    take(page, "/rows/system_access", "row.png", 1000)
    take(page, "/findings?verdict=fail,unknown&severity=critical,high", "findings.png", 860)
    page.goto("/findings?state=waived")
    page.locator("tbody a.title").first.click()
    page.screenshot(path=IMAGES / "finding.png", full_page=True)
    take(page, "/hosts", "hosts.png", 480)
    take(page, "/firewall/hosts/app-1", "firewall.png", 1000)
    page.goto("/ledger?kind=assess&host=app-1")
    page.locator("tbody a.title").first.click()
    page.set_viewport_size({"width": 1280, "height": 1000})
    page.screenshot(path=IMAGES / "entry.png")
    dark = browser.new_context(
        viewport={"width": 1280, "height": 860}, color_scheme="dark", storage_state=cookies, base_url=origin
    )
    take(dark.new_page(), "/", "matrix-dark.png", 860)
    phone = browser.new_context(
        viewport={"width": 390, "height": 844}, device_scale_factor=2, storage_state=cookies, base_url=origin
    )
    take(phone.new_page(), "/", "phone.png", 844)


def take(page: Page, place: str, name: str, height: int) -> None:
    size = page.viewport_size
    assert size is not None
    page.set_viewport_size({"width": size["width"], "height": height})
    page.goto(place)
    page.screenshot(path=IMAGES / name)


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "state"
        with open_platform(folder, create=True) as platform:
            look(platform, datetime.now(UTC))
        with serving(folder) as served, sync_playwright() as playwright:
            browser = launch(playwright)
            shoot(browser, served.origin, served.link)
            browser.close()
    print(*sorted(path.name for path in IMAGES.glob("*.png")))


if __name__ == "__main__":
    main()
