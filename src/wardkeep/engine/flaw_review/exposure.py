"""What of a host's packages listens, and whom the host's own packet filter lets in to it.

By the program file of each listening process and the package that owns it. Not seen: what sits behind a socket of another program
(a proxy, systemd), libraries inside a listening program, packets that are sent on to a container, filters outside of the host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256

from wardkeep.allowlists.special import SPECIAL
from wardkeep.controls.firewall.invariants import for_strangers
from wardkeep.controls.firewall.packet_change import decided
from wardkeep.controls.firewall_audit.exact import observed_rules
from wardkeep.core.errors import WardkeepError
from wardkeep.core.facts import Snapshot, Unknown
from wardkeep.core.memo import Memo
from wardkeep.facts.iptables import Iptables
from wardkeep.facts.listener_programs import ListenerPrograms
from wardkeep.facts.listeners import Listener, Listeners
from wardkeep.facts.nftables import Nftables
from wardkeep.facts.packages import Packages
from wardkeep.packets.dimensions import Row, Values, states
from wardkeep.rulesets.names import PROTOCOLS
from wardkeep.rulesets.spans import TOPS, Spans, join, outside

Exposed = Mapping[str, Mapping[str, str]]  # package → port (`443/tcp`) → whom the filter lets in
OPEN, INSIDE, CLOSED, UNKNOWN = "open", "inside", "closed", "unknown"
WIDEST = (OPEN, UNKNOWN, INSIDE, CLOSED)  # what is not known counts as open
FAMILIES = {"ip": 4, "ip6": 6}
_known = Memo(4 << 20)  # hosts of one kind have equal filters and sockets


def exposure(snapshot: Snapshot) -> Exposed | None:
    """Which source packages hold a socket that is not bound to the host itself, where, and whom the packet filter lets in there:
    anybody, only those inside (addresses that no stranger on the internet has), nobody, or not known. None when no sockets were learnt.
    """
    if any(kind.ask.id not in snapshot.answers for kind in (Listeners, ListenerPrograms)):
        return None
    listeners, programs = snapshot.learn(Listeners), snapshot.learn(ListenerPrograms)
    packages = snapshot.learn(Packages)
    if isinstance(listeners, Unknown) or isinstance(programs, Unknown) or isinstance(packages, Unknown):
        return None
    source = {one.name.partition(":")[0]: one.source for one in packages.installed}
    owners: dict[str, set[str]] = {}
    for program in programs.programs:
        if program.package in source and not program.elsewhere:
            owners.setdefault(program.name, set()).add(source[program.package])
    held = [one for one in listeners.to_the_world() if any(name in owners for name, _ in one.holders)]
    reach = _reach(snapshot, held)
    found: dict[str, dict[str, str]] = {}
    for socket in held:
        port = f"{socket.port}/{socket.protocol}"
        for name, _ in socket.holders:
            for package in owners.get(name, ()):
                ports = found.setdefault(package, {})
                ports[port] = widest((ports.get(port, CLOSED), reach[socket]))
    return {package: dict(sorted(ports.items(), key=_by_port)) for package, ports in sorted(found.items())}


def widest(some: Iterable[str]) -> str:
    return min(some, key=WIDEST.index)


def _reach(snapshot: Snapshot, sockets: list[Listener]) -> Mapping[Listener, str]:
    nothing = dict.fromkeys(sockets, UNKNOWN)
    if not sockets or any(kind.ask.id not in snapshot.answers for kind in (Nftables, Iptables)):
        return nothing
    nftables, iptables = snapshot.learn(Nftables), snapshot.learn(Iptables)
    if isinstance(nftables, Unknown) or isinstance(iptables, Unknown):
        return nothing
    whole = repr((nftables.tables, nftables.chains, nftables.rules, nftables.collections, iptables.tables))
    bare = [(one.protocol, one.address, one.port, one.families, one.interface) for one in sockets]
    key = sha256(f"{whole}{bare}".encode()).digest()
    told = _known.get(key, 64 * len(sockets) + 64, lambda: _asked(nftables, iptables, sockets))
    assert isinstance(told, list)
    return dict(zip(sockets, told, strict=True))


def _asked(nftables: Nftables, iptables: Iptables, sockets: list[Listener]) -> list[str]:
    # Here, since it needs numpy, which a host where nothing listens does not.
    from wardkeep.packets.questions import Asked, Question

    questions = [[Question(_rows(one, inside), ("input",)) for inside in (False, True)] for one in sockets]
    try:
        program = decided(for_strangers(observed_rules(nftables, iptables).program))
        ready = Asked(program, [question for pair in questions for question in pair])
        answers = [[ready.answer(question).reach for question in pair] for pair in questions]
    except WardkeepError:  # a rule set that cannot be followed
        return [UNKNOWN] * len(sockets)
    return [_said(stranger, neighbour) for stranger, neighbour in answers]


def _said(stranger: str, neighbour: str) -> str:
    if stranger == "open":
        return OPEN
    if stranger != "closed":
        return UNKNOWN
    if neighbour == "closed":
        return CLOSED
    return INSIDE


def _rows(socket: Listener, inside: bool) -> tuple[Row, ...]:
    """First packets to the socket, from addresses of the internet or from those `inside`."""
    made = []
    for family in socket.families:
        version = FAMILIES[family]
        number = PROTOCOLS[socket.protocol]
        row: dict[str, Values] = {
            "family": ((version, version),),
            f"src{version}": _inside(version) if inside else outside(_inside(version), TOPS[version]),
            "proto": ((number, number),),
            "dport": ((socket.port, socket.port),),
            "fragment": ((0, 0),),
            "state": states("new"),
        }
        if socket.address is not None and socket.address.version == version:
            row[f"dst{version}"] = ((int(socket.address), int(socket.address)),)
        if socket.interface:
            row["in"] = (socket.interface,)
        made.append(row)
    return tuple(made)


def _inside(version: int) -> Spans:
    return join((one.low, one.high) for one in SPECIAL if one.version == version)


def _by_port(item: tuple[str, str]) -> tuple[int, str]:
    port, _, protocol = item[0].partition("/")
    return int(port), protocol
