"""Which groups of entries of a flat list are reached by some packet: the space is split until the lists are short.

A cell's list is cut at every entry that covers the cell, and behind the last entry that is still open; most of the space is
done with after a few splits. What the leaves decide is exact, and a group that is reached has the packet to show for it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from wardkeep.packets.flat import NOBODY, Flat, Ints
from wardkeep.packets.leaf import AFTER, ROUNDS, STEP, Budget, Leaf, Spent
from wardkeep.packets.proofs import Problems, holes
from wardkeep.packets.walks import Bools

SHORT: Final = 2000  # entries in a list that is looked at directly
FEW: Final = 0.1  # of the packets of a round at random: if no more come through, there is no other round
KEPT: Final = 256  # packets that came through lately
VAIN: Final = 256  # packets like others, tried in vain, after which no more of them are
WORTH: Final = 8  # of them that one that comes through is worth
LISTED: Final = 256  # entries of a list from which on packets like those are tried


@dataclass
class Found:
    """Group → (entry, packet as ranks) for those reached; groups in doubt (budget spent) and all others are not reached."""

    reached: dict[int, tuple[int, Ints]] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)


class Search:
    """`group` (one number per entry, -1: none) says what is looked for; `wanted` are the groups that are open."""

    short = SHORT

    def __init__(
        self, flat: Flat, group: Ints, wanted: Bools, budget: Budget, space: Ints | None = None
    ) -> None:
        self.flat, self.group, self.open, self.budget = flat, group.copy(), wanted.copy(), budget
        self.space = flat.space if space is None else space
        self.prefer = preferred(flat)
        self.found = Found()
        self.rng = np.random.default_rng(20260)
        self._landing: Ints | None = None
        self._through: deque[Ints] = deque(maxlen=KEPT)
        self._vain = 0
        self._pick = np.random.default_rng(20261)

    def run(self) -> Found:
        """Decide every open group."""
        flat = self.flat
        lo, hi = self.space
        inside = np.flatnonzero(((flat.lo <= hi) & (flat.hi >= lo)).all(axis=1)).astype(np.int32)
        # Columns in which nothing is told apart are not looked at again.
        stack = [(inside, lo, hi)]
        while stack:
            index, lo, hi = stack.pop()
            try:
                self.budget.spend(STEP + len(index) * self.flat.lo.shape[1] / 4)
            except Spent:
                self.doubt(index)
                continue
            index = self.cut(index, lo, hi)
            if not len(index):
                continue
            if len(index) <= self.short or not (parts := self.split(index, lo, hi)):
                self.leaf(index, lo, hi)
            else:
                stack += parts
        return self.found

    def wanted(self, index: Ints) -> Bools:
        groups = self.group[index]
        return np.asarray((groups >= 0) & self.open[groups])

    def doubt(self, index: Ints) -> None:
        self.found.doubtful.update(int(g) for g in np.unique(self.group[index][self.wanted(index)]))

    def cut(self, index: Ints, lo: Ints, hi: Ints) -> Ints:
        """The list without what nobody in the cell can reach, and without what follows the last open entry."""
        flat = self.flat
        open_ = np.flatnonzero(self.wanted(index))
        if not len(open_):
            return index[:0]
        index = index[: open_[-1] + 1]
        target = flat.target[index]
        turning = np.flatnonzero((target > index + 1) & flat.certain[index])
        if len(turning):
            rows = index[turning]
            covers = turning[((flat.lo[rows] <= lo) & (flat.hi[rows] >= hi)).all(axis=1)]
            if len(covers):
                index = self._without(index, target, covers)
                open_ = np.flatnonzero(self.wanted(index))
                index = index[: open_[-1] + 1] if len(open_) else index[:0]
        return index

    @staticmethod
    def _without(index: Ints, target: Ints, covers: Ints) -> Ints:
        keep = np.ones(len(index), dtype=bool)
        for n in covers:
            if not keep[n]:
                continue
            here, end = int(index[n]), int(target[n])
            around = (target[:n] > here) & (target[:n] < end) & keep[:n]
            if around.any():
                end = int(target[:n][around].min())
            keep[n + 1 : np.searchsorted(index, end)] = False
        return index[keep]

    def split(self, index: Ints, lo: Ints, hi: Ints) -> list[tuple[Ints, Ints, Ints]] | None:
        """Two smaller cells with their lists, or None if no cut makes the lists shorter."""
        flat, count = self.flat, len(index)
        best: tuple[float, int, int] | None = None
        some = index if count <= 4096 else index[:: count // 2048]
        for column in np.flatnonzero(hi > lo):
            clo, chi = flat.lo[some, column], flat.hi[some, column]
            ends = np.concatenate([clo[clo > lo[column]], chi[chi < hi[column]] + 1])
            if not len(ends):
                continue
            ends.sort()
            for place in (len(ends) // 2, len(ends) // 4, 3 * len(ends) // 4):
                cut = int(ends[place])
                left, right = int((clo < cut).sum()), int((chi >= cut).sum())
                cost = float(left) ** 2 + float(right) ** 2
                if best is None or cost < best[0]:
                    best = (cost, int(column), cut)
        if best is None or best[0] > 1.8 * float(len(some)) ** 2:
            return None
        _, where, cut = best
        left_hi, right_lo = hi.copy(), lo.copy()
        left_hi[where], right_lo[where] = cut - 1, cut
        left_index = index[flat.lo[index, where] < cut]
        right_index = index[flat.hi[index, where] >= cut]
        return [(right_index, right_lo, hi), (left_index, lo, left_hi)]

    def clipped(self, index: Ints, lo: Ints, hi: Ints) -> tuple[Leaf, Ints]:
        """The list as a leaf, without the columns in which all its entries span the cell; and the columns that are left."""
        flat = self.flat
        llo, lhi = np.maximum(flat.lo[index], lo), np.minimum(flat.hi[index], hi)
        columns = np.flatnonzero((llo > lo).any(axis=0) | (lhi < hi).any(axis=0))
        target = np.searchsorted(index, flat.target[index]).astype(np.int32)
        leaf = Leaf(llo[:, columns], lhi[:, columns], target, flat.certain[index], self.prefer[columns])
        return leaf, columns.astype(np.int32)

    def noted(self, group: int, entry: int, packet: Ints) -> None:
        """A packet that shows that a group is reached, at an entry."""
        self.open[group] = False
        self.found.reached[group] = (entry, packet)
        self.found.doubtful.discard(group)
        self._through.append(packet)

    def shut(self, entries: Ints, earlier: Ints) -> None:
        """Close for good the entries whose whole box lies in an earlier one that turns every packet away to behind them, past which
        nothing leads to them: most of what is dead is so, and would be proved again in each cell that it lies in."""
        flat = self.flat
        if self._landing is None:
            self._landing = landing(flat.target)
        turned = flat.certain[earlier] & (flat.target[earlier] > entries) & (self._landing[earlier] > entries)
        entries, earlier = entries[turned], earlier[turned]
        held = (flat.lo[earlier] <= flat.lo[entries]) & (flat.hi[earlier] >= flat.hi[entries])
        self.group[entries[held.all(axis=1)]] = NOBODY

    def tried(self, leaf: Leaf, columns: Ints, open_: Ints, number: int) -> Ints:
        """One packet from the box of each open entry: of the first rounds at random, then as much as can be like one that came
        through lately. What most packets are turned away by (a state, flags, blocked networks) is alike for very many rules."""
        if number < ROUNDS or not self._through:
            return leaf.packets(open_, number, self.rng)
        known = np.stack(self._through)[:, columns]
        one = known[self._pick.integers(len(known), size=len(open_))]
        return np.clip(one, leaf.lo[open_], leaf.hi[open_])

    def enough(self, number: int, listed: int) -> bool:
        """Whether exact subtraction is next: in a list so short it takes no time, and the packets it finds read better; and where
        packets like others hardly ever came through either."""
        if number < ROUNDS:
            return False
        return listed < LISTED or not self._through or self._vain > VAIN

    def next(self, number: int, tried: int, reached: int) -> int:
        """The number of the next round, after what this one came to. Of packets at random, few that came through are the last; of
        packets like others, those in vain are counted against those that came through."""
        if number >= ROUNDS:
            self._vain = max(0, self._vain + tried - WORTH * reached)
        elif reached < FEW * tried:
            return ROUNDS
        return number + 1

    def leaf(self, index: Ints, lo: Ints, hi: Ints) -> None:
        leaf, columns = self.clipped(index, lo, hi)
        whole = np.clip(self.prefer, lo, hi).astype(np.int32)
        open_ = np.flatnonzero(self.wanted(index)).astype(np.int32)

        def note(which: Ints, points: Ints) -> None:
            packets = np.tile(whole, (len(points), 1))
            packets[:, columns] = points
            entries = index[which]
            for group, entry, packet in zip(
                self.group[entries].tolist(), entries.tolist(), packets, strict=True
            ):
                if self.open[group]:
                    self.noted(group, entry, packet)

        try:
            number = 0
            while number < ROUNDS + AFTER and not self.enough(number, len(index)):
                points = self.tried(leaf, columns, open_, number)
                met_by: list[tuple[Ints, Ints]] = []
                reached = leaf.try_packets(open_, points, self.budget, met_by)
                number = self.next(number, len(open_), int(reached.sum()))
                note(open_[reached], points[reached])
                for entries, earlier in met_by:
                    self.shut(index[entries], index[earlier])
                open_ = open_[~reached]
                open_ = open_[self.wanted(index[open_])]
                if not len(open_):
                    return
            goals = np.zeros((len(open_), len(index)), dtype=bool)
            goals[np.arange(len(open_)), open_] = True
            asked = Problems(leaf.lo[open_], leaf.hi[open_], goals, self.group[index[open_]])
            for which, point in holes(leaf, asked, self.budget):
                note(open_[[which]], point[None])
        except Spent:
            self.doubt(index)


def landing(target: Ints) -> Ints:
    """For each entry the first place behind it to which one before it leads; the length where none does."""
    count = len(target)
    out = np.full(count, count, dtype=np.int32)
    skipping = np.flatnonzero(target > np.arange(1, count + 1))
    places, first = np.unique(target[skipping], return_index=True)
    # From the last place on: whatever lands earlier, and begins before the entry, takes it over.
    for place, begin in zip(places[::-1].tolist(), skipping[first[::-1]].tolist(), strict=True):
        out[begin + 1 : place] = place
    return out


def preferred(flat: Flat) -> Ints:
    """The rank in each column whose value reads best in a witness."""
    return np.array(
        [flat.columns.ranks_of(name).pleasant_rank() for name in flat.columns.names], dtype=np.int32
    )
