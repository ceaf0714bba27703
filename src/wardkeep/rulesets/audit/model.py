"""What an audit gives: a verdict on every rule, findings, and what was not understood. Plain data, ready for JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from wardkeep.packets.dimensions import (
    ABSENT,
    PLEASANT,
    PROPERTIES,
    ROUTE_TYPES,
    ROUTES,
    STATES,
    STATUS,
    TCP_FLAGS,
)
from wardkeep.rulesets.names import PROTOCOL_NAMES, WITH_PORTS
from wardkeep.rulesets.spans import address

ROUTED: Final = frozenset({"dst_type", "dst_type_here", "src_type", "src_type_here"})  # values of ROUTE_TYPES
_RARE: Final = frozenset({"user", "group", *PROPERTIES})
SEVERITIES: Final = ("high", "medium", "low", "info")
VERDICTS: Final = ("live", "dead", "removable", "never-called", "undecided")
# What a finding is called in its id and its heading.
KINDS: Final[Mapping[str, str]] = {
    "unfiltered": "Traffic that nothing filters",
    "permissive": "Rules that accept everything",
    "gap": "Closed over IPv4 and open over IPv6",
    "open": "Sensitive services open to the world",
    "wide": "Sensitive services open to wide networks",
    "contradicted": "Rules that say the opposite of those that hide them",
    "impossible": "Rules that no packet could ever match",
    "dead": "Rules that no packet reaches",
    "listening": "What listens and what the firewall lets in differ",
    "never-called": "Chains that nothing calls",
    "limit": "Limits that hold nobody back",
    "removable": "Rules that change no packet's fate",
    "conflict": "Rules that overlap and decide against each other: their order matters",
    "unused": "Rules that no packet used",
    "empty": "Rules that ask an empty set",
    "undecided": "Rules that could not be decided",
}


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """One rule: `hidden_by` are all rules that keep packets from it, `cover` a minimal part of them that suffices.

    `witness` is a packet that reaches a live rule. `verdict` is one of VERDICTS; `why` says it where no rule hides a dead one.
    """

    id: str
    chain: str
    position: int
    text: str
    verdict: str
    hidden_by: tuple[str, ...] = ()
    cover: tuple[str, ...] = ()
    witness: Mapping[str, Any] | None = None
    contradicted: bool = False
    why: str = ""
    line: int = 0
    packets: int | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at. `id` stays the same while the rule and its chain do; `where` are rule ids, or a chain.

    `sure`: it is proved. Otherwise it may be so: a match that is not modelled decides, or the work allowed did not suffice.
    """

    id: str
    kind: str
    severity: str
    what: str
    where: tuple[str, ...]
    witness: Mapping[str, Any] | None = None
    fix: str = ""
    sure: bool = True


@dataclass(frozen=True, slots=True)
class UnknownMatch:
    """A match that is not modelled: it may hold or not, and hides and opens nothing.

    `decides`: what hangs on all such matches of its rule together, for every answer of all others: "nothing", "log" (what is logged
    or counted), "effect" (a mark, a set, another limit), "fate" (`witness` is a packet whose fate may hang on it) or "undecided".
    `instead`: rules and policies that decide the same about packets for which it fails, where nothing or a log hangs on it.
    """

    rule: str
    text: str
    decides: str = "undecided"
    witness: Mapping[str, Any] | None = None
    instead: tuple[str, ...] = ()

    @property
    def matters(self) -> bool:
        """Whether more than a line of a log may hang on it."""
        return self.decides not in ("nothing", "log")


@dataclass(frozen=True, slots=True)
class Removal:
    """The offered fix: the rules that can go together, and whether old = new was proved.

    `proved` is None if the work budget was spent; `witness` is a packet whose fate would change.
    """

    rules: tuple[str, ...]
    proved: bool | None
    witness: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """One rule set, audited."""

    name: str
    rules: tuple[RuleVerdict, ...]
    findings: tuple[Finding, ...]
    unknown_matches: tuple[UnknownMatch, ...]
    notes: tuple[str, ...] = ()
    removal: Removal | None = None
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def exit_status(self) -> int:
        """1 if a finding of weight is proved, 3 if none is but something is unknown, else 0."""
        if any(f.severity != "info" and f.sure for f in self.findings):
            return 1
        undecided = any(r.verdict == "undecided" for r in self.rules)
        unknown = any(m.matters for m in self.unknown_matches) or any(not f.sure for f in self.findings)
        return 3 if undecided or unknown else 0


