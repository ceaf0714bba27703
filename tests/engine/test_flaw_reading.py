"""What the database counts and picks of the queue is what going through every case gives."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.engine.flaws_world import AT, add_hosts, give_feeds, look, seen

from wardkeep.engine.flaw_review import acts, views
from wardkeep.engine.flaw_review.cases import QUIET, Case, read_assets, read_cases
from wardkeep.engine.flaw_review.queue import FIXED, refresh
from wardkeep.engine.flaw_review.reading import WHICH
from wardkeep.engine.flaw_review.trends import trends
from wardkeep.engine.flaw_review.views import flaw_detail, host_flaws, queue_page
from wardkeep.engine.platform import Platform

DAY = timedelta(days=1)
URGENCIES = ("low", "medium", "high", "not yet assigned")
PACKAGES = [f"pkg-{n}" for n in range(6)]


@pytest.fixture
def fleet(platform: Platform, tmp_path: Path) -> Platform:
    """Flaws of every severity that came over forty days, decided in every way; some are fixed on one host, some everywhere."""
    add_hosts(platform, "app-1", "app-2")
    flaws: dict[str, dict[str, Any]] = {}
    for day in range(0, 40, 8):
        for n, package in enumerate(PACKAGES):
            release = {"status": "open", "repositories": {"bookworm": "1-1"}, "urgency": URGENCIES[n % 4]}
            flaws.setdefault(package, {})[f"CVE-2026-1{day:02}{n}"] = {
                "description": f"An overflow of é_{n}% in {package}.",
                "releases": {"bookworm": release},
            }
        now = AT + day * DAY
        give_feeds(platform, tmp_path / str(day), now, **flaws)
        version = {package: "1-1" for package in PACKAGES[day // 20 :]}
        seen(
            platform,
            look("app-1", version, now),
            look("app-2", version if day < 30 else {"pkg-5": "1-1"}, now),
        )
        refresh(platform, now)
        still = sorted(every(platform), key=lambda case: case.flaw)
        fresh = [case for case in still if case.opened == now and not case.closed]
        acts.accept(platform, fresh[:1], by="operator:a", now=now)
        acts.plan(platform, fresh[1:2], until=(now + 3 * DAY).date(), owner="a", by="operator:a", now=now)
        words = {"justification": acts.JUSTIFICATIONS[0], "says": "not there"}
        acts.not_affected(platform, fresh[2:3], by="operator:a", now=now, **words)
    return platform


def every(platform: Platform) -> list[Case]:
    with platform.store.read() as connection:
        return read_cases(platform, connection, closed=True)


def expected(cases: list[Case], which: str, now: datetime) -> list[Case]:
    still = [case for case in cases if case.closed is None]
    return {
        "open": still,
        "undecided": [case for case in still if not case.decision],
        "late": [case for case in still if case.is_late(now)],
        "waived": [case for case in still if case.decision in QUIET],
        "closed": sorted((c for c in cases if c.closed), key=lambda c: c.closed or now, reverse=True),
    }[which]


@pytest.mark.parametrize("later", [32, 45, 70, 140, 500])
def test_the_parts_of_the_queue(fleet: Platform, later: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now, cases = AT + later * DAY, every(fleet)
    monkeypatch.setattr(views, "PAGE", 4)
    for which in WHICH:
        wanted = [case.key for case in expected(cases, which, now)]
        got, start = [], 0
        while True:
            page = queue_page(fleet, now, which=which, start=start)
            assert (page.counts[which], page.found) == (len(wanted), len(wanted)), which
            got += [(one.flaw, one.package) for one in page.cases]
            start = page.after
            if not start:
                break
        assert got == wanted, which
    assert {which for which in WHICH if expected(cases, which, now)} >= {"open", "late", "waived", "closed"}


@pytest.mark.parametrize(
    ("q", "found"),
    [("PKG-3", 5), ("cve-2026-1083", 1), ("é_3%", 5), ("overflow pkg_3", 0), ("because", 0), ("fixed", 0), ("%", 25)],
)  # fmt: skip
def test_words_are_looked_for_in_what_is_shown(fleet: Platform, q: str, found: int) -> None:
    assert queue_page(fleet, AT + 32 * DAY, q=q).found == found


def test_one_flaw_and_one_host(fleet: Platform) -> None:
    now = AT + 32 * DAY
    assert [one.case.package for one in flaw_detail(fleet, "CVE-2026-1003", now)] == ["pkg-3"]
    assert flaw_detail(fleet, "CVE-2026-100", now) == flaw_detail(fleet, "CVE-2026-100%", now) == []
    count, found = host_flaws(fleet, "app-1", now)
    assert count == len(found) == sum(case.closed is None for case in every(fleet))
    assert [case.risk for case, _ in found] == sorted((case.risk for case, _ in found), reverse=True)
    assert {one.host for _, one in found} == {"app-1"}
    assert host_flaws(fleet, "app-1", now, start=3, limit=4) == (count, found[3:7])
    assert {case.package for case, _ in host_flaws(fleet, "app-2", now)[1]} == {"pkg-5"}
    assert host_flaws(fleet, "app", now) == (0, [])


def test_each_day_of_the_trend(fleet: Platform) -> None:
    now, cases = AT + 75 * DAY, every(fleet)
    with fleet.store.read() as connection:
        told = trends(fleet, now, connection, 90)
        fixed = read_assets(connection, how=FIXED)
    for one in told.days:
        there = [
            c for c in cases if c.opened.date() <= one.day and not (c.closed and c.closed.date() <= one.day)
        ]
        late = [c for c in there if c.last_day < one.day and c.decision not in QUIET]
        mended = [asset for asset in fixed if asset.closed and asset.closed.date() == one.day]
        assert (one.open, one.late, one.fixed) == (len(there), len(late), len(mended)), one.day
    assert {one.late > 0 for one in told.days} == {True, False}
    assert sum(one.fixed for one in told.mended) == len(fixed) > 0
    assert told.days[-1].day == now.date() == date(2027, 2, 5)
