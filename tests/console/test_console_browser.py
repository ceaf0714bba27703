"""The console as people meet it: the real program, in a real Chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pyotp
import pytest
from console_browser import CHROMIUM, Served, add_authenticator, enrol_passkey, launch, new_context, serving
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from wardkeep.engine.accounts.opening import accounts_of, link_for
from wardkeep.engine.platform import open_platform

pytestmark = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Debian's chromium is not installed")


@dataclass
class Watch:
    """What a page must not do: complain in the console, break the policy, ask another host."""

    origin: str
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def over(self, page: Page) -> None:
        page.on(
            "console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda e: self.complaints.append(str(e)))
        page.on("request", lambda r: self.hosts.add(urlsplit(r.url).netloc))


@pytest.fixture(scope="module")
def served(fleet_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served") / "state"
    shutil.copytree(fleet_folder, folder)
    with serving(folder) as one:
        yield one


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = launch(playwright)
        yield made
        made.close()


@pytest.fixture(scope="module")
def operator(served: Served, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cookies of an operator who came by the printed link and enrolled a passkey."""
    path = tmp_path_factory.mktemp("cookies") / "operator.json"
    context = new_context(browser)
    page = context.new_page()
    add_authenticator(context, page)
    watch = Watch(served.origin)
    watch.over(page)
    enrol_passkey(page, served.link)
    page.get_by_role("button", name="Show new recovery codes").click()
    assert page.locator(".codes li").count() == 10
    context.storage_state(path=path)
    # Out, and in again by the passkey alone. This session is ended by the context, not by signing out.
    context.clear_cookies()
    page.goto(served.origin + "/findings?q=sshd")
    assert "/sign-in" in page.url
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/findings?q=sshd")  # back to where one wanted to go
    assert watch.complaints == []
    assert watch.hosts == {urlsplit(served.origin).netloc}
    context.close()
    return path


@pytest.fixture
def page(operator: Path, browser: Browser, served: Served) -> Iterator[Page]:
    """A page of the signed-in operator; whatever it shows, it may not complain or ask another host."""
    context = new_context(
        browser, storage_state=operator, viewport={"width": 1280, "height": 900}, base_url=served.origin
    )
    made, watch = context.new_page(), Watch(served.origin)
    watch.over(made)
    yield made
    context.close()
    assert watch.complaints == []
    assert watch.hosts <= {urlsplit(served.origin).netloc}


PLACES = (
    "/",
    "/rows/firewall",
    "/findings",
    "/hosts",
    "/hosts/db-1",
    "/ledger",
    "/ledger/4",
    "/ledger/4/blobs/0",
)
PLACES += ("/flaws", "/flaws/CVE-2026-0001", "/flaws/trends", "/flaws/feeds", "/hosts/app-1/flaws")
PLACES += (
    "/settings",
    "/settings/users",
    "/settings/tokens",
    "/account",
    "/enrol",
    "/api/v1/docs",
    "/nothing-here",
)


def test_the_matrix_is_the_first_page(page: Page) -> None:
    page.goto("/")
    assert re.match(
        r"\d+ of 25 responsibilities hold; \d+ fail, \d+ unknown", page.locator("h1").inner_text()
    )
    assert page.locator("table.matrix tbody tr").count() == 25
    assert page.locator("svg.strip").count() == 25
    first = page.locator("table.matrix tbody tr").first
    assert "fail" in first.inner_text()
    first.locator("a.title").click()
    assert "/rows/" in page.url


