"""What dpkg, apt and the kernel said of packages, lists and running code: read exactly or refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer
from wardkeep.facts.apt_lists import AptLists
from wardkeep.facts.apt_policy import AptPolicy
from wardkeep.facts.old_libraries import OldLibraries
from wardkeep.facts.package_units import PackageUnits
from wardkeep.facts.packages import Packages

ANSWERS = Path(__file__).parent / "answers"
KINDS = {
    "packages": Packages,
    "apt_policy": AptPolicy,
    "apt_lists": AptLists,
    "old_libraries": OldLibraries,
    "package_units": PackageUnits,
}


def text(name: str) -> str:
    return (ANSWERS / f"{name}.txt").read_text()


def read(question: str, said: str):  # type: ignore[no-untyped-def]
    return KINDS[question].parse(Answer(question, 0, said.encode()))


def test_packages_have_states_sources_and_holds() -> None:
    held = read("packages", text("packages-debian12-held"))
    demo = held.named("demo")
    assert (demo.version, demo.source, demo.state, demo.held) == ("1.0-1", "demo", "installed", True)
    assert sum(p.held for p in held.installed) == 1
    foreign = text("packages-debian12-held").replace("|demo|amd64|", "|demo|i386|")
    assert read("packages", foreign).named("demo:i386").name == "demo:i386"
    assert read("packages", text("packages-debian12-unpacked")).named("demo").state == "unpacked"


def test_versions_stand_newest_first_with_their_lists() -> None:
    policy = read("apt_policy", text("apt_policy-debian12-months-behind"))
    libssl = next(c for c in policy.choices if c.name == "libssl3")
    assert [offer.version for offer in libssl.newer] == ["3.0.22-1~deb12u2", "3.0.20-1~deb12u2"]
    assert (libssl.installed, libssl.candidate) == ("3.0.19-1~deb12u2", "3.0.22-1~deb12u2")
    assert libssl.here == ()
    (security,) = policy.labelled(("Debian-Security",))
    assert libssl.newer[0].sources == (security.source,)
    assert security.codename == "bookworm-security"


def test_lists_have_dates_and_ends() -> None:
    lists = read("apt_lists", text("apt_lists-debian12-months-behind"))
    (security,) = lists.labelled(("Debian-Security",))
    assert security.date == datetime(2026, 11, 20, 0, 12, 41, tzinfo=UTC)
    assert security.until == datetime(2026, 11, 27, 0, 12, 41, tzinfo=UTC)
    assert lists.absent == ()
    gone = read("apt_lists", text("apt_lists-debian12-no-lists"))
    assert [release for _, release in gone.absent] == ["lab", "lab-security"]


def test_old_code_is_told_below_the_hosts_own_process_1() -> None:
    (demo,) = read("old_libraries", text("old_libraries-debian12-not-restarted")).processes
    assert (demo.unit, demo.group) == ("demo.service", "/system.slice/demo.service")
    assert demo.files == ("/usr/lib/demo/demod",)


def test_units_of_packages() -> None:
    units = read("package_units", text("package_units-debian12-behind"))
    assert units.restarted_with(frozenset({"demo", "openssh-server"})) == ("demo.service", "ssh.service")
    assert units.restarted_with(frozenset({"adduser"})) == ()


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("packages", "= packages amd64\n= end\n"),
        ("packages", "= packages amd64\n|ii |adduser|all|3.134|adduser\n= end\n"),
        ("packages", "= packages amd64\n|iz |adduser|all|3.134|adduser|3.134\n= end\n"),
        ("packages", "= packages amd64\n|ii |adduser|all||adduser|3.134\n= end\n"),
        ("apt_policy", "= files\n|Package files:\n|Pinned packages:\n= versions\n= end\n"),
        ("apt_policy", "= versions\n|adduser:\n|  Installed: 3.134\n= end\n"),
        ("apt_policy", "= files\n|Pakete:\n= versions\n|adduser:\n= end\n"),
        (
            "apt_policy",  # which version is installed is not marked
            "= files\n|Package files:\n|Pinned packages:\n= versions\n|a:\n|  Installed: 1\n|  Candidate: 1\n"
            "|  Version table:\n|     1 500\n|        500 file:/srv x/main amd64 Packages\n= end\n",
        ),
        ("apt_lists", "= configured\n|file:/srv|lab|main\n= present\n= end\n"),
        ("apt_lists", "= present\n= configured\n= end\n"),
        ("apt_lists", "= configured\n= present\n= release x\n|Origin: Debian\n= end\n"),
        ("apt_lists", "= configured\n= present\n= release x\n|Date: gestern\n= end\n"),
        ("old_libraries", "= looked 0\n|cgroup /init.scope\n= end\n"),
        ("old_libraries", "= looked 9\n= process 1 x\n|wchan 7\n= end\n"),
        ("old_libraries", "= process 1 x\n= end\n"),
        ("package_units", "= units\n|no file here\n= running\n= end\n"),
        ("package_units", "= running\n= end\n"),
    ],
)
def test_refuses_what_it_does_not_understand(question: str, said: str) -> None:
    with pytest.raises(NotUnderstood):
        read(question, said)
