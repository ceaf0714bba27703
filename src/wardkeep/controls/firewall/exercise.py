"""The drill: a program starts to listen where the policy names nothing, and a stranger must not reach it; then our own table, if
there is one, is rehearsed in a copy: a packet for each rule, and a change that nobody confirms."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from wardkeep.controls.firewall.drifting import table_as_declared
from wardkeep.controls.firewall.own_table import TABLE
from wardkeep.controls.firewall.rehearsing import NOBODY, REFUSED, TRIAL, one_each, packets_of, unconfirmed
from wardkeep.controls.firewall.row import Policy, control
from wardkeep.controls.firewall.rules import default_deny, only_named_ports_open
from wardkeep.core.changes import NOT_TRIED, OnHost, Step, TryConnect
from wardkeep.facts.listeners import Listeners
from wardkeep.facts.nftables import Nftables

UNIT = "wardkeep-drill-listener"
SECONDS = 60
OWN_SSH = 0  # TryConnect: the port by which the host's sshd is reached from here


def unnamed_port(listeners: Listeners, policy: Policy) -> int:
    """A port that nothing holds and the policy does not name."""
    held = {socket.port for socket in listeners.sockets}
    permit = policy.permit
    return next(p for p in range(47_011, 65_536) if p not in held and not permit.for_port("tcp", p, p))


@control.drilled_by
def knock_where_nothing_is_named(
    listeners: Listeners, rules: Nftables, policy: Policy, today: date
) -> Iterator[Step]:
    """The staged listener ends by itself after a minute, whatever becomes of us."""
    port = unnamed_port(listeners, policy)
    yield OnHost(
        f"Have a program listen on {port}/tcp, which the policy does not name, for at most {SECONDS} s",
        # Without systemd or its tools there is nothing to stage with: that is no fault of the filter.
        f"[ -d /run/systemd/system ] && command -v systemd-socket-activate >/dev/null || exit {NOT_TRIED}\n"
        f"systemd-run --quiet --collect --unit={UNIT} --property=RuntimeMaxSec={SECONDS}"
        f" systemd-socket-activate -l {port} sleep {SECONDS} || exit {NOT_TRIED}\n"
        "for _ in 1 2 3 4 5 6 7 8 9 10; do\n"
        f"  ss -Hltn 'sport = :{port}' | grep -q . && {{ echo 'it listens'; exit 0; }}\n"
        "  sleep 0.1\n"
        "done\n"
        "exit 1",
        default_deny.id,
        expect_text="it listens",
    )
    yield TryConnect(port, "closed", default_deny.id, f"Knock at {port}/tcp from here: nobody may answer")
    if listeners.ports_of("sshd"):
        way_in = "Knock at the ssh port from here: it must answer"
        yield TryConnect(OWN_SSH, "open", only_named_ports_open.id, way_in)
    yield OnHost(
        "End the staged program",
        f"systemctl stop {UNIT} 2>/dev/null; ! systemctl is-active --quiet {UNIT} && echo 'it ended'",
        default_deny.id,
        expect_text="it ended",
    )
    if rules.has_table(*TABLE.split()):
        yield from _rehearsed(policy, today)


def _rehearsed(policy: Policy, today: date) -> Iterator[Step]:
    packets = packets_of(policy.permit_on(today))
    script, says = one_each(packets)
    about = f"In a copy of `{TABLE}` as it is in force, have a neighbour send a packet for each of its rules"
    yield OnHost(about, script, table_as_declared.id, expect_text=says)
    opened = next((one for one in packets if one.counter not in (REFUSED, NOBODY)), None)
    if opened is not None:
        script, says = unconfirmed(opened)
        about = (
            f"In such a copy, put a table on trial that lets nobody in, for {TRIAL} s, and confirm nothing"
        )
        yield OnHost(about, script, table_as_declared.id, expect_text=says)
