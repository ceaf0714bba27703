"""A host's look is completed by the advisories: late fixes fail, a missing or old database is unknown, nothing is asked twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from tests.advisories.small_feeds import write_feeds

from wardkeep.advisories.updating import update_from_folder
from wardkeep.controls.vulnerability_scanning import control
from wardkeep.core.facts import Answer, Snapshot
from wardkeep.core.findings import Finding, Verdict
from wardkeep.engine.assess import assess
from wardkeep.engine.cycle import record_looks
from wardkeep.engine.folder import ADVISORIES
from wardkeep.engine.inventories import foreign_packages, inventory_of, support_notices
from wardkeep.engine.known_flaws import with_known_flaws
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.facts.apt_policy import AptPolicy, Choice, Offer, PackageFile
from wardkeep.facts.known_flaws import KnownFlaws

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
PACKAGES = """\
= packages amd64
|ii |libssl3|amd64|{openssl}|openssl|{openssl}
|ii |zlib1g|amd64|1:1.2.13.dfsg-1|zlib|1:1.2.13.dfsg-1
|ii |raspi-firmware|all|1:1.20220801+ds-1+rpt1|raspi-firmware|1:1.20220801+ds-1+rpt1
= end
"""
RELEASE = '= release /etc/os-release\n|ID=debian\n|VERSION_ID="12"\n|PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n= end\n'
POLICY = """\
= files
|Package files:
| 100 /var/lib/dpkg/status
|     release a=now
|Pinned packages:
= versions
|libssl3:
|  Installed: {openssl}
|  Candidate: {openssl}
|  Version table:
| *** {openssl} 100
|        100 /var/lib/dpkg/status
= end
"""


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with open_platform(tmp_path / "state", create=True) as made:
        yield made


def give_feeds(platform: Platform, tmp_path: Path) -> None:
    update_from_folder(write_feeds(tmp_path / "feeds"), platform.folder / ADVISORIES, AT)


def look(openssl: str = "3.0.14-1~deb12u2", at: datetime = AT) -> Snapshot:
    texts = {"packages": PACKAGES, "release": RELEASE, "apt_policy": POLICY}
    answers = {
        name: Answer(name, 0, text.replace("{openssl}", openssl).encode()) for name, text in texts.items()
    }
    answers["known_flaws"] = Answer("known_flaws", 3, b"")
    return Snapshot("app-1", at, answers)


def verdicts(platform: Platform, snapshot: Snapshot) -> dict[tuple[str, str], Finding]:
    (whole,) = with_known_flaws(platform, [snapshot])
    found = assess(control, whole, platform.config.policy(control))
    # What runs in images is asked by questions of its own: tests/engine/test_image_flaws.py, test_image_packages.py.
    asked = [one for one in found if "images" not in one.rule]
    return {(one.rule.partition(".")[2], one.subject): one for one in asked}


def test_releases_met_in_images_have_an_end_too() -> None:
    day = date(2026, 11, 22)

    def told(name: str, version: str) -> tuple[str, bool] | None:
        found = support_notices((name, version), "x", day)
        return (found[0].kind, found[0].is_unknown) if found else None

    ended = ("unsupported_release", False)
    assert told("alpine", "3.19.1") == told("alpine", "3.9.6") == told("alpine", "3.21.0") == ended
    assert told("alpine", "3.22.1") is None
    assert told("almalinux", "9.4") is None
    assert told("rocky", "8.10") is None
    for version in ("", "edge", "3.99", "3.x"):
        assert told("alpine", version) == ("unsupported_release", True)


def test_without_a_database_every_rule_is_unknown_and_says_what_to_do(platform: Platform) -> None:
    found = verdicts(platform, look())
    assert {one.verdict for one in found.values()} == {Verdict.UNKNOWN}
    assert all("wardkeep vulns update" in one.seen for one in found.values())


def test_a_late_fix_fails_and_turns_green_when_it_is_installed(platform: Platform, tmp_path: Path) -> None:
    give_feeds(platform, tmp_path)
    found = verdicts(platform, look())
    late = found["no_fix_is_late", "package:openssl"]
    assert (late.verdict, late.severity, late.since) == (Verdict.FAIL, "critical", "2026-10-12")
    assert "CVE-2026-0001 (high by Debian, due 2026-10-27)" in late.seen
    assert "3.0.15-1~deb12u1 mends" in late.seen
    exploited = found["nothing_is_exploited", "package:openssl"]
    assert (exploited.verdict, "listed 2026-10-20" in exploited.seen) == (Verdict.FAIL, True)
    assert found["everything_can_be_scanned", "package:raspi-firmware"].verdict is Verdict.UNKNOWN
    patched = verdicts(platform, look("3.0.15-1~deb12u1"))
    assert ("no_fix_is_late", "package:openssl") not in patched
    assert ("nothing_is_exploited", "package:openssl") not in patched
    assert patched["no_fix_is_late", "advisories"].verdict is Verdict.PASS


def test_in_its_time_a_fix_passes_and_says_when_it_is_due(platform: Platform, tmp_path: Path) -> None:
    give_feeds(platform, tmp_path)
    found = verdicts(platform, look(at=datetime(2026, 10, 20, tzinfo=UTC)))
    assert found["no_fix_is_late", "package:openssl"].verdict is Verdict.PASS
    assert "due 2026-10-27" in found["no_fix_is_late", "package:openssl"].seen


def test_old_advisories_are_unknown_never_clean(platform: Platform, tmp_path: Path) -> None:
    give_feeds(platform, tmp_path)
    found = verdicts(platform, look("3.0.15-1~deb12u1", AT + timedelta(days=40)))
    stale = found["no_fix_is_late", "advisories"]
    assert (stale.verdict, "is stale" in stale.seen) == (Verdict.UNKNOWN, True)


def test_the_completed_answer_is_what_the_ledger_keeps(platform: Platform, tmp_path: Path) -> None:
    give_feeds(platform, tmp_path)
    (checked,), _ = record_looks(platform, "operator:test", [look()], [control])
    assert any(one.subject == "package:openssl" and one.verdict is Verdict.FAIL for one in checked.findings)
    entry = next(one for one in platform.ledger.read() if one["kind"] == "observe")
    raw = platform.ledger.get_blob(entry["blobs"][0]["digest"])
    assert b"CVE-2026-0001" in raw


def test_a_host_that_told_nothing_stays_unknown(platform: Platform, tmp_path: Path) -> None:
    give_feeds(platform, tmp_path)
    silent = look()
    broken = Snapshot("app-1", AT, {**silent.answers, "packages": Answer("packages", 127, b"")})
    assert {one.verdict for one in verdicts(platform, broken).values()} == {Verdict.UNKNOWN}
    gone = Snapshot("app-1", AT, silent.answers, problem="no route")
    assert with_known_flaws(platform, [gone]) == [gone]
    not_asked = Snapshot("app-1", AT, {"release": silent.answers["release"]})
    assert with_known_flaws(platform, [not_asked]) == [not_asked]
    shutil.rmtree(platform.folder / ADVISORIES)
    assert isinstance(with_known_flaws(platform, [silent])[0].answers[KnownFlaws.ask.id], Answer)


def test_the_archive_a_package_is_from() -> None:
    lists = (
        PackageFile(
            "http://deb.example/debian bookworm/main amd64 Packages", "Debian", "Debian", "stable", "bookworm"
        ),
        PackageFile(
            "http://d.example/linux bookworm/stable amd64 Packages", "Docker", "Docker", "", "bookworm"
        ),
    )

    def choice(name: str, *sources: str) -> Choice:
        return Choice(name, "1", "1", (Offer("1", sources),), 0)

    policy = AptPolicy(
        lists,
        (
            choice("bash", lists[0].source),
            choice("docker-ce", lists[1].source),
            choice("old", "/var/lib/dpkg/status"),
        ),
    )
    assert foreign_packages(policy, "Debian:12") == {
        "docker-ce": "installed from http://d.example/linux (Docker)"
    }


def test_a_release_nobody_mends_is_a_failure_by_itself() -> None:
    (ended,) = support_notices(("debian", "10"), "Debian 10", AT.date())
    assert (ended.kind, ended.is_unknown) == ("unsupported_release", False)
    (unknown,) = support_notices(("gentoo", ""), "Gentoo", AT.date())
    assert unknown.is_unknown
    assert support_notices(("debian", "13"), "Debian 13", AT.date()) == []
    assert inventory_of(look(), AT.date()).release == ("debian", "12")