@pytest.mark.parametrize("width", [1280, 360])
def test_no_page_scrolls_sideways(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    for place in PLACES:
        page.goto(place) if place != "/nothing-here" else None
        assert page.evaluate("document.documentElement.scrollWidth") <= width, place


def test_the_keyboard_is_enough(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    skip = page.locator(".skip")
    assert skip.evaluate("e => e === document.activeElement")
    # The page's policy forbids `wait_for_function`: it evaluates in the page whenever it has to wait.
    expect(skip).to_be_in_viewport(ratio=1)
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("/")
    page.keyboard.type("sshd")
    page.keyboard.press("Enter")
    page.wait_for_url("**/findings?q=sshd")
    outline = page.locator(".brand").evaluate(
        "e => { e.focus(); return getComputedStyle(e, ':focus-visible').outlineWidth }"
    )
    assert outline != "0px"


def test_filters_work_with_and_without_javascript(
    page: Page, browser: Browser, operator: Path, served: Served
) -> None:
    page.goto("/findings")
    page.get_by_label("Verdict").select_option("fail")
    page.wait_for_url("**verdict=fail**")
    with_script = page.locator("h1").inner_text()
    assert "failing finding" in with_script
    context = new_context(browser, storage_state=operator, java_script_enabled=False, base_url=served.origin)
    plain = context.new_page()
    plain.goto("/findings")
    plain.locator("select[name=verdict]").select_option("fail")
    plain.get_by_role("button", name="Filter").click()
    assert plain.locator("h1").inner_text() == with_script
    context.close()


def test_what_a_host_says_does_nothing(page: Page) -> None:
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page.goto("/findings?verdict=fail&host=db-1")
    assert "<script>alert('seen')</script>" in page.locator("tbody").inner_text()
    page.locator("tbody a.title").first.click()
    assert "<script>alert('seen')</script>" in page.locator("pre").first.inner_text()


def test_dark_is_dark_and_light_is_light(operator: Path, browser: Browser, served: Served) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        context = new_context(browser, storage_state=operator, color_scheme=scheme, base_url=served.origin)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto("/")
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        seen[scheme] = sum(int(n) for n in re.findall(r"\d+", colour)[:3])
        context.close()
    assert seen["dark"] < 150 < 600 < seen["light"]


def test_a_check_is_watched_live(page: Page, served: Served) -> None:
    page.goto("/rows/alerting")
    button = page.get_by_role("button", name="Check now")
    if button.is_disabled():
        page.goto("/")
        button = page.get_by_role("button", name="Check everything now")
    button.click()
    page.wait_for_url("**/runs/**")
    page.get_by_text(re.compile("Looked at")).wait_for()
    page.get_by_role("link", name="Go and see").click()


def sign_in_with_app(context: BrowserContext, served: Served, name: str, role: str) -> Page:
    """A new person by link, authenticator app and password, without a passkey."""
    with open_platform(served.folder) as platform:
        accounts = accounts_of(platform)
        accounts.users.add(name, role, by="operator:test")
        link = link_for(platform, accounts, name, by="operator:test", origin=served.origin)
    page = context.new_page()
    page.goto(link)
    page.get_by_role("button", name=f"Sign in as {name}").click()
    page.wait_for_url("**/enrol")
    key = page.locator("code").first.inner_text().replace(" ", "")
    page.get_by_label("The six digits").fill(pyotp.TOTP(key).now())
    page.get_by_label("A password").fill("three unrelated words")
    page.get_by_role("button", name="Set up the app").click()
    page.wait_for_url("**/account/recovery")
    return page


def test_an_auditor_reads_everything_and_changes_nothing(
    browser: Browser, served: Served, operator: Path
) -> None:
    context = new_context(
        browser, base_url=served.origin, java_script_enabled=False
    )  # sign-in by app needs no script
    page = sign_in_with_app(context, served, "audrey", "auditor")
    page.goto("/")
    assert page.get_by_role("button", name="Check everything now").count() == 0
    assert page.get_by_role("link", name="Ledger").count() == 1
    page.goto("/ledger/4")
    assert "Proof that it is in the ledger" in page.content()
    page.goto("/settings/users")
    assert page.get_by_role("button", name="Do it").count() == 0
    context.close()


def test_a_developer_sees_no_raw_answers(browser: Browser, served: Served, operator: Path) -> None:
    context = new_context(browser, base_url=served.origin)
    page = sign_in_with_app(context, served, "devon", "developer")
    page.goto("/")
    assert page.get_by_role("link", name="Ledger").count() == 0
    for place in ("/ledger", "/ledger/4/blobs/0", "/settings"):
        answer = page.goto(place)
        assert answer is not None
        assert answer.status == 403
    context.close()


def test_the_page_prints_without_its_controls(page: Page) -> None:
    page.goto("/rows/firewall")
    page.emulate_media(media="print")
    assert page.locator(".bar nav").is_hidden()
    assert page.locator(".acts").first.is_hidden()
    assert page.locator("h1").is_visible()
    page.emulate_media(media="screen")
