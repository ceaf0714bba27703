"""Our reading of real dumps against the closures that others published for them: simple rule lists that accept at least (upper)
and at most (lower) what the chain certainly lets through of new connections.

The dumps are the iptables/ folder of diekmann/Iptables_Semantics (BSD-2), each `X` with `X.Ln.FWD.upper` and the like beside it; they are not
part of this tree: name the folder in $WARDKEEP_FIREWALL_DATA.
"""

from __future__ import annotations

import os
import random
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from wardkeep.packets.dimensions import Row
from wardkeep.packets.program import Program
from wardkeep.packets.ranks import rows_of
from wardkeep.rulesets.audit.regions import UNICAST
from wardkeep.rulesets.files import load
from wardkeep.rulesets.names import protocol
from wardkeep.rulesets.reach import Reach
from wardkeep.rulesets.spans import network

FOLDER = os.environ.get("WARDKEEP_FIREWALL_DATA", "")
HOOKS = {"FWD": "FORWARD", "INP": "INPUT"}
ROUTES = {"FWD": 1, "INP": 0}
PACKETS = 120  # of each closure


@dataclass(frozen=True)
class Line:
    """One rule of a closure: the fate, and the packets it is about."""

    accepts: bool
    proto: int | None
    source: tuple[int, int]
    target: tuple[int, int]
    sport: tuple[int, int]
    dport: tuple[int, int]

    def holds(self, packet: tuple[int, int, int, int, int]) -> bool:
        proto, src, dst, sport, dport = packet
        return (
            self.proto in (None, proto)
            and self.source[0] <= src <= self.source[1]
            and self.target[0] <= dst <= self.target[1]
            and self.sport[0] <= sport <= self.sport[1]
            and self.dport[0] <= dport <= self.dport[1]
        )


def read_closure(text: str, chain: str) -> tuple[list[Line], bool]:
    """The rules of the chain and whether its policy accepts."""
    found: list[Line] = []
    policy, inside = False, False
    for line in text.splitlines():
        if match := re.match(r"Chain (\w+) \(policy (\w+)\)", line):
            inside = match[1] == chain
            policy = match[2] == "ACCEPT" if inside else policy
        elif inside and (words := line.split()) and words[0] in ("ACCEPT", "DROP"):
            told = " ".join(words[5:])
            found.append(
                Line(
                    words[0] == "ACCEPT",
                    None if words[1] == "all" else protocol(words[1]),
                    *((network(w, 4) or ((0, 0),))[0] for w in words[3:5]),
                    ports(told, "spt"),
                    ports(told, "dpt"),
                )
            )
    return found, policy


def ports(told: str, side: str) -> tuple[int, int]:
    match = re.search(rf"{side}s?:(\d+)(?::(\d+))?", told)
    return (int(match[1]), int(match[2] or match[1])) if match else (0, 65535)


def accepted(closure: tuple[list[Line], bool], packet: tuple[int, int, int, int, int]) -> bool:
    rules, policy = closure
    return next((rule.accepts for rule in rules if rule.holds(packet)), policy)


def closures() -> list[Path]:
    return sorted(Path(FOLDER).rglob("*.Ln.*.upper")) if FOLDER else []


def filter_only(program: Program) -> Program:
    """The closures are about the table `filter` alone."""
    return replace(
        program, chains=tuple(c for c in program.chains if c.id.startswith("ip filter ")), conntrack=True
    )


def names_links(program: Program) -> bool:
    """Whether a rule asks for an interface other than loopback."""
    return any(
        {*row.get("in", ()), *row.get("out", ())} - {"lo"}
        for chain in program.chains
        for rule in chain.rules
        for part in rule.body
        for row in rows_of(part)
    )


def samples(rng: random.Random, rules: list[Line]) -> list[tuple[int, int, int, int, int]]:
    """Packets at and beside the corners of the closure's rules; addresses that a packet to or through a host can have."""
    found: list[tuple[int, int, int, int, int]] = []
    for _ in range(50 * PACKETS):
        one, other = rng.choice(rules), rng.choice(rules)
        src = rng.choice([*one.source, one.source[0] - 1, one.source[1] + 1, rng.randint(*one.source)])
        dst = rng.choice([*other.target, rng.randint(*other.target)])
        dport = min(65535, max(0, rng.choice([*one.dport, *other.dport, one.dport[1] + 1])))
        sport = rng.choice([*one.sport, 40000])
        proto = one.proto if one.proto in (6, 17) else rng.choice([6, 17])
        unicast = all(any(low <= a <= high for low, high in UNICAST[4]) for a in (src, dst))
        if unicast and len(found) < PACKETS:
            found.append((proto or 6, src, dst, sport, dport))
    return found


def region(packet: tuple[int, int, int, int, int], route: int) -> Row:
    proto, src, dst, sport, dport = ((v, v) for v in packet)
    row: Row = {
        **{
            "family": ((4, 4),),
            "route": ((route, route),),
            "proto": (proto,),
            "src4": (src,),
            "dst4": (dst,),
        },
        **{
            "sport": (sport,),
            "dport": (dport,),
            "state": ((3, 3),),
            "fragment": ((0, 0),),
            "status": ((0, 0),),
        },
    }
    return {**row, "tcp_flags": ((2, 2),)} if packet[0] == 6 else row


@pytest.mark.skipif(
    not closures(), reason="the published dumps are not here: name their folder in $WARDKEEP_FIREWALL_DATA"
)
def test_we_lie_between_the_published_closures() -> None:
    compared = opened = 0
    for path in closures():
        kind = path.name.rsplit(".", 2)[1]
        (dump,) = (f for f in path.parent.iterdir() if "iptables-save" in f.name and ".Ln." not in f.name)
        upper, lower = (
            read_closure(path.with_suffix(s).read_text(), HOOKS[kind]) for s in (".upper", ".lower")
        )
        program = filter_only(load([dump])[0].program)
        rng = random.Random(path.name)
        packets = samples(rng, upper[0] + lower[0])
        rows = [region(p, ROUTES[kind]) for p in packets]
        reach = Reach(program, rows)
        # Where interfaces are told apart the closures stand on which network is behind which: an assumption of their own.
        plain = not names_links(program)
        for packet, row in zip(packets, rows, strict=True):
            may = reach.find(row, True).met is not None
            stays_out = reach.find(row, False).met
            if may and plain:
                assert accepted(upper, packet), (
                    path.name,
                    packet,
                    "the published upper closure denies what we let through",
                )
                opened += 1
            if accepted(lower, packet) and stays_out is not None:
                assert not stays_out.sure or may, (
                    path.name,
                    packet,
                    "the lower closure accepts what we deny",
                )
            compared += 1
    assert compared > 300
    assert opened > 50


def test_a_closure_is_read() -> None:
    text = (
        "Chain INPUT (policy DROP)\ntarget prot opt source destination\n"
        "ACCEPT  tcp  --  10.0.0.0/8  0.0.0.0/0  tcp dpt:22\nDROP  all  --  0.0.0.0/0  0.0.0.0/0\n"
        "\nChain FORWARD (policy ACCEPT)\n"
    )
    (first, _), policy = closure = read_closure(text, "INPUT")
    assert (first.accepts, first.proto, first.dport, policy) == (True, 6, (22, 22), False)
    ten = (network("10.1.1.1", 4) or ())[0][0]
    assert [accepted(closure, (6, ten, 1, 5, port)) for port in (22, 23)] == [True, False]
    assert read_closure(text, "FORWARD") == ([], True)
