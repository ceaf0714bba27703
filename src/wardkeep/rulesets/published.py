"""What a host publishes under its own addresses: packets to it that its rules send on to another, as Docker does for its containers.

The chains of the input hook never see them, so who asks whether a port of this host is open must look at the forward hook too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, Literal

from wardkeep.packets.dimensions import ROUTE_TYPES, STATUS, AnyBit, Bits, Row
from wardkeep.packets.program import (
    EVERYTHING,
    Assign,
    Branches,
    Chain,
    Entry,
    Goto,
    Jump,
    Match,
    Nat,
    Part,
    Program,
    Rule,
    Unknown,
    Verdict,
)
from wardkeep.packets.ranks import rows_of
from wardkeep.rulesets.translation import SENT_ON, to_another

OWN: Final = "published"  # how the ids of rules and chains begin that are in no rule set, but added here
# How readers word that a packet is to an address of this host itself: of the packets that are asked about it is true.
TO_THIS_HOST: Final = frozenset({"--dst-type LOCAL", "fib daddr type local"})


def to_this_host(program: Program, rows: Iterable[Row]) -> list[Row]:
    """Those of the packets that are to an address of this host, which routing calls `local`, where a rule asks for that."""
    parts = (part for chain in program.chains for rule in chain.rules for part in rule.body)
    if not any("dst_type" in row for part in parts for row in rows_of(part)):
        return list(rows)
    local = ROUTE_TYPES.index("local")
    return [{**row, "dst_type": ((local, local),)} for row in rows]


def sends_on(program: Program) -> bool:
    """Whether a rule on the way in may give a packet to this host another destination."""
    chains = {chain.id: chain for chain in program.chains}
    before = _called_from(program, "prerouting")
    return any(_sends_on(part) for name in before for rule in chains[name].rules for part in rule.body)


def _sends_on(part: Part) -> bool:
    """A redirection stays on this host."""
    return to_another(part) and not (isinstance(part, Nat) and part.kind == "redirect")


def addressed_here(program: Program) -> Program:
    """The program as packets to this host's own addresses meet it, before routing too: that they are such is true of them."""
    early = _called_from(program, "prerouting") - _called_from(program, "forward", "input", "postrouting")
    chains = tuple(_told_here(chain) if chain.id in early else chain for chain in program.chains)
    return program if chains == program.chains else replace(program, chains=chains)


def published(program: Program, others: Literal["drop", "accept"]) -> Program:
    """The program as packets to this host's own addresses meet it: in the forward hook those that were sent on, in the input hook
    those that were not. What becomes of the others in each, who are in the other: `drop` them to ask who is let in, `accept` them
    to ask who is turned away."""
    chains = tuple(map(_noted, addressed_here(program).chains))
    if others == "accept":
        return replace(program, chains=tuple(map(_let_in, chains)))
    first = [_first(program, hook) for hook in ("forward", "input")]
    return replace(program, chains=(*chains, *first))


def _others(hook: str) -> Match:
    """Those of the hook that are in the other: of input those that were sent on, behind it those that were not."""
    sent_on = hook == "input"
    return Match(({"status": (AnyBit(SENT_ON) if sent_on else Bits(SENT_ON, 0),)},))


def _noted(chain: Chain) -> Chain:
    """The chain whose rules say of the packets that they send on that they did."""
    said = Assign("status", xor=STATUS["dnat"] | SENT_ON)
    rules = tuple(
        replace(
            rule,
            body=tuple(one for part in rule.body for one in ((said, part) if _sends_on(part) else (part,))),
        )
        for rule in chain.rules
    )
    return replace(chain, rules=rules)


def _first(program: Program, hook: str) -> Chain:
    """A base chain that packets meet before any other of the hook."""
    met = [c.entry.priority for c in program.chains if c.entry and c.entry.hook == hook]
    rule = Rule(f"{OWN} {hook}", (_others(hook), Verdict("drop")))
    return Chain(rule.id, (rule,), Entry(hook, (4, 6), min(met, default=0) - 1))


def _let_in(chain: Chain) -> Chain:
    """A base chain that begins with letting the others through; all of them do, so that they get through for good."""
    if chain.entry is None or chain.entry.hook not in ("input", "forward", "postrouting"):
        return chain
    rule = Rule(f"{OWN} {chain.id}", (_others(chain.entry.hook), Verdict("accept")))
    return replace(chain, rules=(rule, *chain.rules))


def _told_here(chain: Chain) -> Chain:
    def told(part: Part) -> Part:
        known = isinstance(part, Unknown) and part.text in TO_THIS_HOST and part.may == EVERYTHING
        return Match(EVERYTHING) if known else part

    return replace(
        chain, rules=tuple(replace(rule, body=tuple(map(told, rule.body))) for rule in chain.rules)
    )


def _called_from(program: Program, *hooks: str) -> set[str]:
    """The chains that packets of these hooks may come to."""
    chains = {chain.id: chain for chain in program.chains}
    left = [c.id for c in program.chains if c.entry and c.entry.hook in hooks and c.entry.layer == "ip"]
    found: set[str] = set()
    while left:
        name = left.pop()
        if name not in found and name in chains:
            found.add(name)
            left += [target for rule in chains[name].rules for target in _targets(rule.body)]
    return found


def _targets(body: Iterable[Part]) -> Iterable[str]:
    for part in body:
        if isinstance(part, Jump | Goto):
            yield part.chain
        elif isinstance(part, Branches):
            yield from (act.chain for _, act in part.branches if isinstance(act, Jump | Goto))
