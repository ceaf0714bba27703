"""The day's digest: a page a person reads, that says what is new, late and due; sent once a day, without what must not travel."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from loopback_services import Webhook, serving
from sqlalchemy import select
from tests.engine.flaws_world import AT, NEW, OLD, add_hosts, give_feeds, judged, look, seen
from tests.engine.test_flaw_review_command import Run, place, run

from wardkeep.core.findings import Verdict
from wardkeep.engine.alerts import alert
from wardkeep.engine.flaw_review import acts
from wardkeep.engine.flaw_review.digest import as_html, as_text, digest, headline
from wardkeep.engine.flaw_review.renewing import renew
from wardkeep.engine.flaw_review.sending import digest_if_due
from wardkeep.engine.flaw_review.trends import trends
from wardkeep.engine.flaw_review.views import queue_page
from wardkeep.engine.platform import Platform
from wardkeep.store.schema import deliveries

__all__ = ["place", "run"]
DAY = timedelta(days=1)


@pytest.fixture
def fleet(platform: Platform, tmp_path: Path) -> Platform:
    give_feeds(platform, tmp_path, AT)
    add_hosts(platform, "app-1", "app-2")
    old = {"openssl": OLD}
    seen(platform, look("app-1", old, AT, listens={"openssl": 443}), look("app-2", old, AT, listens={}))
    return platform


def test_the_digest_says_what_is_late_new_and_due(fleet: Platform) -> None:
    told = digest(fleet, AT)
    assert headline(told) == (
        "4 flaws concern the fleet: 4 new, 4 undecided, 1 late, 0 due within a week; 0 fixed since yesterday."
    )
    page = as_text(told)
    assert (
        "- CVE-2026-0001 in openssl: high, known exploited, 2 hosts (app-1, app-2), fixed by 3.0.15-1~deb12u1; "
        "due 2026-10-27, 26 d late. Risk 92: severity high 8 × 4 = 32 + known exploited 40 + fix released 5 + "
        "listens to the network on 1 of 2 hosts (443/tcp) 15." in page
    )
    assert "No review is on record yet." in page
    assert "1 more are called minor by the vendor" in page
    assert len(page.splitlines()) < 60


def test_flaws_that_one_upgrade_mends_are_one_line_and_none_is_told_twice(
    fleet: Platform, tmp_path: Path
) -> None:
    told = {"status": "resolved", "repositories": {"bookworm": NEW}, "fixed_version": NEW, "urgency": "high"}
    flaws = {f"CVE-2026-40{n:02}": {"description": "x", "releases": {"bookworm": told}} for n in range(12)}
    plain = {
        "CVE-2026-4100": {
            "description": "x",
            "releases": {"bookworm": told | {"urgency": "not yet assigned"}},
        }
    }
    give_feeds(fleet, tmp_path / "more", AT, openssl=flaws | plain)
    told_now = digest(fleet, AT)
    assert headline(told_now).startswith("14 flaws concern the fleet: 14 new, 14 undecided, 1 late")
    assert [len(one["ids"]) for one in told_now["new"]] == [12, 1]
    page = as_text(told_now)
    assert (
        "- 12 flaws in openssl (CVE-2026-4000, CVE-2026-4001, CVE-2026-4002, …): high, 2 hosts (app-1, app-2),"
        in page
    )
    assert "- CVE-2026-4100 in openssl: severity not given, 2 hosts" in page
    assert "severity not given, so taken for 7 × 4 = 28" in page
    # When they are late, they stand there, and are only counted as new.
    later = as_text(digest(fleet, AT + 40 * DAY))
    assert later.count("CVE-2026-4000") == 1
    assert "- All 14 that stand above as late or due." in later
    reviewed = AT + 40 * DAY
    acts.done(fleet, says="seen", by="operator:alice", now=reviewed)
    assert digest(fleet, reviewed + DAY)["named_above"] == {"new": 0, "still_undecided": 14}


def test_many_stale_feeds_are_one_line(fleet: Platform) -> None:
    (line,) = [one for one in digest(fleet, AT + 400 * DAY)["troubles"] if "more feeds are stale" in one]
    assert line.count(",") == 2


def test_what_was_reviewed_is_no_longer_new_and_what_was_fixed_is_said(fleet: Platform) -> None:
    renew(fleet, AT)
    acts.done(fleet, says="seen", by="operator:alice", now=AT + timedelta(hours=1))
    acts.accept(fleet, acts.find_cases(fleet, ["CVE-2026-0006"]), by="operator:alice", now=AT)
    later = AT + DAY
    seen(fleet, look("app-1", {"openssl": NEW}, later, listens={}))
    told = digest(fleet, later + timedelta(hours=1))
    assert (told["counts"]["new"], told["counts"]["undecided"], told["counts"]["fixed"]) == (0, 3, 1)
    assert told["fixed"] == [{"id": "CVE-2026-0001", "package": "openssl", "host": "app-1"}]
    # A day from when it first concerned the host to the look; 26 days too late by the advisory's clock.
    assert told["mended"] == [{"severity": "critical", "fixed": 1, "in_time": 0, "mean_days": 1.0}]
    assert "critical: 1 fixed, 1.0 d on average, 0 in time" in as_text(told)
    assert "Last review on record: 2026-11-22 13:00 UTC." in as_text(told)


def test_trends_count_each_day(fleet: Platform) -> None:
    renew(fleet, AT)
    for n, host in enumerate(("app-1", "app-2"), start=2):
        seen(fleet, look(host, {"openssl": NEW}, AT + n * DAY, listens={}))
        renew(fleet, AT + n * DAY)
    with fleet.store.read() as connection:
        days = {one.day: one for one in trends(fleet, AT + 5 * DAY, connection, 10).days}
    day = AT.date()
    assert (days[day - DAY].open, days[day].open, days[day].late) == (0, 4, 1)
    assert [days[day + n * DAY].fixed for n in range(6)] == [0, 0, 1, 1, 0, 0]
    assert (days[day + 3 * DAY].open, days[day + 3 * DAY].late) == (3, 0)


def test_html_holds_nothing_that_a_feed_could_run(fleet: Platform) -> None:
    told = digest(fleet, AT)
    told["late"][0]["package"] = "<script>alert(1)</script>"
    page = as_html(told)
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_it_goes_out_once_a_day_without_hosts_and_versions(fleet: Platform) -> None:
    hook = Webhook()
    settings = replace(fleet.config.settings, alerts_urls=(hook.url,))
    told = replace(fleet, config=replace(fleet.config, settings=settings))
    assert not digest_if_due(fleet, AT)  # nobody to tell
    assert not digest_if_due(told, AT.replace(hour=5))
    assert digest_if_due(told, AT)
    assert not digest_if_due(told, AT + timedelta(hours=3))
    with fleet.store.read() as connection:
        (row,) = connection.execute(select(deliveries)).all()
    assert row.title.startswith("Wardkeep: 4 flaws concern the fleet")
    assert "CVE-2026-0001 in openssl" in row.body
    assert not [word for word in ("app-1", "app-2", NEW, OLD, "443") if word in row.body]
    with serving(hook):
        alert(told, AT)
    assert row.title in [json.loads(body)["title"] for body in hook.bodies]
    assert digest_if_due(told, AT + DAY)


def test_an_operator_may_do_without_it(fleet: Platform) -> None:
    settings = replace(fleet.config.settings, alerts_urls=("json://127.0.0.1:9/x",), alerts_digest=False)
    assert not digest_if_due(replace(fleet, config=replace(fleet.config, settings=settings)), AT)


def test_the_command_writes_it(run: Run, tmp_path: Path) -> None:
    told = run("digest", "--json")
    assert (run.status, told["counts"]["open"]) == (1, 4)
    run("digest")
    assert run.out.startswith("# Published flaws of the fleet, ")
    for name in ("a.html", "a.md", "a.json"):
        run("digest", "--out", tmp_path / name)
        assert "CVE-2026-0001" in (tmp_path / name).read_text()
    assert json.loads((tmp_path / "a.json").read_text())["counts"]["undecided"] == 4
    run("digest", "--out", tmp_path / "a.pdf")
    assert (run.status, "form is not known" in run.err) == (2, True)
    run("digest", "--send")
    assert (run.status, "no channel" in run.err) == (2, True)


def test_what_was_not_mended_by_its_planned_day_is_late_everywhere(fleet: Platform) -> None:
    """The clock of 0006 runs on, but the day that somebody gave is past: queue, digest, trends and row agree."""
    renew(fleet, AT)
    (case,) = acts.find_cases(fleet, ["CVE-2026-0006"])
    acts.plan(fleet, [case], until=(AT + DAY).date(), owner="alice", by="operator:alice", now=AT)
    for later, late in ((AT + DAY, 0), (AT + 2 * DAY, 1)):
        told = digest(fleet, later)
        mine = [line for line in told["late"] if line["id"] == "CVE-2026-0006"]
        assert len(mine) == late
        with fleet.store.read() as connection:
            assert trends(fleet, later, connection, 1).days[0].late == told["counts"]["late"] == 1 + late
        page = queue_page(fleet, later, which="late")
        assert page.found == 1 + late
        verdict = judged(fleet, later)["mended_in_time", "flaw:CVE-2026-0006 openssl"].verdict
        assert verdict is (Verdict.FAIL if late else Verdict.PASS)
    assert mine[0]["days_left"] == -1
    assert "due 2026-11-23, 1 d late; planned" in as_text(told)
