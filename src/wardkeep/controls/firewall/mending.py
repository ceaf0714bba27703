"""The remedy: a table of our own, tried first under the kernel's clock, kept only when the way in was seen to stay open."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from wardkeep.controls.firewall import own_scripts, own_table
from wardkeep.controls.firewall.allowed import Permit
from wardkeep.controls.firewall.boot import closed_after_reboot
from wardkeep.controls.firewall.row import Policy
from wardkeep.controls.firewall.rules import default_deny, only_named_ports_open
from wardkeep.core.changes import Act, Blocked, Change
from wardkeep.core.findings import Seen
from wardkeep.facts.listeners import Listeners
from wardkeep.facts.ssh_sessions import SshSessions

SAYS = f"Load our own table `{own_table.TABLE}`"


def cut_off(permit: Permit, listeners: Listeners, sessions: SshSessions) -> tuple[str, str]:
    """(the packet of the operator's own way in that our table would drop, the sentence that lets it in); "" for none."""
    for session in sessions.sessions:
        fitting = permit.for_port("tcp", session.port, session.port)
        sources = [*permit.networks, *(n for opening in fitting for n in opening.sources)]
        inside = any(session.peer in n for n in sources if n.version == session.peer.version)
        if not inside and all(opening.sources for opening in fitting):
            packet = f"a packet from {session.peer} to {session.port}/tcp, by which somebody is connected now"
            return packet, f"{session.port}/tcp from {session.peer}"
    for port in listeners.ports_of("sshd"):
        if not permit.for_port("tcp", port, port) and not permit.networks and not permit.interfaces:
            return f"every packet to {port}/tcp, where sshd listens", f"{port}/tcp"
    return "", ""


def _own_table(
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
    packet, sentence = cut_off(permit, listeners, sessions)
    if packet:
        yield Blocked(
            SAYS, f"{packet}, would be dropped", f"Name it in the policy: firewall.allow `{sentence}`.", why
        )
        return
    yield Act(
        f"{SAYS} on trial: the kernel itself goes back after {own_table.TRIAL} s",
        own_scripts.try_script(permit),
        own_scripts.BACK_TO_KEPT,
        why,
        cuts_access=True,
    )
    yield Act(
        f"Keep `{own_table.TABLE}`, now and after a reboot; all other tables stay as they are",
        own_scripts.keep_script(permit),
        own_scripts.forget_script(permit),
        why,
        cuts_access=True,
    )


@default_deny.mend
def close_the_rest(
    listeners: Listeners, sessions: SshSessions, policy: Policy, now: datetime, failing: list[Seen]
) -> Iterator[Change]:
    yield from _own_table(listeners, sessions, policy, now, failing, default_deny.id)


@only_named_ports_open.mend
def close_what_is_not_named(
    listeners: Listeners, sessions: SshSessions, policy: Policy, now: datetime, failing: list[Seen]
) -> Iterator[Change]:
    yield from _own_table(listeners, sessions, policy, now, failing, only_named_ports_open.id)


@closed_after_reboot.mend
def keep_it_closed(
    listeners: Listeners, sessions: SshSessions, policy: Policy, now: datetime, failing: list[Seen]
) -> Iterator[Change]:
    yield from _own_table(listeners, sessions, policy, now, failing, closed_after_reboot.id)
