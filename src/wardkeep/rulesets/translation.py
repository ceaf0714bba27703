"""Which new packets carry a translation: `ct status dnat` holds for those alone that a rule of the set translated.

A firewall accepts by it what it has forwarded itself (firewalld does). To the engine a packet arrives with any status; strangers cannot
choose theirs, so a question about the first packet of a connection is asked of packets that nothing has translated yet. Nor has that
connection been answered, confirmed or assured: those bits come later (nf_conntrack_core.c).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from wardkeep.packets.dimensions import STATUS, Bits, Row, Values, states
from wardkeep.packets.program import Assign, Branches, Chain, Match, Nat, Part, Program, Rule, Unknown
from wardkeep.packets.ranks import rows_of

# A bit of the status that no rule can ask for (the kernel's IPS_HELPER): here, that a rule gave the packet another destination
# which is not this host (see `published`).
SENT_ON: Final = 1 << 13
AT_FIRST: Final = Bits(
    SENT_ON + sum(STATUS[n] for n in ("expected", "seen-reply", "assured", "confirmed", "snat", "dnat")), 0
)
UNMARKED: Final[Values] = (Bits(0xFFFFFFFF, 0),)
DESTINATION: Final = frozenset({"dnat", "redirect"})


def to_another(part: Part) -> bool:
    """Whether the statement gives packets another destination."""
    if not isinstance(part, Nat):
        return False
    return part.kind in DESTINATION or (
        part.kind == "netmap" and any(name.startswith("dst") for name in part.to)
    )


def asks_status(program: Program) -> bool:
    """Whether any rule looks at the status of connections."""
    return any("status" in row for c in program.chains for r in c.rules for p in r.body for row in _rows(p))


def noted(program: Program) -> Program:
    """The program in which each rule that translates a destination says so in the packet's status, if any rule asks."""
    if not asks_status(program):
        return program
    return replace(program, chains=tuple(map(_noted, program.chains)))


def first_packets(program: Program, rows: Iterable[Row]) -> tuple[Row, ...]:
    """Rows of a question about a program that is `noted`: those about first packets without any that arrives with a status."""
    return tuple(map(fresh, rows)) if asks_status(program) else tuple(rows)


def from_elsewhere(program: Program, rows: Iterable[Row]) -> tuple[Row, ...]:
    """First packets, as `first_packets`, of a connection that somebody else begins: they come without a mark."""
    without = unmarked(program)
    return tuple({**without, **row} for row in first_packets(program, rows))


def unmarked(program: Program) -> dict[str, Values]:
    """The marks that rules ask for, as those of a packet are before any rule gave it or its connection one."""
    asked = {
        name for c in program.chains for r in c.rules for p in r.body for row in rows_of(p) for name in row
    }
    return {name: UNMARKED for name in ("mark", "ctmark") if name in asked}


def fresh(row: Row) -> Row:
    """The row without packets that arrive with a status, if it is about the first ones of connections."""
    if row.get("state") != states("new") or "status" in row:
        return row
    return {**row, "status": (AT_FIRST,)}


def _noted(chain: Chain) -> Chain:
    return replace(chain, rules=tuple(map(_noting, chain.rules)))


def _noting(rule: Rule) -> Rule:
    if not any(map(to_another, rule.body)) or any(_notes(part) for part in rule.body):
        return rule
    body: list[Part] = []
    for part in rule.body:
        if to_another(part):
            body.append(Assign("status", xor=STATUS["dnat"]))
        body.append(part)
    return replace(rule, body=tuple(body))


def _notes(part: Part) -> bool:
    """Whether the statement says already what `noted` would."""
    return isinstance(part, Assign) and part.dimension == "status"


def _rows(part: Part) -> Iterator[Row]:
    if isinstance(part, Match):
        yield from part.rows
    elif isinstance(part, Unknown):
        yield from (*part.may, *part.must)
    elif isinstance(part, Branches):
        yield from (row for row, _ in part.branches)
