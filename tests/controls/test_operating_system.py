"""What the rules say about recorded hosts, and about the states that a container cannot have."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wardkeep.controls.operating_system import control
from wardkeep.controls.operating_system.row import Policy
from wardkeep.core.changes import Act, Blocked, OnHost, Setting
from wardkeep.core.control import Rule
from wardkeep.core.facts import HEARD, Answer, Snapshot
from wardkeep.core.findings import Seen, Verdict
from wardkeep.engine.assess import assess, drill_steps, remedies, see
from wardkeep.facts.auto_updates import AutoUpdates
from wardkeep.facts.kernel import Kernel
from wardkeep.facts.release import Release
from wardkeep.facts.sysctls import Sysctls
from wardkeep.facts.timesync import TimeSync
from wardkeep.facts.units import Units

ANSWERS = Path(__file__).parents[1] / "facts" / "answers"
AT = datetime(2026, 11, 22, 10, 27, tzinfo=UTC)
POLICY = Policy(clock_skew=timedelta(minutes=30))  # the recordings were made one after the other


def snapshot(state: str, **other: object) -> Snapshot:
    """A recorded host; `other` puts facts in the place of recorded ones, by question."""
    answers, kinds = {}, {kind.ask.id: kind for kind in control.facts()}
    for name in kinds:
        answers[name] = Answer(name, 0, (ANSWERS / f"{name}-{state}.txt").read_bytes())
    made = Snapshot(state, AT, answers, run={"time": str(int(AT.timestamp()))})
    for name, fact in other.items():
        made._learned[kinds[name]] = fact
    return made


def rule(name: str) -> Rule:
    return next(made for made in control.rules if made.id.endswith(name))


def said(name: str, world: Snapshot, policy: Policy = POLICY) -> list[Seen]:
    return see(rule(name), world, policy)


def by_verdict(state: str, verdict: Verdict) -> set[str]:
    found = assess(control, snapshot(state), POLICY)
    return {
        f"{f.rule.partition('.')[2]} {f.subject}"
        for f in found
        if f.verdict is verdict and "sysctl" not in f.subject
    }


def test_a_container_kept_well_leaves_open_only_what_belongs_to_its_machine() -> None:
    assert by_verdict("debian13-hardened", Verdict.FAIL) == set()
    assert by_verdict("debian13-hardened", Verdict.UNKNOWN) == {
        "newest_kernel_runs kernel",
        "clock_is_synchronised clock",
    }


@pytest.mark.parametrize("state", ["debian12-broken", "debian13-broken"])
def test_a_neglected_host_fails_where_it_was_neglected(state: str) -> None:
    assert by_verdict(state, Verdict.FAIL) == {
        "no_reboot_waits reboot", "no_failed_unit unit:site-sync.service", "updates_are_automatic package lists",
        "updates_are_automatic upgrades", "updates_are_automatic timers", "updates_run package lists", "updates_run upgrades",
    }  # fmt: skip


def test_a_host_without_systemd_is_looked_at_without_pretending() -> None:
    unknown = by_verdict("debian12-no-systemd", Verdict.UNKNOWN)
    assert {"no_failed_unit units", "no_reboot_waits reboot", "no_core_dumps core dumps"} <= unknown
    (seen,) = said("no_failed_unit", snapshot("debian12-no-systemd"))
    assert "PID 1 is process_api, not systemd" in seen.seen


@pytest.mark.parametrize(
    ("release", "verdict", "severity"),
    [
        (Release("debian", "13", "Debian 13"), "pass", None),
        (Release("debian", "12", "Debian 12"), "pass", None),  # long-term support
        (Release("debian", "11", "Debian 11"), "fail", None),
        (Release("ubuntu", "22.04", "Ubuntu 22.04"), "pass", None),
        (Release("ubuntu", "20.04", "Ubuntu 20.04"), "fail", None),
        (Release("alpine", "3.20", "Alpine 3.20"), "unknown", None),
        (Release("debian", "", "Debian forky/sid"), "unknown", None),
    ],
)
def test_a_release_is_held_against_its_dates(release: Release, verdict: str, severity: str | None) -> None:
    (seen,) = said("release_supported", snapshot("debian12-fresh", release=release))
    assert (seen.verdict, seen.severity) == (verdict, severity)


def test_long_term_support_can_be_refused_by_policy() -> None:
    strict = replace(POLICY, long_term_support=False)
    (seen,) = said("release_supported", snapshot("debian12-fresh"), strict)
    assert (seen.verdict, seen.severity, seen.since) == ("fail", "high", "2026-07-11")


KERNEL = Kernel("6.1.0-28-amd64", "6.1.119-1", "", True, (("linux-image-6.1.0-28-amd64", "6.1.119-1"),),
                ("linux-image-6.1.0-28-amd64", "6.1.119-1"), None, (), ())  # fmt: skip


@pytest.mark.parametrize(
    ("kernel", "verdict"),
    [
        (KERNEL, "pass"),
        (replace(KERNEL, newest=("linux-image-6.1.0-29-amd64", "6.1.123-1")), "fail"),
        (replace(KERNEL, newest=None, installed=()), "unknown"),
        (replace(KERNEL, container="lxc"), "unknown"),
    ],
)
def test_the_kernel_that_runs_is_the_newest_installed(kernel: Kernel, verdict: str) -> None:
    (seen,) = said("newest_kernel_runs", snapshot("debian12-fresh", kernel=kernel))
    assert seen.verdict == verdict


def test_pid_1_with_a_replaced_library_waits_for_a_reboot() -> None:
    (seen,) = said(
        "no_reboot_waits",
        snapshot("debian12-fresh", kernel=replace(KERNEL, old_libraries=("/usr/lib/libc.so.6",))),
    )
    assert seen.verdict == "fail"
    assert "libc.so.6" in seen.seen


@pytest.mark.parametrize(
    ("time", "verdict"),
    [
        (TimeSync("", "chrony", True, 0.0003, "reference a"), "pass"),
        (TimeSync("", "chrony", True, -4.2, "reference a"), "fail"),
        (TimeSync("", "chrony", False, 0.0, "its own clock"), "fail"),
        (TimeSync("", "kernel", True, None, "NTPSynchronized=yes"), "pass"),
        (TimeSync("", "", False, None, "nobody says"), "fail"),
        (TimeSync("podman", "kernel", False, None, "no"), "unknown"),
        (TimeSync("podman", "chrony", True, 0.0, "reference a"), "pass"),
    ],
)
def test_the_clock_follows_a_source(time: TimeSync, verdict: str) -> None:
    (seen,) = said("clock_is_synchronised", snapshot("debian12-fresh", timesync=time))
    assert seen.verdict == verdict


@pytest.mark.parametrize(
    ("skew", "took", "verdict"),
    [(0, 0.2, "pass"), (58, 0.2, "pass"), (62, 0.2, "fail"), (-58, 0.2, "pass"), (-62, 0.2, "fail"),
     (0, 50, "pass"), (45, 50, "pass"), (90, 50, "unknown"), (-20, 50, "unknown"), (0, 120, "unknown"), (130, 50, "fail"),
     (-62, 50, "fail")],
)  # fmt: skip
def test_the_clock_agrees_with_ours_as_far_as_the_way_there_lets_it_be_known(
    skew: int, took: float, verdict: str
) -> None:
    """`took` seconds after the asking began the collector was heard; `skew` is its clock against the beginning."""
    fresh = snapshot("debian12-fresh")
    run = {**fresh.run, "time": str(int(fresh.at.timestamp()) + skew), HEARD: str(took)}
    (seen,) = said("clock_is_right", replace(fresh, run=run), Policy())
    assert seen.verdict == verdict, seen.seen


@pytest.mark.parametrize("told", [{}, {"time": "-"}, {"time": "1", HEARD: "soon"}])
def test_a_host_that_told_no_time_is_unknown(told: dict[str, str]) -> None:
    (seen,) = said("clock_is_right", replace(snapshot("debian12-fresh"), run=told), Policy())
    assert seen.verdict == "unknown"


def sysctls(**changed: str) -> Sysctls:
    known = snapshot("debian12-fresh").learn(Sysctls)
    assert isinstance(known, Sysctls)
    return replace(
        known, container="", values={**known.values, **{k.replace("__", "."): v for k, v in changed.items()}}
    )


@pytest.mark.parametrize(
    ("pattern", "limit", "verdict"),
    [
        ("core", "0", "pass"),
        ("core", "infinity", "fail"),
        ("core", "", "unknown"),
        ("|/usr/lib/systemd/systemd-coredump %P %u", "0", "fail"),
        ("|/bin/false", "infinity", "pass"),
    ],
)
def test_core_dumps(pattern: str, limit: str, verdict: str) -> None:
    fact = replace(sysctls(kernel__core_pattern=pattern), core_limit=limit)
    (seen,) = said("no_core_dumps", snapshot("debian12-fresh", sysctls=fact))
    assert seen.verdict == verdict


def test_hardening_is_one_line_per_setting_and_blocked_inside_a_container() -> None:
    world = snapshot("debian12-fresh", sysctls=sysctls())
    ((_, failing, changes),) = [t for t in remedies(control, world, POLICY) if t[0].id.endswith("hardened")]
    assert isinstance(changes, list)
    assert all(isinstance(change, Setting) and change.line.startswith(change.key) for change in changes)
    assert len(changes) == len(failing) > 2
    ((_, _, inside),) = [
        t for t in remedies(control, snapshot("debian12-fresh"), POLICY) if t[0].id.endswith("hardened")
    ]
    assert isinstance(inside, list)
    assert all(isinstance(change, Blocked) for change in inside)


def test_policy_can_want_another_value_or_leave_a_setting_out() -> None:
    own = replace(POLICY, kernel_settings={"kernel.kptr_restrict": "any", "net.ipv4.tcp_syncookies": "0"})
    seen = {s.subject: s for s in said("kernel_is_hardened", snapshot("debian12-fresh"), own)}
    assert seen["sysctl:kernel.kptr_restrict"].seen == "left out by policy"
    assert seen["sysctl:net.ipv4.tcp_syncookies"].verdict == "fail"


def test_updates_are_mended_by_one_file_and_the_timers() -> None:
    told = {r.id.partition(".")[2]: c for r, _, c in remedies(control, snapshot("debian13-broken"), POLICY)}
    changes = told["updates_are_automatic"]
    assert isinstance(changes, list)
    assert {c.line for c in changes if isinstance(c, Setting)} == {
        'APT::Periodic::Update-Package-Lists "1";', 'APT::Periodic::Unattended-Upgrade "1";',
    }  # fmt: skip
    (timers,) = [c for c in changes if isinstance(c, Act)]
    assert timers.undo.startswith("systemctl disable --now apt-daily-upgrade.timer apt-daily.timer")


def test_a_stamp_from_the_future_is_no_run() -> None:
    known = snapshot("debian13-hardened").learn(AutoUpdates)
    assert isinstance(known, AutoUpdates)
    ahead = replace(known, stamps={name: known.clock + 9999 for name in known.stamps})
    assert {s.verdict for s in said("updates_run", snapshot("debian13-hardened", auto_updates=ahead))} == {
        Verdict.FAIL
    }


@pytest.mark.parametrize(("state", "steps"), [("debian13-fresh", 3), ("debian12-no-systemd", 2)])
def test_the_drill_breaks_something_and_uses_the_look_itself(state: str, steps: int) -> None:
    made = drill_steps(control, snapshot(state), POLICY)
    assert isinstance(made, list)
    assert len(made) == steps
    assert all(isinstance(step, OnHost) and step.expect_text for step in made)
    looks = [step.script for step in made if isinstance(step, OnHost)]
    assert any(AutoUpdates.ask.script in script for script in looks)
    assert (Units.ask.script in looks[0]) is (steps == 3)


def test_a_systemd_that_is_still_starting_is_not_called_healthy() -> None:
    (seen,) = said("no_failed_unit", snapshot("debian12-fresh", units=Units("systemd", "starting", ())))
    assert seen.verdict == "unknown"


def test_updates_need_a_security_archive_and_timers_that_run() -> None:
    known = snapshot("debian13-hardened").learn(AutoUpdates)
    assert isinstance(known, AutoUpdates)

    def failing(fact: AutoUpdates) -> set[str]:
        found = said("updates_are_automatic", snapshot("debian13-hardened", auto_updates=fact))
        return {seen.subject for seen in found if seen.verdict is Verdict.FAIL}

    assert failing(known) == set()
    plain = {**known.options, "unattended-upgrade::origins-pattern": ("origin=Debian,label=Debian",)}
    assert failing(replace(known, options=plain)) == {"program"}
    assert failing(replace(known, has_program=False)) == {"program"}
    stopped = tuple(replace(timer, active="inactive") for timer in known.timers)
    assert failing(replace(known, timers=stopped)) == {"timers"}
    assert failing(replace(known, timers=())) == {"timers"}


def test_where_no_dpkg_is_nothing_asks_for_a_reboot_and_that_is_no_pass() -> None:
    world = snapshot("debian13-hardened")
    (seen,) = said("no_reboot_waits", world)
    assert seen.verdict is Verdict.PASS
    alpine = replace(world.learn(Kernel), has_dpkg=False, installed=(), newest=None)
    (seen,) = said("no_reboot_waits", snapshot("debian13-hardened", kernel=alpine))
    assert seen.verdict is Verdict.UNKNOWN
    assert "without dpkg" in seen.seen