def finding_id(kind: str, *about: str) -> str:
    """`dead-3fa2c1d8`: the same as long as what it is about stays the same, wherever the rule moves in its chain."""
    digest = hashlib.sha256("\0".join((kind, *about)).encode()).hexdigest()
    return f"{kind}-{digest[:8]}"


def worded(packet: Mapping[str, int | str] | None) -> dict[str, Any] | None:
    """A packet of the engine as addresses, ports, protocol, state and interfaces; what is at rest is left out."""
    if packet is None:
        return None

    def value(name: str) -> int | str:
        """Of what no rule asks about, the value that reads best: any would do."""
        return packet.get(name, PLEASANT[name][0])

    family, protocol = packet.get("family", 4), int(value("proto"))
    told: dict[str, Any] = {"family": {4: "ipv4", 6: "ipv6"}.get(int(family), "not IP")}
    route = packet.get("route", "input")
    told["route"] = route if isinstance(route, str) else ROUTES[route]
    for side, name in (("src", "source"), ("dst", "destination")):
        if family in (4, 6):
            told[name] = address(int(value(f"{side}{family}")), int(family))
    told["protocol"] = PROTOCOL_NAMES.get(protocol, str(protocol))
    if packet.get("fragment"):
        told["fragment"] = "a later fragment, without ports"
    elif protocol in WITH_PORTS:
        told["source_port"], told["destination_port"] = value("sport"), value("dport")
    elif protocol in (1, 58):
        head = "icmp" if protocol == 1 else "icmp6"
        told["icmp_type"], told["icmp_code"] = value(f"{head}_type"), packet.get(f"{head}_code", 0)
    if protocol == 6 and not packet.get("fragment"):
        told["tcp_flags"] = _flags(int(value("tcp_flags")))
    told["state"] = STATES[int(packet.get("state", 3))]
    told["in_interface"], told["out_interface"] = packet.get("in", ""), packet.get("out", "")
    if packet.get("status"):
        told["status"] = _bits(int(packet["status"]), STATUS)
    for name in ("mark", "ctmark", "mac", "extension"):
        if packet.get(name):
            told[name] = packet[name]
    if isinstance(mac := told.get("mac"), int):
        told["mac"] = ":".join(f"{mac:012x}"[n : n + 2] for n in range(0, 12, 2))
    for name in () if _RARE.isdisjoint(packet) else ("user", "group", *PROPERTIES):
        if name in packet and packet[name] != ABSENT.get(name):
            told[name] = ROUTE_TYPES[int(packet[name])] if name in ROUTED else packet[name]
    return told


@cache
def _flags(number: int) -> str:
    return _bits(number, TCP_FLAGS)


def _bits(number: int, named: Mapping[str, int]) -> str:
    return ",".join(name for name, bit in named.items() if number & bit) or "none"


def sentence(witness: Mapping[str, Any]) -> str:
    """`tcp 198.51.100.7:40000 → 10.0.0.1:22 (new) by eth0`."""
    ends = []
    for side in ("source", "destination"):
        host = str(witness.get(side, "any"))
        port = witness.get(f"{side}_port")
        ends.append(host if port is None else f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    name = str(witness["protocol"])
    told = f"{'protocol ' if name.isdigit() else ''}{name} {ends[0]} → {ends[1]}"
    if "icmp_type" in witness:
        told += f" type {witness['icmp_type']} code {witness['icmp_code']}"
    if "fragment" in witness:
        told += ", a later fragment"
    if "extension" in witness:
        told += ", with extension headers"
    flags = witness.get("tcp_flags", "syn")
    told += f" ({witness['state']}{'' if flags in ('syn', 'none') else f', {flags}'})"
    ways = [
        f"{word} {witness[key]}"
        for word, key in (("in by", "in_interface"), ("out by", "out_interface"))
        if witness.get(key)
    ]
    return f"{told} {' and '.join(ways)}".rstrip()
