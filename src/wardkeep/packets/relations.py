"""Pairs of rules that overlap and disagree: exceptions to wider rules, and crossings whose order decides.

These are the pairwise notions of Al-Shaer and Hamed (2004): *generalisation* (a later rule is wider than an earlier one that does
the opposite: usually meant) and *correlation* (each matches packets the other does not, and they do the opposite: order decides).
Shadowing and redundancy are not looked for in pairs; `audit` finds them exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from wardkeep.packets.audit import decision_of
from wardkeep.packets.flat import Act, Flat, Ints
from wardkeep.packets.overlaps import Overlapping
from wardkeep.packets.program import Program
from wardkeep.packets.search import preferred
from wardkeep.packets.witness import Witness
from wardkeep.packets.worlds import Owners, checked, worlds

MOST: Final = 1000
FIRST: Final = 16  # rules whose pairs are looked for in one go: at first, and at most
LARGEST: Final = 2048


@dataclass(frozen=True, slots=True)
class Relation:
    """`first` stands before `second`, they do the opposite, and both match `witness` (which `first` decides, unless something
    before it does)."""

    kind: Literal["generalisation", "correlation"]
    first: str
    second: str
    witness: Witness


@dataclass(frozen=True, slots=True)
class Relations:
    """`complete` is False when there are more than were asked for."""

    pairs: tuple[Relation, ...]
    complete: bool


def relations(
    program: Program,
    *,
    layer: str = "ip",
    most: int = MOST,
    rules: frozenset[str] | None = None,
    unfolded: Sequence[Flat] | None = None,
) -> Relations:
    """The first `most` pairs in the program's order; `rules` limits both ends. Rules that match only by luck are left out.

    `unfolded`: the program's worlds in this layer, where they are made already.
    """
    if unfolded is None:
        checked(program)
    owners = Owners.of(program)
    by_number = [decision_of(rule) for chain in program.chains for rule in chain.rules]
    by_number += ["" for chain in program.chains if chain.entry]
    wanted = [bool(d) and (rules is None or owners.names[n] in rules) for n, d in enumerate(by_number)]
    seen: set[tuple[int, int]] = set()
    out: list[Relation] = []
    for flat in worlds(program, layer) if unfolded is None else unfolded:
        liked = preferred(flat)
        for kind, i, j in _pairs(flat, np.array(wanted), np.array([d == "accept" for d in by_number])):
            pair = (int(flat.owner[i]), int(flat.owner[j]))
            if pair in seen:
                continue
            if len(out) == most:
                return Relations(tuple(out), complete=False)
            seen.add(pair)
            lo = np.maximum(np.maximum(flat.lo[i], flat.lo[j]), flat.space[0])
            point = np.clip(liked, lo, np.minimum(np.minimum(flat.hi[i], flat.hi[j]), flat.space[1]))
            shown = Witness(flat, point, j)
            out.append(Relation(kind, owners.names[pair[0]], owners.names[pair[1]], shown))
    return Relations(tuple(out), complete=True)


def _pairs(
    flat: Flat, wanted: Ints, accepts: Ints
) -> Iterator[tuple[Literal["generalisation", "correlation"], int, int]]:
    """Entries of rules made of one box each, in order."""
    decides = np.isin(flat.act, (Act.ACCEPT, Act.DROP, Act.REJECT)) & flat.certain & (flat.owner >= 0)
    index = np.flatnonzero(decides)
    index = index[wanted[flat.owner[index]]]
    single = np.bincount(flat.owner[index], minlength=1) == 1 if len(index) else np.zeros(1, dtype=bool)
    index = index[single[flat.owner[index]]]
    lo, hi, yes = flat.lo[index], flat.hi[index], accepts[flat.owner[index]].astype(bool)
    sides = [np.flatnonzero(yes == side) for side in (False, True)]
    opposite = [Overlapping(lo[one], hi[one]) for one in reversed(sides)]
    start, size = (
        0,
        FIRST,
    )  # the first pairs are wanted soon; where they are rare, many are looked at in one go
    while start < len(index):
        block = np.arange(start, min(start + size, len(index)))
        start, size, found = start + size, min(2 * size, LARGEST), []
        for side in (False, True):
            asked, others = block[yes[block] == side], sides[not side]
            for ones, met in opposite[side].pairs(lo[asked], hi[asked]):
                pair = np.stack([asked[ones], others[met]])
                found.append(pair[:, pair[0] < pair[1]])
        first, second = np.concatenate(found, axis=1) if found else np.zeros((2, 0), dtype=np.intp)
        order = np.lexsort((second, first))
        first, second = first[order], second[order]
        hides = ((lo[first] <= lo[second]) & (hi[first] >= hi[second])).all(axis=1)  # the audit says so
        wider = ((lo[second] <= lo[first]) & (hi[second] >= hi[first])).all(axis=1)
        for at in np.flatnonzero(~hides).tolist():
            kind: Literal["generalisation", "correlation"] = "generalisation" if wider[at] else "correlation"
            yield kind, int(index[first[at]]), int(index[second[at]])
