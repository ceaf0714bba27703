"""A program, or two of them side by side, as the flat lists of all its worlds, with one set of ranks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from wardkeep.core.errors import BadInput
from wardkeep.packets.conditions import Columns
from wardkeep.packets.dimensions import FAMILIES, ROUTES, Row
from wardkeep.packets.flat import Flat
from wardkeep.packets.order import Traits
from wardkeep.packets.program import Program, faults
from wardkeep.packets.ranks import Ranks, rank
from wardkeep.packets.unfold import Unfolding
from wardkeep.packets.writer import TooLarge

MOST_ENTRIES: Final = 1_500_000  # of one world: about 200 MB
FEW_ENTRIES: Final = (
    200_000  # beside 20 for each rule, of a world with copies for what was rewritten: some seconds
)
MOST_COPIED: Final = 2_000_000  # rules that rewrite × rules: beyond, what each gives is not followed


@dataclass(frozen=True)
class Owners:
    """Who entries belong to: rules by id, then the policies of base chains as "policy of CHAIN"."""

    names: tuple[str, ...]
    numbers: Mapping[str, int]

    @classmethod
    def of(cls, program: Program) -> Owners:
        names = [rule.id for chain in program.chains for rule in chain.rules]
        names += [f"policy of {chain.id}" for chain in program.chains if chain.entry]
        return cls(tuple(names), {name: n for n, name in enumerate(names)})


def checked(program: Program) -> Program:
    """The program itself. Raises BadInput with its first fault."""
    if found := faults(program):
        raise BadInput(found[0], where=program.name, todo="The reader that made this program is at fault.")
    return program


def unfold(
    program: Program,
    columns: Columns,
    family: int,
    route: str,
    layer: str = "ip",
    owners: Owners | None = None,
    traits: Traits | None = None,
    most: int = MOST_ENTRIES,
    always: bool = False,
) -> Flat | None:
    """One world of a program, or None if no base chain sees it (unless `always`). Raises BadInput if it is too large even
    without copies.

    Where copies for rewritten values would be too many, marks become vague (tests of them go both ways), then packets that NAT
    rewrote share one copy, in which a value is one of all that some rule gives, and at last all that rules change is vague.
    """
    numbers = (owners or Owners.of(program)).numbers
    traits = traits or Traits.of(program)
    plain = sum(len(chain.rules) for chain in program.chains)
    limit = min(most, FEW_ENTRIES + 20 * plain)
    exact = traits.rewrites * plain <= MOST_COPIED
    ways = [(frozenset[str](), False, limit)] if exact or not traits.changed else []
    ways += [(traits.assigned, False, limit)] if traits.assigned and exact else []
    ways += [(traits.assigned, True, limit), (traits.changed, False, most)]
    for vague, joined, limit in ways:
        work = Unfolding(program, columns, family, route, layer, numbers, traits, vague, limit, joined)
        if not work.enters and not always:
            return None
        try:
            return work.run()
        except TooLarge:
            continue
    raise BadInput(
        f"more than {most:,} cases after its chains are written out",
        where=program.name,
        todo="Audit its tables one by one.",
    )


def worlds(
    program: Program,
    layer: str = "ip",
    questions: Sequence[Row] = (),
    ranks: Mapping[str, Ranks] | None = None,
) -> Iterator[Flat]:
    """Every world of a checked program in which it has a base chain."""
    known = rank([program], questions) if ranks is None else ranks
    owners, traits = Owners.of(program), Traits.of(program)
    for family in FAMILIES:
        for route in ROUTES:
            flat = unfold(program, Columns(known), family, route, layer, owners, traits)
            if flat is not None:
                yield flat
