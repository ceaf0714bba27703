"""What Wardkeep would do about an open host: never cut the operator off, never touch a foreign table, undo everything."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from wardkeep.controls.firewall import Policy, control, own_scripts, own_table
from wardkeep.controls.firewall.allowed import Permit
from wardkeep.core.changes import NOT_TRIED, Act, Blocked, Change, OnHost, TryConnect
from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Snapshot
from wardkeep.engine.assess import assess, drill_steps, remedies
from wardkeep.facts.boot_firewall import BootFirewall
from wardkeep.facts.iptables import Iptables
from wardkeep.facts.ssh_sessions import SshSessions

ANSWERS = Path(__file__).parents[1] / "facts" / "answers"
OPEN = {
    "nftables": "debian12-open",
    "iptables": "debian12-open",
    "listeners": "debian13-open",
    "boot_firewall": "debian12-open",
    "ssh_sessions": "debian12-connected",
}
CLOSED = {**OPEN, "nftables": "debian12-closed", "boot_firewall": "debian12-closed"}
CONNECTED_FROM = "10.88.0.1"


def host(answers: Mapping[str, str]) -> Snapshot:
    given = {q: Answer(q, 0, (ANSWERS / f"{q}-{state}.txt").read_bytes()) for q, state in answers.items()}
    return Snapshot("app-1", datetime(2026, 11, 22, tzinfo=UTC), given)


def failing(answers: Mapping[str, str], policy: Policy | None = None) -> set[str]:
    return {f.rule for f in assess(control, host(answers), policy or Policy()) if f.verdict != "pass"}


def changes(answers: Mapping[str, str], policy: Policy | None = None) -> list[Change]:
    told: list[Change] = []
    for _, _, answer in remedies(control, host(answers), policy or Policy()):
        told += answer if isinstance(answer, list) else []
    return told


def test_an_open_host_fails_and_a_closed_one_passes() -> None:
    assert failing(OPEN) == {
        "firewall.default_deny",
        "firewall.only_named_ports_open",
        "firewall.closed_after_reboot",
    }
    assert failing(CLOSED) == set()
    assert changes(CLOSED) == []


@pytest.mark.parametrize(
    ("boot", "verdict"),
    [("debian12-open", "fail"), ("debian12-broken", "unknown"), ("debian13-closed", "pass")],
)
def test_what_a_reboot_would_load(boot: str, verdict: str) -> None:
    found = assess(control, host({**CLOSED, "boot_firewall": boot}), Policy())
    assert {str(f.verdict) for f in found if f.rule == "firewall.closed_after_reboot"} == {verdict}


def test_what_another_loader_loads_is_not_known() -> None:
    text = (ANSWERS / "boot_firewall-debian12-open.txt").read_text().replace("|ufw not-found", "|ufw enabled")
    known = host(CLOSED)
    given = {**known.answers, "boot_firewall": Answer("boot_firewall", 0, text.encode())}
    found = assess(control, Snapshot("app-1", known.at, given), Policy())
    boot = {f.subject: f for f in found if f.rule == "firewall.closed_after_reboot"}
    assert {str(f.verdict) for f in boot.values()} == {"unknown"}
    assert "ufw" in boot["boot:ipv4"].seen


def test_the_remedy_tries_first_and_keeps_then() -> None:
    told = changes(OPEN)
    assert len({getattr(change, "script", "") for change in told}) == 2  # the same two acts mend every rule
    trial, keep = told[:2]
    assert isinstance(trial, Act)
    assert isinstance(keep, Act)
    assert trial.cuts_access
    assert keep.cuts_access
    assert f"ipv4 timeout {own_table.TRIAL}s" in trial.script
    assert "flush ruleset" not in trial.script + keep.script
    assert "cat >" not in trial.script  # nothing is written before the way in was seen to stay open
    assert own_scripts.UNIT_FILE in keep.undo


@pytest.mark.parametrize(
    ("allow", "packet"),
    [
        (("443/tcp",), f"a packet from {CONNECTED_FROM} to 22/tcp"),
        (("22/tcp from 192.0.2.0/24",), f"a packet from {CONNECTED_FROM} to 22/tcp"),
        (("22/udp",), f"a packet from {CONNECTED_FROM} to 22/tcp"),
    ],
)
def test_a_table_that_would_cut_the_operator_off_is_refused_with_the_packet(
    allow: tuple[str, ...], packet: str
) -> None:
    told = changes(OPEN, Policy(allow=allow))
    assert told
    assert all(isinstance(change, Blocked) for change in told)
    blocked = told[0]
    assert isinstance(blocked, Blocked)
    assert packet in blocked.reason
    assert f"22/tcp from {CONNECTED_FROM}" in blocked.todo


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (
            Policy(deny=("any from 10.88.0.0/24",)),
            f"a packet from {CONNECTED_FROM} to 22/tcp, by which somebody is connected",
        ),
        (
            Policy(must_allow=("9100/tcp from 192.0.2.50",)),
            "a packet from 192.0.2.50 to 9100/tcp would be dropped",
        ),
        (
            Policy(allow=("22/tcp", "5432/tcp from 192.0.2.0/24"), must_deny=("5432/tcp",)),
            "a packet from 192.0.2.1 to 5432/tcp would be let in, and firewall.must_deny forbids it",
        ),
    ],
)
def test_what_must_stay_open_or_closed_refuses_a_change_with_the_packet(policy: Policy, told: str) -> None:
    given = changes(OPEN, policy)
    assert given
    assert all(isinstance(change, Blocked) and told in change.reason for change in given), given


def test_every_reason_to_refuse_a_change_is_told_at_once() -> None:
    policy = Policy(
        allow=("443/tcp", "5432/tcp from 192.0.2.0/24"),
        must_allow=("123/udp", "9100/tcp from 192.0.2.50"),
        must_deny=("5432/tcp",),
    )
    told = list(
        dict.fromkeys(change.reason for change in changes(OPEN, policy) if isinstance(change, Blocked))
    )
    assert [reason.partition(",")[0].partition(" would be")[0] for reason in told] == [
        f"a packet from {CONNECTED_FROM} to 22/tcp",
        "every packet to 22/tcp",
        "a packet from 8.8.8.8 to 123/udp",
        "a packet from 192.0.2.50 to 9100/tcp",
        "a packet from 192.0.2.1 to 5432/tcp",
    ]


def test_the_way_in_may_be_narrow_if_the_operator_is_inside() -> None:
    for policy in (Policy(allow=("22/tcp from 10.88.0.0/24",)), Policy(allow=(), trusted=("10.88.0.0/16",))):
        assert all(isinstance(change, Act) for change in changes(OPEN, policy))


def test_with_nobody_connected_the_port_of_sshd_must_still_be_named() -> None:
    nobody = {**OPEN, "ssh_sessions": "debian12-nobody"}
    (blocked, *_) = changes(nobody, Policy(allow=("443/tcp",)))
    assert isinstance(blocked, Blocked)
    assert "every packet to 22/tcp" in blocked.reason


def test_a_port_that_others_send_on_is_left_to_them() -> None:
    told = changes({**CLOSED, "nftables": "docker"})
    assert [change.subject for change in told if isinstance(change, Blocked)] == ["redirect:8080/tcp"]
    # Our own table, which a boot of that host would load, is not there: that is planned, and touches no port of others.
    assert {change.why for change in told if isinstance(change, Act)} == {"firewall.table_as_declared"}


def test_the_drill_knocks_where_nothing_is_named() -> None:
    steps = drill_steps(control, host(CLOSED), Policy(allow=("22/tcp", "47011-47012/tcp")))
    assert isinstance(steps, list)
    stage, knock, way_in, end, each, unconfirmed = steps
    assert isinstance(each, OnHost)
    assert isinstance(unconfirmed, OnHost)
    assert each.expect_text == "3 packets sent, each counted by the rule that it is for"
    assert len(drill_steps(control, host(OPEN), Policy())) == 4  # type: ignore[arg-type]  # no table of ours to rehearse
    assert isinstance(stage, OnHost)
    assert isinstance(end, OnHost)
    assert isinstance(knock, TryConnect)
    assert isinstance(way_in, TryConnect)
    assert (knock.port, knock.expect) == (47013, "closed")
    assert (way_in.port, way_in.expect) == (0, "open")
    assert "-l 47013" in stage.script


def test_the_drill_says_when_it_cannot_be_tried(tmp_path: Path) -> None:
    known = host(CLOSED)
    given = {**known.answers, "listeners": Answer("listeners", 0, b"= sockets\n= end\n")}
    steps = drill_steps(control, Snapshot("app-1", known.at, given), Policy())
    assert isinstance(steps, list)
    assert [type(step) for step in steps] == [
        OnHost,
        TryConnect,
        OnHost,
        OnHost,
        OnHost,
    ]  # no sshd, no way in to knock at
    stage = steps[0]
    assert isinstance(stage, OnHost)
    script = stage.script.replace("/run/systemd/system", str(tmp_path / "no-systemd"))
    assert subprocess.run(["sh", "-c", script], check=False).returncode == NOT_TRIED


def test_sessions_are_those_of_sshd() -> None:
    for name in ("debian12-connected", "debian13-connected"):
        text = (ANSWERS / f"ssh_sessions-{name}.txt").read_bytes()
        (session,) = SshSessions.parse(Answer("ssh_sessions", 0, text)).sessions
        assert (str(session.peer), session.port, session.family) == (CONNECTED_FROM, 22, "ip")
    others = b'= connections\n|0 0 10.0.0.1:5432 10.0.0.2:50000 users:(("postgres",pid=1,fd=4))\n= end\n'
    assert SshSessions.parse(Answer("ssh_sessions", 0, others)).sessions == ()
    mapped = b'= connections\n|0 0 [::ffff:10.0.0.1]:22 [::ffff:10.0.0.2]:5000 users:(("sshd",pid=1,fd=4))\n= end\n'
    assert str(SshSessions.parse(Answer("ssh_sessions", 0, mapped)).sessions[0].peer) == "10.0.0.2"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (SshSessions, "= connections\n|0 0 22 10.0.0.2:5000\n= end\n"),
        (SshSessions, "= connections\n|0 0\n= end\n"),
        (BootFirewall, "= units\n|nftables\n= loaded 0\n|{}\n= end\n"),
        (BootFirewall, "= units\n|nftables enabled\n= loaded 0\n|{}\n= end\n"),
        (Iptables, "= legacy ip\n= nft ip\n= legacy ip6\n= end\n"),
        (Iptables, "= legacy ip\n|*filter\n|:INPUT DROP [0:0]\n= nft ip\n= legacy ip6\n= nft ip6\n= end\n"),
        (Iptables, "= legacy ip\n|*filter\n|-A NONE -j DROP\n= nft ip\n= legacy ip6\n= nft ip6\n= end\n"),
        (Iptables, "= legacy ip\n|*filter\n|:INPUT MAYBE [0:0]\n= nft ip\n= legacy ip6\n= nft ip6\n= end\n"),
    ],
)
def test_refuses_what_it_does_not_understand(kind: type, text: str) -> None:
    with pytest.raises(NotUnderstood):
        kind.parse(Answer(kind.ask.id, 0, text.encode()))


def on_a_folder(script: str, folder: Path) -> str:
    """The script with the host's folders moved into one of ours, and tools that do nothing."""
    for place in ("/etc/wardkeep", "/etc/systemd/system"):
        script = script.replace(place, str(folder / place.strip("/")))
    return "systemctl() { :; }\n" + script.replace("/usr/sbin/nft", "true")


