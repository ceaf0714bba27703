"""What a connection from the controller must meet once the new rules are in force: the engine's word, to be tried for real.

The controller is among those who are connected to sshd while a plan is made. Foretold is only what holds for all of them, over
the whole rule set: the new table of ours and the tables of everybody else as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from wardkeep.controls.firewall.allowed import Permit, openings
from wardkeep.controls.firewall.declared_program import declared_program, whole_program
from wardkeep.controls.firewall.exercise import unnamed_port
from wardkeep.controls.firewall.invariants import for_strangers
from wardkeep.controls.firewall.own_table import TABLE
from wardkeep.controls.firewall.packet_change import decided
from wardkeep.controls.firewall.row import Policy
from wardkeep.controls.firewall.rules import default_deny
from wardkeep.core.changes import TryConnect
from wardkeep.core.errors import WardkeepError
from wardkeep.facts.listeners import Listeners
from wardkeep.facts.nftables import Nftables
from wardkeep.facts.ssh_sessions import SshSessions
from wardkeep.packets.dimensions import Row, states
from wardkeep.packets.program import Program
from wardkeep.rulesets.translation import from_elsewhere, noted

if TYPE_CHECKING:
    from wardkeep.packets.questions import Question

MOST: Final = 8  # ports that must be open are tried, the first of each sentence
TCP: Final = 6


def foretold(
    rules: Nftables, listeners: Listeners, sessions: SshSessions, policy: Policy, permit: Permit
) -> tuple[TryConnect, ...]:
    """The ssh ports, the TCP ports of `must_allow`, and one that must be closed; none where the rules are not understood."""
    try:
        program = declared_among(rules, permit)
    except WardkeepError:
        return ()
    ways_in = sorted({s.port for s in sessions.sessions} | set(listeners.ports_of("sshd")))
    must = [one.low for one in openings(policy.must_allow, policy.zones) if one.protocol == "tcp"]
    wanted = list(dict.fromkeys([*ways_in, *must]))[: len(ways_in) + MOST]
    made = [probe for port in wanted for probe in _probe(program, listeners, sessions, port)]
    forbidden = [one.low for one in openings(policy.must_deny, policy.zones) if one.protocol == "tcp"]
    for port in (*forbidden, unnamed_port(listeners, policy)):
        shut = [one for one in _probe(program, listeners, sessions, port) if one.expect == "silent"]
        if shut:
            return (*made, shut[0])
    return tuple(made)


def declared_among(rules: Nftables, permit: Permit) -> Program:
    """The host's tables with ours as declared, for packets that come from elsewhere. Raises NotUnderstood."""
    others = [c for c in whole_program(rules).chains if not c.id.startswith(f"{TABLE} ")]
    whole = Program((*others, *declared_program(permit).chains), "the host with the declared table")
    return noted(for_strangers(decided(whole)))


def _probe(program: Program, listeners: Listeners, sessions: SshSessions, port: int) -> Iterator[TryConnect]:
    """One probe, unless what a packet to the port meets hangs on more than where it comes from."""
    # Only a plan that changes the filter needs numpy, which takes long to import.
    from wardkeep.packets.questions import reaches

    answer = reaches(program, _question(program, sessions, port))
    peers = " or ".join(sorted({str(s.peer) for s in sessions.sessions})[:2]) or "here"
    packet = f"a packet from {peers} to {port}/tcp"
    if answer.whole:
        heard = any(s.port == port and s.protocol == "tcp" for s in listeners.to_the_world())
        yield TryConnect(port, "open" if heard else "answered", default_deny.id, f"{packet} is let in")
    elif answer.reach == "closed":
        yield TryConnect(port, "silent", default_deny.id, f"{packet} is dropped")


def _question(program: Program, sessions: SshSessions, port: int) -> Question:
    from wardkeep.packets.questions import Question

    asked: Row = {
        "proto": ((TCP, TCP),),
        "dport": ((port, port),),
        "fragment": ((0, 0),),
        "state": states("new"),
    }
    froms: list[Row] = [
        {
            "family": ((s.peer.version, s.peer.version),),
            f"src{s.peer.version}": ((int(s.peer), int(s.peer)),),
        }
        for s in sessions.sessions
    ]
    return Question(from_elsewhere(program, [{**one, **asked} for one in froms or [{}]]), ("input",))
