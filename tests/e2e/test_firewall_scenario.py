"""An open host and a neighbour who knocks, over IPv4 and IPv6: closed by a plan, drilled, opened by sabotage, closed again."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.operating import operating

from wardkeep.lab import Host

pytestmark = pytest.mark.e2e
BOTH = pytest.mark.parametrize("debian_host", ["12", "13"], indirect=True)
CLOSED = {
    "default_deny": "pass",
    "only_named_ports_open": "pass",
    "only_named_listeners": "pass",
    "closed_after_reboot": "pass",
    "table_as_declared": "pass",
    "invariants_hold": "pass",
}
OPEN = {**CLOSED, "default_deny": "fail", "only_named_ports_open": "fail", "closed_after_reboot": "fail"}
FOREIGN = "table ip theirs {\n chain input {\n type filter hook input priority 0; policy accept;\n tcp dport 9 counter drop\n }\n}\n"

# A neighbour on a cable of its own, for IPv6: the lab's network has none. It lives in a namespace of the host.
NEIGHBOUR = """
ip netns add next 2>/dev/null || unshare --net=/run/netns-next true 2>/dev/null
ip link add wire0 type veth peer name wire1 netns next
ip addr add 2001:db8::1/64 dev wire0 nodad; ip link set wire0 up
ip addr add 192.0.2.1/24 dev wire0
ip -n next addr add 2001:db8::9/64 dev wire1 nodad; ip -n next addr add 192.0.2.9/24 dev wire1
ip -n next link set wire1 up; ip -n next link set lo up
"""
KNOCK = """
import socket
def knock(host, port):
    try:
        socket.create_connection((host, port), 0.5).close()
        return "open"
    except OSError:
        return "closed"
print(*(knock(h, p) for h in ("192.0.2.1", "2001:db8::1") for p in (22, 8088)))
"""


def knocked(host: Host) -> str:
    """What the neighbour meets at ports 22 and 8088 over IPv4, then over IPv6."""
    return host.stage("ip netns exec next python3 -", stdin=KNOCK).strip()


def serve(host: Host) -> None:
    host.stage("systemd-run --quiet --unit=web systemd-socket-activate -l 8088 sleep 600; sleep 0.3")


@BOTH
def test_open_closed_drilled_sabotaged_and_undone(debian_host: Host, tmp_path: Path) -> None:
    debian_host.stage(NEIGHBOUR)
    debian_host.stage("nft -f -", stdin=FOREIGN)
    foreign = debian_host.stage("nft -s list table ip theirs")
    serve(debian_host)
    assert knocked(debian_host) == "open open open open"
    with operating(tmp_path / "state", debian_host, "firewall") as day:
        assert day.look() == {**OPEN, "only_named_listeners": "fail"}

        plan = day.plan()
        assert [change.confirmed for change in plan.plan.changes] == [True, True]
        outcome = day.apply(plan)
        assert outcome["state"] == "applied", outcome
        assert [change["outcome"] for change in outcome["changes"]] == ["confirmed", "confirmed"]
        assert knocked(debian_host) == "open closed open closed"
        assert day.look() == {**CLOSED, "only_named_listeners": "fail"}
        debian_host.stage("systemctl stop web")
        assert day.look() == CLOSED
        assert debian_host.stage("nft -s list table ip theirs") == foreign

        drilled = day.drill()
        assert [step.verdict for step in drilled.steps] == ["pass"] * 4, drilled

    # A reboot, and a flush by the distribution's own service, leave it closed.
    debian_host.reboot()
    with operating(tmp_path / "later", debian_host, "firewall") as day:
        assert day.look() == CLOSED
        debian_host.stage("systemctl restart nftables")
        assert day.look() == CLOSED

        # Sabotage: a rule is slipped in between; the next look names it, and a plan takes it out.
        debian_host.stage(
            "chain=$(nft list chain inet wardkeep input | sed -n 's/.*goto //p');"
            " nft insert rule inet wardkeep $chain tcp dport 8088 accept"
        )
        assert day.look() == {**CLOSED, "only_named_ports_open": "fail", "table_as_declared": "fail"}
        assert day.apply(mended := day.plan())["state"] == "applied"
        assert day.look() == CLOSED
        assert day.undo(mended)["state"] == "undone"
        assert day.look() == CLOSED, "what was there before is the same policy"

        # Sabotage: the table is gone; a drill shows it as well as a look.
        debian_host.stage("nft delete table inet wardkeep")
        assert day.look() == {**OPEN, "closed_after_reboot": "pass"}
        assert day.drill().verdict == "fail"

        again = day.plan()
        assert day.apply(again)["state"] == "applied"
        assert day.look() == CLOSED
        assert day.undo(again)["state"] == "undone"


def test_a_policy_that_forgets_the_operator_changes_nothing(debian_host: Host, tmp_path: Path) -> None:
    policy = '\n[policy.firewall]\nallow = ["443/tcp"]\n'
    with operating(tmp_path / "state", debian_host, "firewall", policy) as day:
        plan = day.plan()
        assert plan.plan.changes == ()
        assert {one.todo for one in plan.plan.withheld} != set()
        assert any("22/tcp" in one.reason for one in plan.plan.withheld)
        assert debian_host.stage("nft list tables") == ""


def test_a_table_that_cuts_the_way_in_is_taken_back_by_the_host(debian_host: Host, tmp_path: Path) -> None:
    """The way in is cut behind our back while the change is made: nobody can confirm, so the host goes back."""
    with operating(tmp_path / "state", debian_host, "firewall") as day:
        plan = day.plan()
        # A foreign table that waits for ours: with it in force, no new connection gets in.
        debian_host.stage(
            "systemd-run --quiet --unit=trap sh -c 'until nft list table inet wardkeep >/dev/null 2>&1; do sleep 0.05; done;"
            ' nft add table inet trap; nft add chain inet trap input "{ type filter hook input priority 0; }";'
            " nft add rule inet trap input ct state new tcp dport 22 drop; sleep 45; nft delete table inet trap'"
        )
        outcome = day.apply(plan)
        assert outcome["state"] == "undone", outcome
        assert debian_host.stage("nft list tables") == ""
        assert day.look()["default_deny"] == "fail"  # and Wardkeep is in again
