"""Facts of the operating system, read from what real programs said."""

from __future__ import annotations

from datetime import date

import pytest

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer
from wardkeep.facts.auto_updates import AutoUpdates
from wardkeep.facts.kernel import Kernel
from wardkeep.facts.release import SUPPORT, Release
from wardkeep.facts.sysctls import KEYS, Sysctls
from wardkeep.facts.timesync import TimeSync
from wardkeep.facts.units import Units


def said(name: str, text: str) -> Answer:
    return Answer(name, 0, (text.strip("\n") + "\n= end\n").encode())


ALPINE = """
= release /etc/os-release
|NAME="Alpine Linux"
|ID=alpine
|VERSION_ID=3.20.3
|PRETTY_NAME="Alpine Linux v3.20"
"""
TESTING = """
= release /etc/os-release
|PRETTY_NAME="Debian GNU/Linux forky/sid"
|NAME="Debian GNU/Linux"
|VERSION_CODENAME=forky
|ID=debian
"""


def test_a_release_we_do_not_know_has_no_support_dates() -> None:
    assert Release.parse(said("release", ALPINE)) == Release("alpine", "3.20.3", "Alpine Linux v3.20")
    assert Release.parse(said("release", ALPINE)).support is None
    assert Release.parse(said("release", TESTING)).support is None


def test_support_ends_with_the_security_team_first() -> None:
    assert SUPPORT["debian", "12"].full == date(2026, 7, 11)
    assert all(known.long is None or known.full < known.long for known in SUPPORT.values())


@pytest.mark.parametrize("text", ["= release /x\n|NAME=x", "= release /x\n|ID", '= release /x\n|ID="a', ""])
def test_an_os_release_that_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(NotUnderstood):
        Release.parse(said("release", text))


MACHINE = """
= running 6.1.0-28-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)
= packages
|linux-image-6.1.0-27-amd64 6.1.115-1
|linux-image-6.1.0-28-amd64 {version}
= newest linux-image-{newest}-amd64 {version}
= old
"""


@pytest.mark.parametrize(
    ("newest", "version", "current"),
    [
        ("6.1.0-28", "6.1.119-1", True),
        (
            "6.1.0-28",
            "6.1.123-1",
            False,
        ),  # the same name, mended since: Debian keeps the name while the ABI stays
        ("6.1.0-29", "6.1.123-1", False),
    ],
)
def test_the_running_kernel_is_compared_by_name_and_version(newest: str, version: str, current: bool) -> None:
    kernel = Kernel.parse(said("kernel", MACHINE.format(newest=newest, version=version)))
    assert kernel.current is current


def test_a_kernel_that_no_package_installed_is_not_called_current() -> None:
    kernel = Kernel.parse(said("kernel", "= running 6.18.44-fc #1 SMP x\n= packages"))
    assert kernel.current is None
    assert kernel.old_libraries is None


def test_libraries_replaced_under_pid_1_are_named_once() -> None:
    text = "= running 6.1.0 #1\n= reboot 1700000000\n|libc6\n|libc6\n= old\n|/usr/lib/libc.so.6 (deleted)\n|/usr/lib/libc.so.6 (deleted)"
    kernel = Kernel.parse(said("kernel", text))
    assert kernel.old_libraries == ("/usr/lib/libc.so.6",)
    assert (kernel.reboot_asked, kernel.reboot_for) == (1700000000, ("libc6",))


def test_failed_units_carry_their_description() -> None:
    text = "= first systemd\n= state degraded\n= failed\n|site.service loaded failed failed Sync of the site"
    assert Units.parse(said("units", text)).failed == (("site.service", "Sync of the site"),)
    assert not Units.parse(said("units", "= first process_api")).has_systemd


@pytest.mark.parametrize(
    "line", ["|0 loaded units listed.", "|site.service loaded active running x", "|\x1b[0;1msite.service"]
)
def test_another_table_of_units_is_refused(line: str) -> None:
    with pytest.raises(NotUnderstood):
        Units.parse(said("units", f"= first systemd\n= state running\n= failed\n{line}"))


# chrony 4.3 with `local stratum 8`, with an unreachable server, and the form of a synchronised one (chronyc(1)).
OWN_CLOCK = "7F7F0101,,8,1795342912.550022413,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,0.000000000,0.000000000,0.0,Normal"
LOST = "00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,1.000000000,1.000000000,0.0,Not synchronised"
GOOD = "C0A80001,ntp1.example.org,2,1795342912.5,-0.000012345,-0.00001,0.00002,-11.1,-0.01,0.2,0.02,0.001,64.2,Normal"


@pytest.mark.parametrize(("line", "synchronised"), [(OWN_CLOCK, False), (LOST, False), (GOOD, True)])
def test_chrony_is_believed_only_when_it_follows_somebody(line: str, synchronised: bool) -> None:
    time = TimeSync.parse(said("timesync", f"= chrony\n|{line}"))
    assert (time.source, time.synchronised) == ("chrony", synchronised)


def test_timesyncd_tells_its_offset() -> None:
    text = """
= timedatectl
|NTP=yes
|NTPSynchronized=yes
= timesyncd
|       Server: 192.0.2.1 (ntp.example.org)
|         Leap: normal
|       Offset: -1.262ms
"""
    time = TimeSync.parse(said("timesync", text))
    assert time.offset == pytest.approx(-0.001262)
    assert time.synchronised
    silent = TimeSync.parse(said("timesync", text.replace("|       Offset: -1.262ms\n", "")))
    assert not silent.synchronised


def test_apt_says_its_periods_and_origins() -> None:
    text = r"""
= apt
|APT::Periodic "";
|APT::Periodic::Update-Package-Lists "always";
|APT::Periodic::Unattended-Upgrade "1";
|Unattended-Upgrade::Allowed-Origins:: "${distro_id}:${distro_codename}-security";
= program unattended-upgrade
= timer apt-daily.timer enabled active
= timer apt-daily-upgrade.timer  inactive
= clock 1795342912
"""
    updates = AutoUpdates.parse(said("auto_updates", text))
    assert (
        updates.days("Update-Package-Lists"),
        updates.days("Unattended-Upgrade"),
        updates.days("AutocleanInterval"),
    ) == (1, 1, 0)
    assert updates.origins == ("${distro_id}:${distro_codename}-security",)
    assert [timer.enabled for timer in updates.timers] == ["enabled", "missing"]


def test_a_setting_not_spoken_of_is_no_answer() -> None:
    lines = [f"= value {key} 1" for key in KEYS]
    assert len(Sysctls.parse(said("sysctls", "\n".join(lines))).values) == len(KEYS)
    with pytest.raises(NotUnderstood):
        Sysctls.parse(said("sysctls", "\n".join(lines[1:])))
