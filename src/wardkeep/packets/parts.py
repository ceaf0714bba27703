"""A flat list in parts: what leads to one copy of the rules, without the other copies that packets which NAT or marks changed go to.

Packets that came into a copy never come to another one beside it. A question about the entries of one copy is one about a shorter list,
in which fewer columns tell anything apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from wardkeep.packets.flat import NOBODY, Act, Fate, Flat, Ints
from wardkeep.packets.walks import MOST_PAIRS, Bools, pairs, visits


@dataclass(frozen=True)
class Part:
    """A list of some entries of another: `index` are their places there, `own` those that the part is for."""

    flat: Flat
    index: Ints
    own: Bools
    alone: Part | None = (
        None  # the own entries, and what follows them if that is asked, as if every packet came to them
    )

    def comes(self, points: Ints) -> Bools:
        """Which packets come to the own entries of a part made by `to`, one way or another."""
        flat = self.flat
        first = int(np.flatnonzero(self.own)[0])
        if first == 0:
            return np.ones(len(points), dtype=bool)
        own = np.append(self.own, False)[np.minimum(flat.target[:first], len(flat))]
        out = np.zeros(len(points), dtype=bool)
        chunk = max(1, MOST_PAIRS // first)
        target = np.minimum(flat.target[:first], first)
        for start in range(0, len(points), chunk):
            some = points[start : start + chunk]
            rows, met = pairs(some, flat.lo[:first], flat.hi[:first])
            who = np.arange(len(some))
            seen = visits(rows, met, target, flat.certain[:first], who, np.zeros_like(who))
            out[start + rows[seen & own[met]]] = True
        return out


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
            limits |= dict.fromkeys(self.following(copy), len(self.flat))
        return self._part(limits, self.of == copy)

    def inside(self, copy: int, behind: bool = False) -> Part:
        """A copy alone, as if every packet came to it: more packets than do. With `behind` also all that follows it."""
        limits = {copy: len(self.flat)}
        if behind:
            limits = dict.fromkeys(self.following(copy), len(self.flat))
        return self._part(limits, self.of == copy)

    def following(self, copy: int) -> set[int]:
        """The copy and all that it leads to."""
        reached = {copy}
        for one in range(copy, len(self.starts)):
            if one in reached:
                reached |= self.onward[one].keys()
        return reached

    def _part(self, limits: dict[int, int], own: Bools) -> Part:
        flat = self.flat
        most = np.array([limits.get(n, -2) for n in range(len(self.starts))])
        places = np.arange(len(flat))
        index = np.flatnonzero(places <= most[self.of] + 1)
        if len(index) == len(flat):
            return Part(flat, index, own)
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
        made = replace(flat, target=target, past={}, forks={}, starts=single, groups=single, **sides)
        return Part(made, index, own[index])


def parts(flat: Flat, behind: bool = False) -> Iterator[Part]:
    """The list in parts that have all its entries as their own together; with `behind` each with all that follows its own."""
    if len(flat.groups) == len(flat.stops):
        yield Part(flat, np.arange(len(flat)), np.ones(len(flat), dtype=bool))
        return
    copies = Copies(flat, flat.groups)
    for copy in range(len(flat.groups)):
        yield replace(copies.to(copy, behind), alone=copies.inside(copy, behind))
