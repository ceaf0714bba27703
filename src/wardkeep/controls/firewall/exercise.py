"""The drill: a program starts to listen where the policy names nothing, and a stranger must not reach it."""

from __future__ import annotations

from collections.abc import Iterator

from wardkeep.controls.firewall.row import Policy, control
from wardkeep.controls.firewall.rules import default_deny, only_named_ports_open
from wardkeep.core.changes import NOT_TRIED, OnHost, Step, TryConnect
from wardkeep.facts.listeners import Listeners

UNIT = "wardkeep-drill-listener"
SECONDS = 60
OWN_SSH = 0  # TryConnect: the port by which the host's sshd is reached from here


def unnamed_port(listeners: Listeners, policy: Policy) -> int:
    """A port that nothing holds and the policy does not name."""
    held = {socket.port for socket in listeners.sockets}
    permit = policy.permit
    return next(p for p in range(47_011, 65_536) if p not in held and not permit.for_port("tcp", p, p))


@control.drilled_by
def knock_where_nothing_is_named(listeners: Listeners, policy: Policy) -> Iterator[Step]:
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