def test_an_undo_brings_back_what_was_there_before_and_may_run_again(tmp_path: Path) -> None:
    """Nothing, another policy, or the same one (its table was altered by hand): each comes back, also after kills."""
    one, two = Policy(allow=("22/tcp",)).permit, Policy(allow=("22/tcp", "443/tcp")).permit
    file = tmp_path / "etc/wardkeep/firewall.nft"
    (tmp_path / "etc/systemd/system").mkdir(parents=True)

    def run(script: str) -> None:
        moved = on_a_folder(script, tmp_path)
        done = subprocess.run(["sh", "-c", moved], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def applied(permit: Permit) -> str:
        run(own_scripts.try_script(permit))
        run(own_scripts.keep_script(permit))
        run(own_scripts.keep_script(permit))  # again, as after a kill
        return file.read_text()

    def undone(permit: Permit) -> str:
        run(own_scripts.forget_script(permit))
        run(own_scripts.forget_script(permit))
        return file.read_text() if file.exists() else ""

    first = applied(one)
    assert undone(one) == ""
    assert applied(one) == first
    second = applied(two)
    assert second != first
    assert undone(two) == first
    assert applied(two) == second
    assert applied(two) == second
    assert undone(two) == second, "the same policy was in force before"
    assert applied(one) == first
    assert undone(one) == second
