"""The security patching row held against what real Debian 12 and 13 hosts answered, in each state a host can be in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from wardkeep.controls.security_patching import Policy, control
from wardkeep.controls.security_patching.exercise import OLD
from wardkeep.controls.security_patching.updates import pending
from wardkeep.core.changes import Act, Blocked, Cannot, OnHost, Upgrade
from wardkeep.core.errors import BadInput
from wardkeep.core.facts import Answer, Snapshot
from wardkeep.core.findings import Finding, Severity
from wardkeep.engine.assess import assess, drill_steps, remedies
from wardkeep.facts.apt_policy import AptPolicy
from wardkeep.facts.packages import Packages

HERE = Path(__file__).parent
ANSWERS = HERE.parent / "facts" / "answers"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BEHIND = {
    "packages": "debian12-behind",
    "apt_policy": "debian12-behind",
    "apt_lists": "debian12-behind",
    "old_libraries": "debian12-behind",
    "package_units": "debian12-behind",
}
CURRENT = {**BEHIND, "apt_policy": "debian12-current"}
MONTHS = {**BEHIND, **dict.fromkeys(("packages", "apt_policy", "apt_lists"), "debian12-months-behind")}


def host(answers: Mapping[str, str]) -> Snapshot:
    given = {
        question: Answer(question, 0, (ANSWERS / f"{question}-{state}.txt").read_bytes())
        for question, state in answers.items()
    }
    return Snapshot("app-1", NOW, given)


def found(answers: Mapping[str, str], policy: Policy | None = None) -> dict[tuple[str, str], Finding]:
    findings = assess(control, host(answers), policy or Policy())
    return {(f.rule.partition(".")[2], f.subject): f for f in findings}


def verdicts(answers: Mapping[str, str], policy: Policy | None = None) -> dict[str, str]:
    """Rule → its worst verdict."""
    worst: dict[str, str] = {}
    for (rule, _), finding in found(answers, policy).items():
        worst[rule] = min(
            worst.get(rule, "pass"), str(finding.verdict), key=["fail", "unknown", "pass"].index
        )
    return worst


ALL_PASS = dict.fromkeys((rule.id.partition(".")[2] for rule in control.rules), "pass")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {}),
        ({"apt_policy": "debian12-behind"}, {"no_update_is_pending": "fail"}),
        (
            {"apt_policy": "debian12-behind", "packages": "debian12-held"},
            {"no_update_is_pending": "fail", "nothing_is_held_back": "fail"},
        ),
        (
            {"apt_policy": "debian12-pinned"},
            {"no_update_is_pending": "fail", "nothing_is_held_back": "fail"},
        ),
        ({"apt_lists": "debian12-stale"}, {"lists_are_fresh": "fail", "no_update_is_pending": "unknown"}),
        (
            {"apt_lists": "debian12-no-security-lists"},
            {"lists_are_fresh": "unknown", "no_update_is_pending": "unknown"},
        ),
        (
            {"apt_lists": "debian12-no-lists", "apt_policy": "debian12-no-lists"},
            {"lists_are_fresh": "unknown", "no_update_is_pending": "unknown", "origins_are_named": "unknown"},
        ),
        (
            {"apt_lists": "debian12-no-sources", "apt_policy": "debian12-no-lists"},
            {"lists_are_fresh": "fail", "no_update_is_pending": "unknown", "origins_are_named": "unknown"},
        ),
        ({"packages": "debian12-unpacked"}, {"dpkg_is_consistent": "fail"}),
        ({"old_libraries": "debian12-not-restarted"}, {"nothing_runs_old_code": "fail"}),
    ],
)
def test_each_state_of_a_host_has_its_verdicts(changed: dict[str, str], expected: dict[str, str]) -> None:
    assert verdicts({**CURRENT, **changed}) == {**ALL_PASS, **expected}


def test_debian_13_is_read_as_debian_12() -> None:
    trixie = {question: state.replace("debian12", "debian13") for question, state in BEHIND.items()}
    trixie["old_libraries"] = "debian13-not-restarted"
    expected = {"no_update_is_pending": "fail", "nothing_runs_old_code": "fail"}
    assert verdicts(trixie) == {**ALL_PASS, **expected}


def test_the_same_updates_are_pending_as_apt_itself_would_install() -> None:
    """The oracle: `apt-get -s dist-upgrade` of the same host, its packages of an archive labelled Debian-Security."""
    simulated = (HERE / "apt-dist-upgrade-simulated.txt").read_text()
    installs = re.findall(r"^Inst (\S+) \[\S+\] \((\S+) ([^)]*)\)", simulated, re.M)
    expected = {name: to for name, to, origins in installs if "Debian-Security:" in origins}
    known = host(MONTHS)
    choices, packages = known.learn(AptPolicy), known.learn(Packages)
    assert isinstance(choices, AptPolicy)
    assert isinstance(packages, Packages)
    assert {u.name: u.to for u in pending(choices, packages, Policy())} == expected
    assert len(expected) == 77
    assert len(installs) > len(expected)  # updates that are no security updates are there, and are left alone


def test_a_point_release_proves_since_when_a_fix_is_on_offer() -> None:
    seen = found(MONTHS)
    cups = seen["no_update_is_pending", "source:cups"]
    assert cups.since == "2026-07-11"
    assert "134 days, past the deadline of 15 days" in cups.seen
    assert cups.severity is Severity.CRITICAL
    openssl = seen["no_update_is_pending", "source:openssl"]
    assert openssl.since == "2026-11-20"
    assert "past the deadline" not in openssl.seen


def test_a_fix_that_a_later_point_release_carried_on_is_not_missed() -> None:
    text = (ANSWERS / "apt_policy-debian12-behind.txt").read_text()
    carried = text.replace(
        "|     1.0-1+deb1u1 500\n",
        "|     1.0-1+deb1u2 500\n|        500 file:/srv/archive lab/main amd64 Packages\n|     1.0-1+deb1u1 500\n",
    ).replace("|  Candidate: 1.0-1+deb1u1\n", "|  Candidate: 1.0-1+deb1u2\n")
    assert carried != text
    known = host(BEHIND)
    choices = AptPolicy.parse(Answer("apt_policy", 0, carried.encode()))
    packages = known.learn(Packages)
    assert isinstance(packages, Packages)
    (update,) = pending(choices, packages, Policy())
    assert (update.installed, update.fixed, update.to) == ("1.0-1", "1.0-1+deb1u1", "1.0-1+deb1u2")


@pytest.mark.parametrize(
    ("date", "until", "verdict"),
    [
        ("Sun, 22 Nov 2026 00:00:00 UTC", "", "pass"),
        ("Sun, 15 Nov 2026 13:00:00 UTC", "", "pass"),
        ("Sun, 15 Nov 2026 11:00:00 UTC", "", "fail"),  # an archive that sets no end: the policy's week
        ("Sat, 21 Nov 2026 00:00:00 UTC", "Sun, 22 Nov 2026 11:59:00 UTC", "fail"),
        ("Tue, 24 Nov 2026 00:00:00 UTC", "", "fail"),  # a clock is wrong, or somebody lies
    ],
)
def test_lists_are_believed_for_a_while(date: str, until: str, verdict: str) -> None:
    text = (ANSWERS / "apt_lists-debian12-behind.txt").read_text()
    head, _, security = text.partition("= release _srv_archive_dists_lab-security_Release\n")
    body, mark, rest = security.partition("= ")
    told = [line for line in body.splitlines() if not line.startswith(("|Date:", "|Valid-Until:"))]
    told += [f"|Date: {date}", *([f"|Valid-Until: {until}"] if until else [])]
    changed = "\n".join([f"{head}= release _srv_archive_dists_lab-security_Release", *told, mark + rest])
    known = host(CURRENT)
    given = {**known.answers, "apt_lists": Answer("apt_lists", 0, changed.encode())}
    seen = {f.rule: f for f in assess(control, Snapshot("app-1", NOW, given), Policy())}
    assert seen["security_patching.lists_are_fresh"].verdict == verdict
    expected = "pass" if verdict == "pass" else "unknown"
    assert seen["security_patching.no_update_is_pending"].verdict == expected


def test_the_severity_that_nobody_knows_is_the_policys() -> None:
    relaxed = found(BEHIND, Policy(severity_when_unknown="high"))
    assert relaxed["no_update_is_pending", "source:demo"].severity is Severity.HIGH
    with pytest.raises(BadInput, match="severity_when_unknown"):
        Policy(severity_when_unknown="medium")


def test_a_hold_that_the_policy_names_passes_until_it_keeps_a_fix_out() -> None:
    policy = Policy(held=("demo",))
    held = {**CURRENT, "packages": "debian12-held"}
    assert found(held)["nothing_is_held_back", "hold:demo"].verdict == "fail"
    assert found(held, policy)["nothing_is_held_back", "hold:demo"].verdict == "pass"
    behind = {**held, "apt_policy": "debian12-behind"}
    assert found(behind, policy)["nothing_is_held_back", "hold:demo"].severity is Severity.CRITICAL


def test_packages_that_no_fix_reaches_are_told() -> None:
    seen = {subject: f for (rule, subject), f in found(MONTHS).items() if rule == "origins_are_named"}
    assert "offered by no archive" in seen["package:kubectl"].seen
    assert "newer than anything" in seen["package:nodejs"].seen
    assert set(seen) == {"package:kubectl", "package:nodejs", "package:osslsigncode"}
    policy = Policy(unsupported=("kubectl", "nodejs", "osslsigncode"))
    assert verdicts(MONTHS, policy)["origins_are_named"] == "pass"


def test_a_package_apt_says_nothing_of_is_not_passed_over() -> None:
    seen = found({**CURRENT, "apt_policy": "debian12-months-behind"})
    assert seen["no_update_is_pending", "package:demo"].verdict == "unknown"


def changes(answers: Mapping[str, str]) -> list[object]:
    told = []
    for _, _, answer in remedies(control, host(answers), Policy()):
        told += answer if isinstance(answer, list) else [answer]
    return told


def test_the_remedy_is_exactly_the_pending_updates_and_names_what_restarts() -> None:
    (upgrade,) = changes(BEHIND)
    assert isinstance(upgrade, Upgrade)
    assert upgrade.packages == (("demo", "1.0-1", "1.0-1+deb1u1"),)
    assert upgrade.restarts == ("demo.service",)


@pytest.mark.parametrize("changed", [{"packages": "debian12-held"}, {"apt_policy": "debian12-pinned"}])
def test_what_a_person_held_or_pinned_is_left_alone(changed: dict[str, str]) -> None:
    blocked, no_remedy = changes({**BEHIND, **changed})
    assert isinstance(blocked, Blocked)
    assert blocked.subject == "source:demo"
    assert isinstance(no_remedy, Cannot)


def test_a_service_on_old_code_is_restarted() -> None:
    (act,) = changes({**CURRENT, "old_libraries": "debian12-not-restarted"})
    assert isinstance(act, Act)
    assert act.script == "systemctl try-restart -- 'demo.service'"
    assert not act.cuts_access


@pytest.mark.parametrize(
    ("group", "what", "cuts"),
    [
        ("/system.slice/ssh.service", Act, True),
        ("/system.slice/cron.service", Act, False),
        ("/init.scope", Act, False),
        ("/system.slice/dbus.service", Blocked, False),
        ("/user.slice/user-0.slice/session-3.scope", Blocked, False),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", Blocked, False),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", Blocked, False),
        ("/machine.slice/libpod-0123.scope", Blocked, False),
        ("/machine.slice/libpod-0123.scope/container/system.slice/ssh.service", Blocked, False),
        ("/docker/0123abcd", Blocked, False),
        ("/system.slice/docker.service", Act, False),
        ("/system.slice/ssh@3-192.0.2.1:22-192.0.2.9:4242.service", Blocked, False),
        ("/", Blocked, False),
    ],
)
def test_no_session_and_no_container_is_cut(group: str, what: type, cuts: bool) -> None:
    text = (
        f"= looked 90\n|cgroup /init.scope\n= process 7 x\n|cgroup {group}\n|file /usr/lib/libx.so.1\n= end\n"
    )
    known = host(CURRENT)
    given = {**known.answers, "old_libraries": Answer("old_libraries", 0, text.encode())}
    ((_, _, answer),) = remedies(control, Snapshot("app-1", NOW, given), Policy())
    assert isinstance(answer, list)
    (change,) = answer
    assert isinstance(change, what)
    assert getattr(change, "cuts_access", False) is cuts


def test_the_drill_stages_an_old_package_and_an_old_program() -> None:
    steps = drill_steps(control, host(BEHIND), Policy())
    assert isinstance(steps, list)
    staged, replaced = steps
    assert isinstance(staged, OnHost)
    assert isinstance(replaced, OnHost)
    assert OLD in staged.script
    assert "'demo'" in staged.script
    assert (staged.proves, replaced.proves) == (
        "security_patching.no_update_is_pending",
        "security_patching.nothing_runs_old_code",
    )
