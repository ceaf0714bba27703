"""The drill of vulnerability scanning, carried out by the machine's own dpkg in a scratch root: found, upgraded, found no more."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.advisories.small_feeds import write_feeds
from tests.engine.frozen import LEASE, PATROL

from wardkeep.advisories.updating import update_from_folder
from wardkeep.controls import control
from wardkeep.core.findings import Verdict
from wardkeep.engine.apply.carry_out import Site
from wardkeep.engine.drills import Drilled
from wardkeep.engine.flaw_drill import FOLDER, ROOT, Planted, judge
from wardkeep.engine.hosts import add_host
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.engine.workers import drill_host, open_workers
from wardkeep.fleet import Host

HERE = Host(name="here", url="local:")
ACTOR = "operator:test"
ROW = control("vulnerability_scanning")
needs_dpkg = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("dpkg-deb"), reason="the drill installs by dpkg, as root"
)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with open_platform(tmp_path / "state", create=True) as made:
        add_host(made, HERE, ACTOR)
        yield made


def give_feeds(platform: Platform, tmp_path: Path) -> None:
    update_from_folder(write_feeds(tmp_path / "feeds"), platform.folder / FOLDER, datetime.now(UTC))


def drill(platform: Platform, tmp_path: Path) -> Drilled:
    site = Site(platform, folder=str(tmp_path / "changes"))
    durable = open_workers(platform, role="test", lease=LEASE, site=site)
    durable.patrol = PATROL
    with durable:
        return drill_host(durable, ROW, HERE, ACTOR)


@needs_dpkg
def test_found_then_mended_then_gone(platform: Platform, tmp_path: Path) -> None:
    give_feeds(platform, tmp_path)
    done = drill(platform, tmp_path)
    assert (done.verdict, done.summary) == ("pass", "2 pass"), done
    found, mended = done.steps
    assert "~: fix_available; " in found.seen
    assert ": not_affected; " in mended.seen
    assert "is at or above its fix" in mended.seen
    assert not Path(ROOT).exists()
    entry = list(platform.ledger.read())[-1]
    assert (entry["kind"], entry["body"]["verdict"]) == ("drill", "pass")


@needs_dpkg
def test_without_advisories_nothing_is_proven(platform: Platform, tmp_path: Path) -> None:
    done = drill(platform, tmp_path)
    assert done.verdict == "unknown"
    assert "there is no advisory database" in done.summary


def test_a_look_that_misses_the_flaw_or_keeps_it_fails(platform: Platform, tmp_path: Path) -> None:
    """The judge can fail: it is given the wrong version, another package, and a database without the flaw."""
    give_feeds(platform, tmp_path)
    status = "Package: {}\nStatus: install ok installed\nVersion: {}\n"
    below, fixed = "3.0.15-1~deb12u1~", "3.0.15-1~deb12u1"

    def told(expect: str, text: str, flaw: str = "CVE-2026-0001") -> str:
        step = Planted("x", "x", "x", ecosystem="Debian:12", flaw=flaw, fixed=fixed, expect=expect)
        return judge(platform, step, text)[0]

    assert told("found", status.format("openssl", below)) == Verdict.PASS
    assert told("mended", status.format("openssl", fixed)) == Verdict.PASS
    assert told("found", status.format("openssl", fixed)) == Verdict.FAIL
    assert told("mended", status.format("openssl", below)) == Verdict.FAIL
    assert told("found", status.format("bash", below)) == Verdict.FAIL
    assert told("found", status.format("openssl", below), "CVE-2026-7777") == Verdict.FAIL
    assert told("found", "") == Verdict.UNKNOWN
