"""A reviewer's decisions: planned, waived and stated not to concern; each ends by itself when what it stands on ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.engine.flaws_world import (
    AT,
    FIXED_NOW,
    NEW,
    OLD,
    add_hosts,
    give_feeds,
    judged,
    look,
    recorded,
    seen,
)
from tests.engine.test_flaw_review import cases

from wardkeep.core.errors import BadInput
from wardkeep.core.facts import Answer
from wardkeep.core.findings import Finding, Verdict
from wardkeep.engine.assess import assess
from wardkeep.engine.finding_views import Filters, list_findings
from wardkeep.engine.flaw_review import acts
from wardkeep.engine.flaw_review.renewing import renew
from wardkeep.engine.flaw_review.waiving import waive_cases, waivers_of
from wardkeep.engine.index import rebuild_index
from wardkeep.engine.known_flaws import with_known_flaws
from wardkeep.engine.platform import Platform
from wardkeep.engine.waivers import list_waivers, note_expired, revoke

DAY = timedelta(days=1)
WORDS: dict[str, Any] = {
    "owner": "alice",
    "reason": "no fix yet",
    "compensating": "VPN only",
    "by": "operator:alice",
}
SUBJECT = "flaw:CVE-2026-0006 openssl"


@pytest.fixture
def now() -> datetime:
    """Acts that look at the row at once do so by the real clock, so these tests live today."""
    return datetime.now(UTC)


@pytest.fixture
def fleet(platform: Platform, tmp_path: Path, now: datetime) -> Platform:
    give_feeds(platform, tmp_path, now)
    add_hosts(platform, "app-1")
    seen(platform, look("app-1", {"openssl": OLD}, now, listens={}))
    renew(platform, now)
    return platform


def waive(platform: Platform, name: str, now: datetime, *, days: int = 30, until_fixed: bool = False) -> str:
    found = acts.find_cases(platform, [name])
    made, _ = waive_cases(
        platform, found, expires=now + days * DAY, until_fixed=until_fixed, now=now, **WORDS
    )
    return made[0].id


def waived(platform: Platform, now: datetime) -> set[str]:
    found = list_findings(platform, Filters(control="vulnerability_review", state="waived"), now=now)
    return {one.subject for one in found.findings}


def test_a_waiver_of_a_flaw_is_the_waiver_of_its_finding(fleet: Platform, now: datetime) -> None:
    made = waive(fleet, "CVE-2026-0006", now)
    assert waived(fleet, now) == {SUBJECT}
    case = cases(fleet)["CVE-2026-0006"]
    assert (case.decision, case.said["waiver"], case.said["compensating"]) == ("waived", made, "VPN only")
    (held,) = waivers_of(fleet, [case], now)
    assert (held.id, held.owner, held.rule) == (made, "alice", "vulnerability_review.every_flaw_is_decided")
    found = judged(fleet, now)
    # It stays visible and still lowers the score: the finding fails, and the list of findings says it is waived.
    assert found["every_flaw_is_decided", SUBJECT].verdict is Verdict.FAIL
    assert ("mended_in_time", SUBJECT) not in found


def test_a_waiver_that_expires_reopens_the_case_by_itself(fleet: Platform, now: datetime) -> None:
    waive(fleet, "CVE-2026-0006", now, days=2)
    renew(fleet, now + DAY)
    assert cases(fleet)["CVE-2026-0006"].decision == "waived"
    after = now + 3 * DAY
    assert waived(fleet, after) == set()  # before anything of ours has run
    assert [one.rule for one in note_expired(fleet, after)] == ["vulnerability_review.every_flaw_is_decided"]
    renew(fleet, after)
    case = cases(fleet)["CVE-2026-0006"]
    assert (case.decision, case.said["says"]) == ("", f"the waiver ended on {(now + 2 * DAY).date()}")
    last = list(fleet.ledger.read())[-1]
    assert (last["kind"], last["actor"], last["body"]["act"]) == ("flaw", "engine", "reopened")


def test_until_fixed_ends_when_a_fix_is_released(fleet: Platform, tmp_path: Path, now: datetime) -> None:
    made = waive(fleet, "CVE-2026-0006", now, until_fixed=True)
    give_feeds(fleet, tmp_path / "later", now, openssl=FIXED_NOW)
    renew(fleet, now + DAY)
    case = cases(fleet)["CVE-2026-0006"]
    assert (case.state, case.decision) == ("fix_available", "")
    assert case.said["says"] == "a fix is released: 3.0.15-1~deb12u1"
    (held,) = list_waivers(fleet, now + DAY, waiver=made)
    assert (held.state, held.until_fixed) == ("revoked", True)


def test_without_until_fixed_the_waiver_outlives_the_fix(
    fleet: Platform, tmp_path: Path, now: datetime
) -> None:
    waive(fleet, "CVE-2026-0006", now)
    give_feeds(fleet, tmp_path / "later", now, openssl=FIXED_NOW)
    renew(fleet, now + DAY)
    assert cases(fleet)["CVE-2026-0006"].decision == "waived"


def test_what_has_a_fix_cannot_wait_for_one(fleet: Platform, now: datetime) -> None:
    with pytest.raises(BadInput, match="released fix"):
        waive(fleet, "CVE-2026-0001", now, until_fixed=True)


def test_a_waiver_revoked_as_a_finding_reopens_the_case(fleet: Platform, now: datetime) -> None:
    made = waive(fleet, "CVE-2026-0006", now)
    revoke(fleet, made, reason="the VPN is gone", by="operator:bob", now=now)
    renew(fleet, now)
    assert cases(fleet)["CVE-2026-0006"].decision == ""


def test_what_was_accepted_can_be_waived_later(fleet: Platform, now: datetime) -> None:
    acts.accept(fleet, acts.find_cases(fleet, ["CVE-2026-0006"]), by="operator:a", now=now)
    recorded(fleet, now)
    waive(fleet, "CVE-2026-0006", now)
    assert waived(fleet, now) == {SUBJECT}


def test_the_waiver_of_a_flaw_that_went_does_not_cover_its_return(fleet: Platform, now: datetime) -> None:
    made = waive(fleet, "CVE-2026-0001", now)
    for n, version in enumerate((NEW, OLD), start=1):
        seen(fleet, look("app-1", {"openssl": version}, now + n * DAY, listens={}))
        renew(fleet, now + n * DAY)
    assert cases(fleet)["CVE-2026-0001"].decision == ""
    (held,) = list_waivers(fleet, now + 2 * DAY, waiver=made)
    assert held.state == "revoked"


def test_another_word_ends_the_waiver(fleet: Platform, now: datetime) -> None:
    made = waive(fleet, "CVE-2026-0006", now)
    acts.accept(fleet, acts.find_cases(fleet, ["CVE-2026-0006"]), by="operator:bob", now=now)
    (held,) = list_waivers(fleet, now, waiver=made)
    assert (held.state, cases(fleet)["CVE-2026-0006"].decision) == ("revoked", "accepted")


def test_a_plan_ends_with_its_day_and_never_after_the_clock(fleet: Platform, now: datetime) -> None:
    found = acts.find_cases(fleet, ["CVE-2026-0002"])
    words = {"owner": "bob", "by": "operator:a", "now": now}
    with pytest.raises(BadInput, match="the clock of CVE-2026-0002 openssl ends"):
        acts.plan(fleet, found, until=(now + 31 * DAY).date(), **words)
    with pytest.raises(BadInput, match="past"):
        acts.plan(fleet, found, until=date(2020, 1, 1), **words)
    acts.plan(fleet, found, until=(now + 3 * DAY).date(), **words)
    subject = "flaw:CVE-2026-0002 openssl"
    assert judged(fleet, now + 3 * DAY)["mended_in_time", subject].verdict is Verdict.PASS
    assert judged(fleet, now + 4 * DAY)["mended_in_time", subject].verdict is Verdict.FAIL


def test_a_statement_needs_one_of_the_fields_justifications(fleet: Platform, now: datetime) -> None:
    found = acts.find_cases(fleet, ["CVE-2026-0006"])
    with pytest.raises(BadInput, match="no justification"):
        acts.not_affected(fleet, found, justification="we think so", says="x", by="operator:a")
    with pytest.raises(BadInput, match="statement must be said"):
        acts.not_affected(
            fleet, found, justification="vulnerable_code_not_present", says=" ", by="operator:a"
        )
    words = {"justification": "vulnerable_code_not_present", "says": "built without it", "by": "operator:a"}
    acts.not_affected(fleet, found, **words, now=now)
    assert judged(fleet, now)["every_flaw_is_decided", SUBJECT].verdict is Verdict.PASS
    assert ("mended_in_time", SUBJECT) not in judged(fleet, now + 400 * DAY)


def test_the_scan_of_a_host_knows_what_the_review_decided(fleet: Platform, now: datetime) -> None:
    def scanned() -> dict[tuple[str, str], Finding]:
        bare = look("app-1", {"openssl": OLD}, now)
        asked = replace(bare, answers={**bare.answers, "known_flaws": Answer("known_flaws", 3, b"")})
        (whole,) = with_known_flaws(fleet, [asked])
        control = next(one for one in fleet.controls if one.id == "vulnerability_scanning")
        found = assess(control, whole, fleet.config.policy(control))
        return {(one.rule.partition(".")[2], one.subject): one for one in found}

    late = "no_fix_is_late", "package:openssl"
    assert scanned()[late].verdict is Verdict.FAIL
    waive(fleet, "CVE-2026-0001", now)
    after = scanned()
    assert (after[late].verdict, "waived until" in after[late].seen) == (Verdict.PASS, True)
    # Living with a flaw does not stop others from using it: that stays loud.
    assert after["nothing_is_exploited", "package:openssl"].verdict is Verdict.FAIL
    words = {"justification": "vulnerable_code_not_present", "says": "built without it", "by": "operator:a"}
    acts.not_affected(fleet, acts.find_cases(fleet, ["CVE-2026-0001"]), **words, now=now)
    after = scanned()
    assert late not in after
    assert ("nothing_is_exploited", "package:openssl") not in after
    assert "1 more are stated not to concern them" in after["no_fix_is_late", "advisories"].seen


def test_waived_cases_come_back_from_the_ledger(fleet: Platform, now: datetime) -> None:
    made = waive(fleet, "CVE-2026-0006", now, until_fixed=True)
    before = cases(fleet)
    rebuild_index(fleet)
    assert cases(fleet) == before
    assert list_waivers(fleet, now, waiver=made)[0].until_fixed
    assert waived(fleet, now) == {SUBJECT}
    assert now > AT
