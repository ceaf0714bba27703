"""A flat list in parts: what leads to one copy of the rules, without the other copies that packets which NAT or marks changed go to.

Packets that came into a copy never come to another one beside it. A question about the entries of one copy is one about a shorter list,
in which fewer columns tell anything apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from wardkeep.packets.flat import NOBODY, Act, Fate, Flat, Ints
from wardkeep.packets.walks import Bools


@dataclass(frozen=True)
class Part:
    """A list of some entries of another: `index` are their places there, `own` those that the part is for."""

    flat: Flat
    index: Ints
    own: Bools
    whole: bool = True  # whether all that leads to the own entries, and all that follows them, is in it
    alone: Part | None = (
        None  # of a long one the own entries, as if more packets came to them than do: what none meets there is dead
    )


class Copies:
    """The copies of a list that begin at `starts`, by number, and which leads to which."""

    def __init__(self, flat: Flat, starts: Ints) -> None:
        self.flat, self.starts = flat, starts
        self.of = np.searchsorted(starts, np.arange(len(flat)), side="right") - 1
        self.onward: list[dict[int, int]] = [
            {} for _ in starts
        ]  # copy → following → last entry that leads there
        inner = np.flatnonzero(flat.target < len(flat))
        leaves = inner[self.of[flat.target[inner]] != self.of[inner]]
        for entry, copy, to in zip(
            leaves.tolist(), self.of[leaves].tolist(), self.of[flat.target[leaves]].tolist(), strict=True
        ):
            self.onward[copy][to] = entry

    def to(self, copy: int, behind: bool = False) -> Part:
        """All that leads to a copy, and it; with `behind` also all that follows it."""
        limits = {copy: len(self.flat)}
        for before in range(copy - 1, -1, -1):
            if leads := [entry for to, entry in self.onward[before].items() if to in limits]:
                limits[before] = max(leads)
        if behind:
            reached = {copy}
            for following in range(copy, len(self.starts)):
                if following in reached:
                    reached |= self.onward[following].keys()
            limits |= dict.fromkeys(reached, len(self.flat))
        return self._part(limits, self.of == copy, True)

    def inside(self, copy: int) -> Part:
        """A copy alone, as if every packet came to it: more packets than do."""
        return self._part({copy: len(self.flat)}, self.of == copy, False)

    def among(self, copies: list[int]) -> Part:
        """Some copies, as if nothing led to others."""
        return self._part(dict.fromkeys(copies, len(self.flat)), np.isin(self.of, copies), False)

    def _part(self, limits: dict[int, int], own: Bools, whole: bool) -> Part:
        flat = self.flat
        most = np.array([limits.get(n, -2) for n in range(len(self.starts))])
        places = np.arange(len(flat))
        index = np.flatnonzero(places <= most[self.of] + 1)
        if len(index) == len(flat):
            return Part(flat, index, own, whole)
        # Behind the last entry of a copy that leads on to what is asked about, nothing does.
        shut = index[index == most[self.of[index]] + 1]
        place = np.full(len(flat) + 1, len(index), dtype=np.int32)
        place[index] = np.arange(len(index))
        place[shut] = len(index)
        target = place[flat.target[index]]
        names = ("lo", "hi", "certain", "owner", "act", "fate")
        sides = {name: getattr(flat, name)[index] for name in names}
        at = np.searchsorted(index, shut)
        sizes = [flat.columns.ranks_of(name).size - 1 for name in flat.columns.names]
        sides["lo"][at], sides["hi"][at] = 0, np.array(sizes, dtype=np.int32)
        sides["certain"][at], sides["owner"][at] = True, NOBODY
        sides["act"][at], sides["fate"][at] = Act.STEP, Fate.OPEN
        target[at] = len(index)
        single = np.zeros(1, dtype=np.int32)
        made = replace(flat, target=target, past={}, starts=single, groups=single, **sides)
        return Part(made, index, own[index], whole)


def parts(flat: Flat, behind: bool = False) -> Iterator[Part]:
    """The list in parts that have all its entries as their own together, those of packets that nothing changed first, alone: what is
    found there need not be looked for again."""
    if len(flat.groups) == len(flat.stops):
        yield Part(flat, np.arange(len(flat)), np.ones(len(flat), dtype=bool))
        return
    copies = Copies(flat, flat.groups)
    yield copies.among(np.searchsorted(flat.groups, flat.stops).tolist())
    for copy in range(len(flat.groups)):
        part = copies.to(copy, behind)
        long = len(part.index) > 2 * int(part.own.sum())
        yield replace(part, alone=copies.inside(copy)) if long and not behind else part
