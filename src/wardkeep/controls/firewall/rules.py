"""The rules of the firewall row."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from wardkeep.controls.firewall import from_nftables
from wardkeep.controls.firewall.allowed import Permit, openings
from wardkeep.controls.firewall.judge import Entrance, entrances, is_named, is_trusted
from wardkeep.controls.firewall.program import Packet, Program, TooManyWays, Way, ways
from wardkeep.controls.firewall.row import ACCESS, GRANTED, RISK, TRANSMISSION, Policy, control
from wardkeep.core.findings import Seen, Severity, Verdict, fails, passes, unsure
from wardkeep.facts.iptables import Iptables
from wardkeep.facts.listeners import Listener, Listeners
from wardkeep.facts.nftables import Nftables

FAMILIES = {"ip": "IPv4", "ip6": "IPv6"}
EPHEMERAL = 32_768  # Linux' default first port of those it hands out itself
PLAN = "Run `wardkeep plan` to see the table of our own that drops the rest."
MOST_FINDINGS = 100  # of one family and protocol
MANY = 1_000  # a wider range of ports was opened by no rule of its own
UNDECIDED = "This version reads addresses, ports, interfaces and states; look at this rule yourself."


@control.rule(
    says="A packet from outside that no rule names is dropped, over IPv4 and over IPv6.",
    severity=Severity.CRITICAL,
    serves={
        ACCESS: "only what was granted access gets in when everything else is refused by default",
        TRANSMISSION: "services nobody meant to offer cannot be reached over the network",
        RISK: "a forgotten service is kept from being a way in",
    },
)
def default_deny(rules: Nftables, tables: Iptables, policy: Policy, today: date) -> Iterator[Seen]:
    program = from_nftables.program(rules, tables)
    for family, name in FAMILIES.items():
        yield closed_by_default(program, family, name, policy.permit_on(today))


def closed_by_default(program: Program, family: str, name: str, permit: Permit) -> Seen:
    subject = name.lower()
    hooked = [h for h in program.hooked if family in h.families]
    if not hooked:
        return fails(
            subject, f"no chain filters incoming {name}", "Run `wardkeep plan` to see our own table."
        )
    packets = [Packet(family, "other")]
    unnamed = next((p for p in range(65535, 0, -1) if program.cuts.isdisjoint((p, p - 1, p + 1))), None)
    if unnamed is not None:
        packets += [Packet(family, "tcp", unnamed), Packet(family, "udp", unnamed)]
    try:
        accepted = [w for p in packets for w in ways(program, p) if w.accepted and not is_trusted(w, permit)]
    except TooManyWays:
        return unsure(subject, f"the {name} rules are too many, or fork too often, to be followed", UNDECIDED)
    for way in accepted:
        if way.decided:
            seen = f"{name} packets that no rule names are let in: {way}"
            return fails(subject, seen, PLAN)
    if accepted:
        return unsure(subject, f"whether {name} is closed hangs on: {accepted[0]}", UNDECIDED)
    chains = ", ".join(f"{h.scope} {h.name} (policy {h.policy})" for h in hooked)
    return passes(subject, f"{name} is closed by default: {chains}")


@control.rule(
    says="The packet filter opens only the ports that the policy names.",
    severity=Severity.HIGH,
    serves={
        ACCESS: "each opening of the filter was decided by somebody and written down",
        GRANTED: "access over the network is granted by the policy, port by port",
    },
)
def only_named_ports_open(rules: Nftables, tables: Iptables, policy: Policy, today: date) -> Iterator[Seen]:
    yield from named_openings(from_nftables.program(rules, tables), policy.permit_on(today))


def named_openings(program: Program, permit: Permit) -> Iterator[Seen]:
    """What is open and sent on, each named by the policy or not."""
    said = False
    for protocol in ("tcp", "udp"):
        for family, name in FAMILIES.items():
            try:
                found = list(entrances(program, family, protocol, permit.cuts()))
            except TooManyWays:
                yield unsure(
                    f"{name.lower()}/{protocol}",
                    "the rules are too many, or fork too often, to be followed",
                    UNDECIDED,
                )
                continue
            seen = [_entrance(entrance, name, permit) for entrance in found]
            said = said or bool(seen)
            yield from seen if len(seen) <= MOST_FINDINGS else _in_short(seen, f"{name.lower()}/{protocol}")
    for redirect in program.redirects:
        for protocol in sorted(redirect.protocols & {"tcp", "udp"}):
            for low, high in redirect.spans:
                said = True
                yield _redirect(Entrance(protocol, low, high, ()), redirect.says, permit)
    if not said:
        yield passes("filter", "no port is open")


def _in_short(seen: list[Seen], about: str) -> Iterator[Seen]:
    """One finding where there would be hundreds: the worst, and how many more."""
    rank = [Verdict.FAIL, Verdict.UNKNOWN, Verdict.PASS]
    worst = min(seen, key=lambda s: rank.index(s.verdict))
    alike = sum(s.verdict is worst.verdict for s in seen)
    text = f"{len(seen)} ranges of ports are open; {alike} of them like this: {worst.seen}"
    yield Seen(worst.verdict, f"open:{about}", text, worst.todo)


def _entrance(entrance: Entrance, name: str, permit: Permit) -> Seen:
    subject = f"open:{name.lower()}/{entrance}"
    foreign = [way for way in entrance.accepted if not is_named(way, entrance, permit)]
    if not foreign:
        return passes(subject, f"{entrance} is open over {name} and named by the policy")
    worst: Way = next((way for way in foreign if way.decided), foreign[0])
    if not worst.decided:
        return unsure(subject, f"whether {entrance} is open over {name} hangs on: {worst}", UNDECIDED)
    # Naming thousands of ports would be no policy.
    named = f"Close it, or name it in the policy: firewall.allow `{entrance}`."
    few = entrance.high - entrance.low < MANY
    return fails(subject, f"{entrance} is open over {name}, {worst}", named if few else PLAN)


def _redirect(entrance: Entrance, says: str, permit: Permit) -> Seen:
    subject = f"redirect:{entrance}"
    named = permit.for_port(entrance.protocol, entrance.low, entrance.high)
    if any(not opening.sources for opening in named):
        return passes(subject, f"{entrance} is sent on and named by the policy: {says}")
    if named:
        return unsure(
            subject, f"{entrance} is sent on; from where, this version does not follow: {says}", UNDECIDED
        )
    return fails(
        subject,
        f"{entrance} is sent on past the input chains: {says}",
        f"Publish it on 127.0.0.1 only, or name it in the policy: firewall.allow `{entrance}`.",
    )


@control.rule(
    says="Every program that listens to the world is named by the policy.",
    severity=Severity.HIGH,
    serves={
        ACCESS: "a program that offers a port offers access, and each such offer was decided by somebody",
        RISK: "services that nobody needs are found before somebody else finds them",
    },
)
def only_named_listeners(listeners: Listeners, policy: Policy, today: date) -> Iterator[Seen]:
    permit = Permit((*policy.permit_on(today).openings, *openings(policy.clients, policy.zones)))
    gathered: dict[str, list[Listener]] = {}
    for socket in listeners.to_the_world():
        gathered.setdefault(_listener(socket), []).append(socket)
    for subject, found in sorted(gathered.items()):
        sockets = sorted(found, key=str)
        first = sockets[0]
        programs = ", ".join(sorted({s.programs for s in sockets}))
        where = ", ".join(sorted({str(s) for s in sockets}))
        if all(permit.for_port(s.protocol, s.port, s.port) for s in sockets):
            yield passes(subject, f"{where}: {programs}, named by the policy")
        else:
            yield fails(
                subject,
                f"{where}: {programs}",
                f"Stop it, bind it to 127.0.0.1, or name it: firewall.allow `{first.port}/{first.protocol}`.",
            )
    if not gathered:
        yield passes("listeners", "nothing listens to the world")


only_named_listeners.cannot_mend("whether a program is needed, and by whom, a person must decide")


def _listener(socket: Listener) -> str:
    # A UDP client's port is another one at each start: such a socket is followed by its program.
    if socket.protocol == "udp" and socket.port >= EPHEMERAL and socket.holders:
        return f"listener:udp/{min(name for name, _ in socket.holders)}"
    return f"listener:{socket.protocol}/{socket.port}"
