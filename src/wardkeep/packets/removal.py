"""Which rules could be taken away, each alone, without any packet's fate changing.

For a rule that decides, and every packet that it decides about, the walk without the rule is followed: it must come to the same
fate. Uncertain entries on that way may decide, so they must agree as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from wardkeep.packets.flat import Act, Fate, Flat, Ints
from wardkeep.packets.leaf import ROUNDS, Bools, Budget, Leaf, Spent
from wardkeep.packets.search import Search

_CHANGES: Final = (Act.NAT,)


class Removal(Search):
    """Finds, of the wanted owners, those that are *not* removable (`found.reached`, with the packet whose fate changes)."""

    def __init__(self, flat: Flat, wanted: Bools, budget: Budget, details: Ints) -> None:
        """`details`: owner → a number that differs where two rejects answer differently."""
        super().__init__(flat, flat.owner, wanted, budget)
        # What an entry does, for "the same fate": final accepts 1, drops 2, rejects by what they answer.
        self.does = flat.fate.astype(np.int64)
        rejects = flat.fate == Fate.REJECT
        self.does[rejects] = 10 + details[flat.owner[rejects]]
        self.does[np.isin(flat.act, _CHANGES)] = -1
        self.final = len(flat)

    def cut(self, index: Ints, lo: Ints, hi: Ints) -> Ints:
        """Cut behind the entries that cover the cell; behind an open one only if another covers the cell, too."""
        flat = self.flat
        if not self.wanted(index).any():
            return index[:0]
        target = flat.target[index]
        turning = np.flatnonzero((target > index + 1) & flat.certain[index])
        rows = index[turning]
        covers = turning[((flat.lo[rows] <= lo) & (flat.hi[rows] >= hi)).all(axis=1)]
        first = -1  # owner of an open entry that covers the cell
        keep = np.ones(len(index), dtype=bool)
        for n in covers:
            owner = int(self.group[index[n]])
            if not keep[n] or owner == first >= 0:
                continue
            end = int(target[n])
            around = (target[:n] > index[n]) & (target[:n] < end) & keep[:n]
            if first < 0 and owner >= 0 and self.open[owner]:
                if not around.any():
                    first = owner
                continue
            if around.any():
                end = int(target[:n][around].min())
            keep[n + 1 : np.searchsorted(index, end)] = False
        index = index[keep]
        return index if self.wanted(index).any() else index[:0]

    def leaf(self, index: Ints, lo: Ints, hi: Ints) -> None:
        leaf, columns = self.clipped(index, lo, hi)
        whole = np.clip(self.prefer, lo, hi).astype(np.int32)
        does, owner = self.does[index], self.group[index]
        final = self.flat.target[index] >= self.final
        open_ = np.flatnonzero(self.wanted(index))

        def note(n: int, point: Ints) -> None:
            self.open[owner[n]] = False
            packet = whole.copy()
            packet[columns] = point
            self.found.reached[int(owner[n])] = (int(index[n]), packet)
            self.found.doubtful.discard(int(owner[n]))

        try:
            if leaf.is_plain(len(index) - 1):
                for number in range(ROUNDS):
                    open_ = open_[self.open[owner[open_]]]
                    if not len(open_):
                        return
                    self.sample(leaf, open_, number, does, owner, final, note)
            for n in open_:
                if self.open[owner[n]]:
                    self.decide(leaf, int(n), does, owner, final, note)
        except Spent:
            self.doubt(index)

    def sample(
        self,
        leaf: Leaf,
        open_: Ints,
        number: int,
        does: Ints,
        owner: Ints,
        final: Bools,
        note: Callable[[int, Ints], None],
    ) -> None:
        """First match decides in this list: try one packet for each open entry."""
        lo, hi = leaf.lo[open_], leaf.hi[open_]
        points = np.clip(leaf.prefer, lo, hi) if not number else self.rng.integers(lo, hi + 1, dtype=np.int32)
        chunk = max(1, 4_000_000 // len(leaf.lo))
        places = np.arange(len(leaf.lo))
        turning = leaf.skips & leaf.certain
        for start in range(0, len(open_), chunk):
            some, who = points[start : start + chunk], open_[start : start + chunk]
            self.budget.spend(len(some) * len(places) / 16)
            inside = leaf.contains(some)
            before = places[None, :] < who[:, None]
            reaches = ~(inside & turning & before).any(axis=1)
            after = inside & ~before & (owner[None, :] != owner[who][:, None])
            decided = after & turning
            # The first certain entry decides; uncertain ones before it may.
            first = np.where(decided.any(axis=1), decided.argmax(axis=1), len(places))
            differs = (does[None, :] != 0) & (does[None, :] != does[who][:, None])
            differs &= after & (places[None, :] <= first[:, None])
            for at in np.flatnonzero(reaches & differs.any(axis=1)):
                if self.open[owner[who[at]]] and final[who[at]]:
                    note(int(who[at]), some[at])

    def decide(
        self, leaf: Leaf, n: int, does: Ints, owner: Ints, final: Bools, note: Callable[[int, Ints], None]
    ) -> None:
        """Exactly: does a packet that reaches entry n come, without n's rule, to an entry that does something else?"""
        others = owner != owner[n]
        places = np.arange(len(leaf.lo))
        behind = (places > n) & others & (does != 0)
        behind &= does != does[n] if final[n] else places < leaf.target[n]
        behind &= ((leaf.lo <= leaf.hi[n]) & (leaf.hi >= leaf.lo[n])).all(axis=1)
        for other in np.flatnonzero(behind):
            lo, hi = np.maximum(leaf.lo[n], leaf.lo[other]), np.minimum(leaf.hi[n], leaf.hi[other])
            point = leaf.hole_in(int(other), lo, hi, self.budget, only=others, through=n)
            if point is not None and not final[n]:
                # It meets something else before its base chain ends; what comes of that in the end may be the same.
                point = self.compare(leaf, n, lo, hi, does, others)
            if point is not None:
                note(n, point)
                return

    def compare(self, leaf: Leaf, n: int, lo: Ints, hi: Ints, does: Ints, others: Bools) -> Ints | None:
        """A packet of the box, reaching entry n, whose fate is another without n's rule; None: proved that there is none."""
        matters = leaf.skips | (does != 0)
        first = np.flatnonzero(matters & ((leaf.lo <= hi) & (leaf.hi >= lo)).all(axis=1))
        stack = [(lo, hi, first)]
        while stack:
            lo, hi, near = stack.pop()
            self.budget.spend(16 + len(near))
            covers = np.all((leaf.lo[near] <= lo) & (leaf.hi[near] >= hi), axis=1)
            if covers.all():
                if not leaf.comes(near[near < n], 0, n):
                    continue
                kept = self.fates(leaf, near, int(leaf.target[n]), does)
                if not leaf.certain[n]:
                    kept |= self.fates(leaf, near, n + 1, does)
                if kept != self.fates(leaf, near[others[near]], n + 1, does):
                    return np.clip(leaf.prefer, lo, hi).astype(np.int32)
                continue
            sizes = np.minimum(leaf.hi[near], hi) - np.maximum(leaf.lo[near], lo) + 1
            volume = np.log(sizes).sum(axis=1)
            volume[covers] = -1.0
            best = int(near[int(volume.argmax())])
            column = int(np.flatnonzero((leaf.lo[best] > lo) | (leaf.hi[best] < hi))[0])
            middle = int(
                leaf.lo[best, column] if leaf.lo[best, column] > lo[column] else leaf.hi[best, column] + 1
            )
            below, above = hi.copy(), lo.copy()
            below[column], above[column] = middle - 1, middle
            for plo, phi in ((lo, below), (above, hi)):
                stack.append((plo, phi, near[((leaf.lo[near] <= phi) & (leaf.hi[near] >= plo)).all(axis=1)]))
        return None

    @staticmethod
    def fates(leaf: Leaf, near: Ints, start: int, does: Ints) -> set[int]:
        """What a packet in every box of `near` can come to from a place on."""
        places, out = {start}, set()
        for n in near:
            behind = {p for p in places if p <= n}
            if behind:
                if does[n]:
                    out.add(int(does[n]))
                places = (places - behind) | {int(leaf.target[n])}
                if not leaf.certain[n]:
                    places.add(int(n) + 1)
        return out
