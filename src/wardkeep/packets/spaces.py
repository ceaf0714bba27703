"""One list and many boxes of packets at once: which of them hold a packet that comes to a wanted entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from wardkeep.packets.flat import Flat, Ints
from wardkeep.packets.leaf import Budget, Leaf, Spent
from wardkeep.packets.proofs import Problems, holes
from wardkeep.packets.search import Search, preferred
from wardkeep.packets.walks import Bools, pairs, visits

LONG: Final = 8_192  # entries of a list that is split before it is looked at
TRIED: Final = 24  # wanted entries of a box that a packet is tried at, before the proof


@dataclass
class Reached:
    """Number of the box → (wanted entry, packet as ranks); boxes in doubt (the budget was spent); all others hold none."""

    reached: dict[int, tuple[int, Ints]] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)
    spent: float = 0.0  # of the work allowed


def in_spaces(flat: Flat, wanted: Bools, spaces: Sequence[Ints], work: float) -> Reached:
    """For each box (2 × columns, within the list's own space) whether a packet of it comes to one of the wanted entries.

    `work` is the budget for each box.
    """
    out = Reached()
    if not len(spaces):
        return out
    lo, hi = (np.array([s[n] for s in spaces], dtype=np.int32) for n in (0, 1))
    index = np.flatnonzero(((flat.lo <= hi.max(axis=0)) & (flat.hi >= lo.min(axis=0))).all(axis=1))
    if len(index) > LONG:
        for n, space in enumerate(spaces):
            group = np.where(wanted, 0, -1).astype(np.int32)
            budget = Budget(work)
            found = Search(flat, group, np.ones(1, dtype=bool), budget, space).run()
            out.spent += work - max(budget.left, 0.0)
            if 0 in found.reached:
                out.reached[n] = found.reached[0]
            elif found.doubtful:
                out.doubtful.add(n)
        return out
    target = np.searchsorted(index, flat.target[index]).astype(np.int32)
    leaf = Leaf(flat.lo[index], flat.hi[index], target, flat.certain[index], preferred(flat))
    goals = np.flatnonzero(wanted[index])
    _try(leaf, goals, lo, hi, out)
    left = np.array([n for n in range(len(spaces)) if n not in out.reached], dtype=np.intp)
    if len(left) and len(goals):
        many = np.zeros((len(left), len(index)), dtype=bool)
        many[:, goals] = True
        asked = Problems(lo[left], hi[left], many, np.arange(len(left)))
        budget = Budget(work * len(left))
        out.spent = budget.left
        try:
            for which, point in holes(leaf, asked, budget):
                n = int(left[which])
                rows, met = pairs(point[None, :], leaf.lo, leaf.hi)
                start = np.zeros(1, dtype=np.int64)
                seen = met[visits(rows, met, leaf.target, leaf.certain, start, start)]
                out.reached[n] = (int(np.intersect1d(seen, goals)[0]), point)
        except Spent:
            out.doubtful.update(int(n) for n in left if int(n) not in out.reached)
        out.spent -= max(budget.left, 0.0)
    out.reached = {n: (int(index[entry]), point) for n, (entry, point) in out.reached.items()}
    return out


def _try(leaf: Leaf, goals: Ints, lo: Ints, hi: Ints, out: Reached) -> None:
    """One packet in what each box shares with some of the wanted entries: most boxes are open to one of them."""
    glo, ghi = leaf.lo[goals], leaf.hi[goals]
    shared = np.ones((len(lo), len(goals)), dtype=bool)
    for column in range(lo.shape[1]):
        shared &= (lo[:, column, None] <= ghi[:, column]) & (hi[:, column, None] >= glo[:, column])
    count = np.cumsum(shared, axis=1)
    boxes, some = np.nonzero(shared & (count <= TRIED))
    low = np.maximum(lo[boxes], glo[some])
    points = np.clip(leaf.prefer, low, np.minimum(hi[boxes], ghi[some])).astype(np.int32)
    rows, met = pairs(points, leaf.lo, leaf.hi)
    who = np.arange(len(points))
    seen = visits(rows, met, leaf.target, leaf.certain, who, np.zeros_like(who))
    for at in np.flatnonzero(seen & (met == goals[some[rows]])).tolist():
        point = int(rows[at])
        out.reached.setdefault(int(boxes[point]), (int(met[at]), points[point]))
