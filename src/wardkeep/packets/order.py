"""Which base chains a packet meets, in which order, and what a program asks for as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from wardkeep.packets.dimensions import DIMENSIONS
from wardkeep.packets.program import Assign, Branches, Chain, Entry, Goto, Jump, Nat, Program
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
    tracked = {"state", "status", "ctmark"}
    for chain in program.chains:
        if chain.entry and chain.entry.kind == "nat":
            return True
        for rule in chain.rules:
            for part in rule.body:
                if isinstance(part, Assign) and tracked & {part.dimension, part.source}:
                    return True
                if any(not tracked.isdisjoint(row) for row in rows_of(part)):
                    return True
    return False


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
    }
    return frozenset(touched | {opposite.get(n, n) for n in touched})


def asked(chains: Mapping[str, Chain]) -> dict[str, set[str]]:
    """Chain → the dimensions that it, or a chain it calls, asks about."""
    found_for: dict[str, set[str]] = {}

    def ask(chain: Chain) -> set[str]:
        if chain.id not in found_for:
            found = found_for[chain.id] = set()
            for rule in chain.rules:
                for part in rule.body:
                    names = {name for row in rows_of(part) for name in row}
                    found |= names | {need for name in names for need in DIMENSIONS[name].needs}
                    if isinstance(part, Assign) and part.keep:
                        found.add(part.source or part.dimension)
                    if isinstance(part, Branches):
                        for _, decision in part.branches:
                            if isinstance(decision, Jump | Goto):
                                found |= ask(chains[decision.chain])
                    elif isinstance(part, Jump | Goto):
                        found |= ask(chains[part.chain])
        return found_for[chain.id]

    for chain in chains.values():
        ask(chain)
        if chain.entry and chain.entry.kind == "nat":
            found_for[chain.id].add("state")
    return found_for
