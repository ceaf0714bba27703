"""The remedy: a table of our own, tried first under the kernel's clock, kept only when the way in was seen to stay open."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from ipaddress import ip_network

from wardkeep.controls.firewall import own_scripts, own_table
from wardkeep.controls.firewall.allowed import Opening, Permit, openings
from wardkeep.controls.firewall.boot import closed_after_reboot
from wardkeep.controls.firewall.drifting import table_as_declared, table_of_this_version
from wardkeep.controls.firewall.packet_change import change_in_packets
from wardkeep.controls.firewall.probing import foretold
from wardkeep.controls.firewall.proof import admitted, dropped
from wardkeep.controls.firewall.row import Policy
from wardkeep.controls.firewall.rules import default_deny, only_named_ports_open
from wardkeep.core.changes import Act, Blocked, Change
from wardkeep.core.control import Rule
from wardkeep.core.findings import Seen
from wardkeep.facts.listeners import Listeners
from wardkeep.facts.nftables import Nftables
from wardkeep.facts.ssh_sessions import SshSessions

SAYS = f"Load our own table `{own_table.TABLE}`"


def refused(
    permit: Permit, policy: Policy, listeners: Listeners, sessions: SshSessions
) -> Iterator[tuple[str, str]]:
    """(why the compiled rules must not be applied, with the packet that shows it, and what to do), for every reason there is: who
    mends one should not meet the next in the next plan."""
    for port, peer in dict.fromkeys((session.port, session.peer) for session in sessions.sessions):
        for breach in dropped(permit, (Opening("tcp", port, port, (ip_network(peer),)),)):
            packet = f"{breach}, by which somebody is connected now, would be dropped"
            yield packet, f"Name it in the policy: firewall.allow `{port}/tcp from {peer}`."
    for port in listeners.ports_of("sshd"):
        if not permit.for_port("tcp", port, port) and not permit.networks and not permit.interfaces:
            why = f"every packet to {port}/tcp, where sshd listens, would be dropped"
            yield why, f"Name it in the policy: firewall.allow `{port}/tcp`."
    for breach in dropped(permit, openings(policy.must_allow, policy.zones)):
        why = f"{breach} would be dropped, and firewall.must_allow names it: `{breach.sentence}`"
        yield why, "Open it in firewall.allow, or take it out of firewall.must_allow."
    for breach in admitted(permit, openings(policy.must_deny, policy.zones)):
        why = f"{breach} would be let in, and firewall.must_deny forbids it: `{breach.sentence}`"
        yield why, "Take out what opens it, or take it out of firewall.must_deny."


def _own_table(
    rules: Nftables,
    listeners: Listeners,
    sessions: SshSessions,
    policy: Policy,
    now: datetime,
    failing: list[Seen],
    why: str,
) -> Iterator[Change]:
    sent_on = [seen for seen in failing if seen.subject.startswith("redirect:")]
    for seen in sent_on:
        # Packets that are sent on never meet the input hook, and whoever published the port owns that rule.
        yield Blocked(
            f"Close {seen.subject.removeprefix('redirect:')}",
            "another program's rule sends it on, and foreign tables are not touched",
            seen.todo,
            why,
            seen.subject,
        )
    if len(sent_on) == len(failing):
        return
    permit = policy.permit_on(now.date())
    blocked = [Blocked(SAYS, *told, why) for told in refused(permit, policy, listeners, sessions)]
    if blocked:
        yield from blocked
        return
    told, packets = change_in_packets(rules, permit)
    probes = foretold(rules, listeners, sessions, policy, permit)
    yield Act(
        f"{SAYS} on trial: the kernel itself goes back after {own_table.TRIAL} s"
        + (f". {told}" if told else ""),
        own_scripts.try_script(permit),
        own_scripts.BACK_TO_KEPT,
        why,
        cuts_access=True,
        probes=probes,
        packets=packets,
        trial=own_table.TRIAL,
    )
    yield Act(
        f"Keep `{own_table.TABLE}`, now and after a reboot; all other tables stay as they are",
        own_scripts.keep_script(permit),
        own_scripts.forget_script(permit),
        why,
        cuts_access=True,
        probes=probes,
    )


def _mends(rule: Rule) -> None:
    @rule.mend
    def declare_our_own(
        rules: Nftables,
        listeners: Listeners,
        sessions: SshSessions,
        policy: Policy,
        now: datetime,
        failing: list[Seen],
    ) -> Iterator[Change]:
        yield from _own_table(rules, listeners, sessions, policy, now, failing, rule.id)


# One remedy for all that our own table can mend: a plan holds an act of one script once, for every rule that asks for it.
for _rule in (
    default_deny,
    only_named_ports_open,
    closed_after_reboot,
    table_as_declared,
    table_of_this_version,
):
    _mends(_rule)
