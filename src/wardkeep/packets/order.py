"""Which base chains a packet meets, in which order, and what a program asks for as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from wardkeep.packets.dimensions import DIMENSIONS, holds
from wardkeep.packets.program import Assign, Branches, Chain, Entry, Goto, Jump, Nat, NoTrack, Program
from wardkeep.packets.ranks import rows_of

_IP: Final[Mapping[str, tuple[str, ...]]] = {
    "input": ("prerouting", "input"),
    "forward": ("prerouting", "forward", "postrouting"),
    "output": ("output", "postrouting"),
}
# Layer → route → hooks a packet passes, in order.
PATHS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "ip": _IP,
    "bridge": _IP,
    "netdev": {"input": ("ingress",), "forward": (), "output": ("egress",)},
    "arp": {"input": ("input",), "forward": ("forward",), "output": ("output",)},
}
CONNTRACK: Final = -200  # priorities in prerouting and output, linux/netfilter_ipv4.h
DEFRAGMENT: Final = -400
NAT_PRIORITY: Final[Mapping[str, int]] = {
    "prerouting": -100,
    "output": -100,
    "input": 100,
    "postrouting": 100,
}


def uses_conntrack(program: Program) -> bool:
    """Whether any rule makes the kernel track connections."""
    if program.conntrack is not None:
        return program.conntrack
    tracked = {"state", "status", "ctmark", "direction"}
    for chain in program.chains:
        if chain.entry and chain.entry.kind == "nat":
            return True
        for rule in chain.rules:
            for part in rule.body:
                if type(part) is Assign and tracked & {part.dimension, part.source}:
                    return True
                if any(not tracked.isdisjoint(row) for row in rows_of(part)):
                    return True
    return False


def tells_fragments(program: Program) -> bool:
    """Whether later fragments are packets of their own kind to this program."""
    if program.fragments is not None:
        return program.fragments
    return any(
        "fragment" in row and holds(row["fragment"], 1)
        for chain in program.chains
        for rule in chain.rules
        for part in rule.body
        for row in rows_of(part)
    )


def base_chains(program: Program, hook: str, family: int | str, layer: str = "ip") -> list[Chain]:
    """The base chains that a packet of the family meets on a hook, in order."""

    def order(entry: Entry) -> tuple[int, int]:
        # The kernel runs all nat chains of a hook at one fixed priority, among themselves by their own.
        nat = entry.kind == "nat"
        return (NAT_PRIORITY.get(hook, entry.priority), entry.priority) if nat else (entry.priority, 0)

    found = [
        (order(c.entry), n, c)
        for n, c in enumerate(program.chains)
        if c.entry
        and (c.entry.layer, c.entry.hook, c.entry.dormant) == (layer, hook, False)
        and family in c.entry.families
    ]
    return [chain for _, _, chain in sorted(found, key=lambda f: f[:2])]


def rewritten(program: Program) -> frozenset[str]:
    """The dimensions that NAT can change on some packet: those of its rules, and for the answers the opposite ends."""
    touched = {n for c in program.chains for r in c.rules for p in r.body if isinstance(p, Nat) for n in p.to}
    opposite = {
        "sport": "dport",
        "dport": "sport",
        "src4": "dst4",
        "dst4": "src4",
        "src6": "dst6",
        "dst6": "src6",
        "src_type": "dst_type",
        "dst_type": "src_type",
        "src_type_here": "dst_type_here",
        "dst_type_here": "src_type_here",
        "src_route": "dst_type",
        "src_route_here": "dst_type_here",
        "src_route_marked": "dst_type_here",
    }
    if "dst_type" in touched:
        touched |= {"src_route", "src_route_here", "src_route_marked"}
    return frozenset(touched | {opposite.get(n, n) for n in touched})


@dataclass(frozen=True)
class Traits:
    """What the unfolding of every world of a program needs to know, found out once.

    `asked`: chain → dimensions it, or a chain it calls, asks about. `changed`: dimensions that some rule changes; `assigned`: marks
    and the like, of these. `rewrites`: how many parts of rules change packets, `natted`: by NAT.
    """

    tracked: bool
    fragments: bool
    rewritten: frozenset[str]
    changed: frozenset[str]
    asked: Mapping[str, frozenset[str]]
    assigned: frozenset[str] = frozenset()
    rewrites: int = 0
    natted: int = 0

    @classmethod
    def of(cls, program: Program) -> Traits:
        changed: set[str] = set()
        assigned: set[str] = set()
        rewrites = natted = 0
        own: dict[str, set[str]] = {}
        calls: dict[str, set[str]] = {}
        for chain in program.chains:
            names: set[str] = {"state"} if chain.entry and chain.entry.kind == "nat" else set()
            called: set[str] = set()
            for rule in chain.rules:
                for part in rule.body:
                    for row in rows_of(part):
                        names.update(row)
                    if type(part) is Assign:
                        rewrites += 1
                        assigned.add(part.dimension)
                        if part.keep:
                            names.add(part.source or part.dimension)
                    elif type(part) is NoTrack:
                        rewrites += 1
                        changed.add("state")
                    elif type(part) is Nat:
                        rewrites += 1
                        natted += 1
                        changed.update(part.to)
                    elif type(part) is Jump or type(part) is Goto:
                        called.add(part.chain)
                    elif type(part) is Branches:
                        called.update(d.chain for _, d in part.branches if isinstance(d, Jump | Goto))
            own[chain.id] = names | {need for name in names for need in DIMENSIONS[name].needs}
            calls[chain.id] = called
        whole: dict[str, frozenset[str]] = {}

        def ask(chain: str) -> frozenset[str]:
            if chain not in whole:
                whole[chain] = frozenset(own[chain].union(*(ask(inner) for inner in calls[chain])))
            return whole[chain]

        for chain_id in own:
            ask(chain_id)
        return cls(
            uses_conntrack(program), tells_fragments(program), rewritten(program), frozenset(changed | assigned),
            whole, frozenset(assigned), rewrites, natted,
        )  # fmt: skip
