"""From feeds to findings: what each form of claim makes of an installed package, and the reason it gives."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from tests.advisories.small_feeds import write_feeds, write_root

from wardkeep.advisories.components import Component
from wardkeep.advisories.database import Database
from wardkeep.advisories.fleet import Fleet
from wardkeep.advisories.inventories import read_path
from wardkeep.advisories.matching import Match, Matcher, State, foreign_notices
from wardkeep.advisories.updating import FILE, update_from_folder

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def db(tmp_path: Path) -> Database:
    done = update_from_folder(write_feeds(tmp_path / "feeds"), tmp_path / "db", NOW)
    assert done.replaced
    assert done.problems == []
    return Database(tmp_path / "db" / FILE)


def states(db: Database, *components: Component) -> dict[str, State]:
    return {one.id: one.state for one in Matcher(db).matches(components, dismissed=True)}


def one_match(db: Database, flaw: str, component: Component) -> Match:
    (found,) = [m for m in Matcher(db).matches([component], dismissed=True) if m.id == flaw]
    return found


OPENSSL = Component("Debian:12", "openssl", "3.0.14-1~deb12u2")


def test_each_thing_debian_says_is_its_own_state(db: Database) -> None:
    assert states(db, OPENSSL) == {
        "CVE-2026-0001": State.FIX_AVAILABLE,
        "CVE-2026-0002": State.NO_FIX,
        "CVE-2026-0003": State.IGNORED,
        "CVE-2026-0004": State.NOT_AFFECTED,
        "CVE-2026-0005": State.UNKNOWN,
        "CVE-2026-0006": State.NO_FIX,
    }
    assert states(db, Component("Debian:12", "zlib", "1:1.2.13.dfsg-1")) == {
        "CVE-2023-45853": State.NOT_AFFECTED
    }
    assert states(db, Component("Debian:12", "chromium", "1.0-1")) == {"CVE-2026-0007": State.NO_FIX}
    assert states(db, Component("Debian:11", "oldthing", "1.0-1")) == {"DSA-9000-1": State.NOT_AFFECTED}
    assert states(db, Component("Debian:12", "oldthing", "1.0-1")) == {"DSA-9000-1": State.FIX_AVAILABLE}
    assert states(db, Component("Debian:13", "openssl", "1.0-1")) == {}


def test_a_patched_package_is_dismissed_with_the_comparison(db: Database) -> None:
    patched = Component("Debian:12", "openssl", "3.0.15-1~deb12u1")
    found = one_match(db, "CVE-2026-0001", patched)
    assert found.state is State.NOT_AFFECTED
    assert "is at or above its fix 3.0.15-1~deb12u1 (dpkg order)" in found.why
    assert "CVE-2026-0001" not in {one.id for one in Matcher(db).matches([patched])}


def test_a_fix_version_that_no_repository_has_is_no_released_fix(db: Database) -> None:
    found = one_match(db, "CVE-2026-0002", OPENSSL)
    assert (found.state, found.fixed, found.due) == (State.NO_FIX, "3.0.16-1~deb12u1", None)
    assert "in no repository of this release yet" in found.why


def test_severity_says_whose_and_the_clock_begins_with_the_advisory(db: Database) -> None:
    found = one_match(db, "CVE-2026-0001", OPENSSL)
    assert (found.severity, found.severity_source, found.kev) == ("high", "Debian", "2026-10-20")
    assert found.advisory == "DSA-9001-1"
    assert found.due == date(2026, 10, 27)  # exploited: 15 days from DSA-9001 of 12 October
    assert found.risk.value == (8 * 4 + 40 + 5)
    assert found.risk.because == "severity high 8 × 4 = 32 + known exploited 40 + fix released 5"
    other = one_match(db, "CVE-2026-0006", OPENSSL)
    assert (other.severity, other.severity_source) == ("medium", "Debian")
    assert other.ssvc == "exploitation=poc automatable=yes impact=total"
    unrated = one_match(db, "DSA-9000-1", Component("Debian:12", "oldthing", "1"))
    assert (unrated.severity, unrated.severity_source, unrated.due) == (
        "unknown",
        "nobody",
        date(2026, 10, 31),
    )


def test_a_package_of_another_archive_is_not_decided_by_debians_data(db: Database) -> None:
    rebuilt = Component(
        "Debian:12", "raspi-firmware", "1:1.20220801+ds-1+rpt1", foreign="a Raspberry Pi rebuild"
    )
    assert states(db, rebuilt) == {"CVE-2026-0008": State.UNKNOWN}
    (notice,) = foreign_notices([rebuilt])
    assert notice.is_unknown
    assert "Raspberry" in notice.why


def test_ranges_of_language_packages(db: Database) -> None:
    affected = {
        ("npm", "left-pad"): {
            "1.3.0": True,
            "1.3.1": False,
            "2.0.0-rc.1": False,
            "2.0.0": True,
            "2.1.1": False,
        },
        ("PyPI", "some-thing"): {"1.5": True, "1.5.0": True, "1.5.1": False, "1.9b1": True, "2.0": False},
        ("Maven", "org.example:thing"): {"0.9": False, "1.0": True, "1.1.RELEASE": True, "1.2": False},
        ("npm", "evil"): {"6.6.6": True, "6.6.7": False},
    }
    for (ecosystem, name), versions in affected.items():
        for version, is_affected in versions.items():
            found = [*Matcher(db).matches([Component(ecosystem, name, version)])]
            assert bool(found) is is_affected, (name, version)
    (critical,) = Matcher(db).matches([Component("npm", "left-pad", "1.0.0")])
    assert (critical.id, critical.aliases) == ("CVE-2026-1000", ("GHSA-aaaa-bbbb-cccc",))
    assert (critical.severity, critical.severity_source, critical.score, critical.epss) == (
        "critical",
        "GitHub",
        9.8,
        0.5,
    )
    assert critical.due == date(2026, 11, 16)


def test_two_databases_that_speak_of_one_flaw_give_one_finding(db: Database) -> None:
    (found,) = Matcher(db).matches([Component("PyPI", "twice", "1.0")])
    assert (found.id, found.aliases, found.state) == ("GHSA-same", ("PYSEC-2026-2",), State.FIX_AVAILABLE)
    assert found.fixed == "1.1"


def test_what_cannot_be_compared_is_unknown_never_clean(db: Database) -> None:
    (unread,) = Matcher(db).matches([Component("npm", "odd", "1.0.0")])
    assert unread.state is State.UNKNOWN
    assert "cannot be read" in unread.why
    (odd,) = Matcher(db).matches([Component("npm", "left-pad", "not a version")])
    assert odd.state is State.UNKNOWN
    assert "cannot be compared" in odd.why


def test_a_root_folder_is_read_by_source_package(db: Database, tmp_path: Path) -> None:
    made = read_path(write_root(tmp_path / "root"))
    assert made.release == ("debian", "12")
    assert {(c.name, c.version, c.binaries) for c in made.components} == {
        ("openssl", "3.0.14-1~deb12u2", ("libssl3", "openssl")),
        ("zlib", "1:1.2.13.dfsg-1", ("zlib1g",)),
        ("raspi-firmware", "1:1.20220801+ds-1+rpt1", ("raspi-firmware",)),
    }
    found = {one.id: one.state for one in Matcher(db).matches(made.components)}
    assert found["CVE-2026-0008"] is State.UNKNOWN
    assert "CVE-2023-45853" not in found


def test_why_tells_every_row_that_speaks_of_it(db: Database) -> None:
    (number,) = db.numbers("CVE-2026-0001")
    assert db.numbers("DSA-9001-1") == [number]
    assert db.numbers("CVE-1999-0000") == []
    ((state, row, because),) = Matcher(db).why(OPENSSL, number)
    assert state is State.FIX_AVAILABLE
    assert (row.fixed, row.advisory) == ("3.0.15-1~deb12u1", "DSA-9001-1")
    assert because.startswith("debian-tracker")
    assert Matcher(db).why(Component("Debian:12", "bash", "5"), number) == []


def test_a_fleet_is_matched_by_distinct_versions(db: Database) -> None:
    patched = Component("Debian:12", "openssl", "3.0.15-1~deb12u1")
    fleet = Fleet.of({"a": [OPENSSL], "b": [patched, Component("npm", "left-pad", "1.0.0")], "c": []})
    hits = fleet.match(db)
    assert {host: sum(map(len, found)) for host, found in hits.items()} == {"a": 5, "b": 5, "c": 0}
    assert fleet.affected_by(db, "DSA-9001-1") == {"a": [("Debian:12", "openssl", "3.0.14-1~deb12u2")]}
    assert list(fleet.affected_by(db, "CVE-2026-1000")) == ["b"]
    assert fleet.affected_by(db, "CVE-2026-0004") == {}


def test_a_fleet_and_one_host_agree(db: Database) -> None:
    components = [
        OPENSSL,
        Component("npm", "left-pad", "2.0.5"),
        Component("Debian:12", "zlib", "1:1.2.13.dfsg-1"),
    ]
    hits = Fleet.of({"x": components}).match(db)["x"]
    of_fleet = {db.flaw(hit.rows.flaws[i]).id for hit in hits for i in hit.numbers}
    assert of_fleet == {one.id for one in Matcher(db).matches(components)}
