"""Which rules could be taken away, each alone, without any packet's fate changing.

For a rule that decides, and every packet that it decides about, the walk without the rule is followed: it must come to the same
fate. Uncertain entries on that way may decide, so they must agree as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from wardkeep.packets.flat import Act, Fate, Flat, Ints
from wardkeep.packets.leaf import AFTER, CALLS, ROUNDS, STEP, Budget, Leaf, Spent
from wardkeep.packets.parts import Part, parts
from wardkeep.packets.proofs import Problems, holes
from wardkeep.packets.search import Found, Search
from wardkeep.packets.walks import MOST_PAIRS, Bools, pairs, visits

_CHANGES: Final = (Act.NAT,)
FEW: Final = 16  # open entries that are decided exactly at once, where packets at random come to nothing


def needed(
    flat: Flat, wanted: Bools, budget: Budget, details: Ints, together: Bools | None = None,
    among: Collection[int] | None = None,
) -> Found:  # fmt: skip
    """Of the wanted owners those that are not removable in a list, part by part: see `Removal`.

    `among`: only packets that are in an entry of one of these owners are asked about.
    """
    out, left = Found(), wanted.copy()
    for part in parts(flat, behind=True):
        open_ = left
        if part.alone:
            # What changes for no packet at all that may come here, changes for none that does.
            found = _needed(part.alone, left, budget, details, together, among)
            come = part.comes(np.array([point for _, point in found.reached.values()]))
            for owner, sure in zip(list(found.reached), come.tolist(), strict=True):
                if sure:
                    entry, point = found.reached[owner]
                    out.reached[owner] = (int(part.alone.index[entry]), point)
                    left[owner] = False
            open_ = np.zeros_like(left)
            open_[[owner for owner in (*found.reached, *found.doubtful) if left[owner]]] = True
        found = _needed(part, open_, budget, details, together, among)
        out.doubtful |= found.doubtful
        for owner, (entry, point) in found.reached.items():
            out.reached[owner] = (int(part.index[entry]), point)
            left[owner] = False
    out.doubtful -= out.reached.keys()
    return out


def _needed(
    part: Part, wanted: Bools, budget: Budget, details: Ints, together: Bools | None, among: Collection[int] | None
) -> Found:  # fmt: skip
    owners = np.unique(part.flat.owner[part.own])
    if not wanted[owners[owners >= 0]].any():
        return Found()
    looked = Removal(_settled(part), wanted, budget, details, together)
    looked.own = part.own
    whole, flat = looked.space, part.flat
    for n in (-1,) if among is None else np.flatnonzero(np.isin(flat.owner, [*among])).tolist():
        if n >= 0:
            looked.space = np.stack([np.maximum(whole[0], flat.lo[n]), np.minimum(whole[1], flat.hi[n])])
        if (looked.space[0] <= looked.space[1]).all():
            looked.run()
    return looked.found


def _settled(part: Part) -> Flat:
    """The list in which accepting decides for good, where that leads to one place behind the own entries from which nothing is denied:
    who comes there fares alike, whichever rule let it through."""
    flat = part.flat
    last = int(np.flatnonzero(part.own)[-1])
    leaving = part.own & (flat.act == Act.ACCEPT) & (flat.fate == Fate.OPEN) & (flat.target > last)
    places = np.unique(flat.target[leaving])
    if len(places) != 1 or np.isin(flat.fate[int(places[0]) :], (Fate.DROP, Fate.REJECT)).any():
        return flat
    return replace(
        flat,
        target=np.where(leaving, len(flat), flat.target).astype(flat.target.dtype),
        fate=np.where(leaving, Fate.ACCEPT, flat.fate).astype(flat.fate.dtype),
    )


class Removal(Search):
    """Finds, of the wanted owners, those that are *not* removable (`found.reached`, with the packet whose fate changes).

    Each owner is taken away alone; with `together`, all of those owners at once.
    """

    short = 768  # each open entry is compared with all behind it

    def __init__(
        self, flat: Flat, wanted: Bools, budget: Budget, details: Ints, together: Bools | None = None
    ) -> None:
        """`details`: owner → a number that differs where two rejects answer differently."""
        super().__init__(flat, flat.owner, wanted, budget)
        # What an entry does, for "the same fate": final accepts 1, drops 2, rejects by what they answer.
        self.does = flat.fate.astype(np.int64)
        rejects = flat.fate == Fate.REJECT
        self.does[rejects] = 10 + details[flat.owner[rejects]]
        self.does[np.isin(flat.act, _CHANGES)] = -1
        self.final = len(flat)
        # Who goes with whom: owners with one number are taken away at the same time.
        self.going = np.append(np.arange(len(wanted)), -1)
        if together is not None:
            self.going[:-1][together] = len(wanted)
        self.together = together is not None
        self.own: Bools | None = None  # the entries that are asked about, if not all

    def run(self) -> Found:
        lo, hi = self.space
        inside = np.flatnonzero(((self.flat.lo <= hi) & (self.flat.hi >= lo)).all(axis=1))
        self.space = np.stack(self.around(inside, lo, hi)[1:])
        return super().run()

    def around(self, index: Ints, lo: Ints, hi: Ints) -> tuple[Ints, Ints, Ints]:
        """The part of a cell in which packets of open entries are, with its list."""
        some = index[self.wanted(index)]
        if not len(some):
            return some, lo, hi
        inner_lo = np.maximum(lo, self.flat.lo[some].min(axis=0))
        inner_hi = np.minimum(hi, self.flat.hi[some].max(axis=0))
        for column in np.flatnonzero((inner_lo > lo) | (inner_hi < hi)):
            held = self.flat.lo[index, column] <= inner_hi[column]
            index = index[held & (self.flat.hi[index, column] >= inner_lo[column])]
        return index, inner_lo, inner_hi

    def split(self, index: Ints, lo: Ints, hi: Ints) -> list[tuple[Ints, Ints, Ints]] | None:
        halves = super().split(index, lo, hi)
        return halves and [self.around(*half) for half in halves]

    def wanted(self, index: Ints) -> Bools:
        found = super().wanted(index)
        return found if self.own is None else np.asarray(found & self.own[index])

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
            if self.together and self.going[owner] == len(self.open):
                continue
            end = int(target[n])
            around = (target[:n] > index[n]) & (target[:n] < end) & keep[:n]
            if not self.together and first < 0 and owner >= 0 and self.open[owner]:
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
        owner = self.group[index]
        case = _Case(
            leaf, self.does[index], self.going[owner], self.flat.target[index] >= self.final, self.budget
        )
        open_ = np.flatnonzero(self.wanted(index))

        def note(n: int, point: Ints) -> None:
            packet = whole.copy()
            packet[columns] = point
            self.noted(int(owner[n]), int(index[n]), packet)

        try:
            number, aims = 0, None
            while number < ROUNDS + AFTER:
                open_ = open_[self.open[owner[open_]]]
                if number and aims is None and len(open_):
                    # Most are done with by one packet each; of the others some have nothing to meet.
                    aims = _Aims(leaf, open_, case.goals(open_))
                    open_ = open_[aims.count[open_] > 0]
                if not len(open_):
                    return
                if self.enough(number, len(index)):
                    break
                changed = 0
                if aims is not None and number < ROUNDS:
                    points = aims.packets(open_, self.rng)
                else:
                    points = self.tried(leaf, columns, open_, number)
                for n, point in case.sample(open_, points):
                    changed += 1
                    if self.open[owner[n]]:
                        note(n, point)
                # Here another round at random is worth more than in a search: what changes is alike for few rules.
                number = self.next(number, len(open_), changed) if number >= ROUNDS else number + 1
                if not changed and len(open_) <= FEW:  # one round of each kind tells what they are worth
                    number = ROUNDS if number < ROUNDS else ROUNDS + AFTER
            open_ = open_[self.open[owner[open_]]]
            for n, point in case.decide(open_, owner[open_]):
                if self.open[owner[n]]:
                    note(n, point)
        except Spent:
            self.doubt(index)


class _Aims:
    """What packets of open entries may meet in their stead. Few packets of a rule come to anything else without it, and where
    rules are wide, hardly one at random does."""

    def __init__(self, leaf: Leaf, open_: Ints, goals: Bools) -> None:
        """`goals`: for each of the open entries those that it may be."""
        self._leaf = leaf
        self.count = np.zeros(len(leaf.lo), dtype=np.intp)
        self.count[open_] = goals.sum(axis=1)
        self._begin = np.cumsum(self.count) - self.count
        self._goals = np.nonzero(goals)[1]

    def packets(self, open_: Ints, rng: np.random.Generator) -> Ints:
        """One packet at random from what each open entry shares with one of its goals."""
        goals = self._goals[self._begin[open_] + rng.integers(self.count[open_])]
        leaf = self._leaf
        lo, hi = np.maximum(leaf.lo[open_], leaf.lo[goals]), np.minimum(leaf.hi[open_], leaf.hi[goals])
        return np.asarray(rng.integers(lo, hi + 1, dtype=np.int32))


@dataclass(frozen=True)
class _Case:
    """One list: what its entries do (0: nothing final), who goes with whom (-1: stays), and which go behind the end."""

    leaf: Leaf
    does: Ints
    going: Ints
    final: Bools
    budget: Budget

    def sample(self, open_: Ints, points: Ints) -> Iterator[tuple[int, Ints]]:
        """Try one packet for each open entry: those whose fate changes."""
        leaf = self.leaf
        looked = leaf.skips | (self.does != 0)
        looked[open_] = True
        near = np.flatnonzero(looked)
        nlo, nhi = leaf.lo[near], leaf.hi[near]
        chunk = max(1, MOST_PAIRS // max(1, len(near)))
        for start in range(0, len(open_), chunk):
            some, who = points[start : start + chunk], open_[start : start + chunk]
            self.budget.spend(2 * CALLS + len(some) * len(near) / 16)
            rows, met = pairs(some, nlo, nhi)
            for at in np.flatnonzero(self.changes(near, rows, met, who)):
                yield int(who[at]), some[at]

    def changes(self, near: Ints, rows: Ints, met: Ints, who: Ints) -> Bools:
        """Which packets come to their entry `who` and would meet another fate without it. (rows, met): packets and what holds
        them."""
        leaf, entries = self.leaf, near[met]
        target = np.searchsorted(near, leaf.target[near])
        certain, everyone = leaf.certain[near], np.arange(len(who))

        def seen(start: Ints, some: Ints, without: bool = False) -> tuple[Ints, Ints]:
            """The packets and entries of the walks of some packets from their places."""
            left = np.ones(len(rows), dtype=bool)
            if without:
                left = (self.going[entries] != self.going[who[rows]]) | (entries < who[rows])
            there = visits(rows[left], met[left], target, certain, some, start[some])
            return rows[left][there], entries[left][there]

        comes = np.zeros(len(who), dtype=bool)
        first, at = seen(np.zeros(len(who), dtype=np.int64), everyone)
        comes[first[at == who[first]]] = True
        behind = np.searchsorted(near, who) + 1
        out = np.zeros(len(who), dtype=bool)
        packet, at = seen(behind, np.flatnonzero(comes), without=True)
        does, own = self.does[at], self.does[who[packet]]
        out[packet[(does != 0) & (does != own)]] = True
        out &= comes
        weak = np.flatnonzero(comes & ~self.final[who])
        if len(weak):
            # What its base chain's accept comes to in the end may be the same.
            kept = [seen(np.searchsorted(near, leaf.target[who]), weak)]
            kept.append(seen(behind, weak[~leaf.certain[who[weak]]]))
            codes, coded = np.unique(self.does, return_inverse=True)
            told = np.zeros((2, len(who), len(codes)), dtype=bool)
            for packet, at in kept:
                told[0, packet, coded[at]] = True
            packet, at = seen(behind, weak, without=True)
            told[1, packet, coded[at]] = True
            told[:, :, codes == 0] = False
            out[weak] = (told[0, weak] != told[1, weak]).any(axis=1)
        return out

    def decide(self, open_: Ints, groups: Ints) -> Iterator[tuple[int, Ints]]:
        """Exactly: a packet that reaches an entry and comes, without what goes, to one that does something else."""
        if not len(open_):
            return
        self.budget.spend(CALLS + len(open_) * len(self.going))
        leaf, goals = self.leaf, self.goals(open_)
        out = self.out(open_)
        weak = ~self.final[open_]
        # Entries of one rule are one question; but where a base chain is left, each is compared by itself.
        group = np.where(weak, groups.max(initial=0) + 1 + np.arange(len(open_)), groups)
        asked = np.flatnonzero(goals.any(axis=1))
        if not len(asked):
            return
        _, group = np.unique(group[asked], return_inverse=True)
        which = open_[asked]
        problems = Problems(leaf.lo[which], leaf.hi[which], goals[asked], group, out[asked], which)
        for at, point in holes(leaf, problems, self.budget):
            one = int(which[at])
            # It meets something else before its base chain ends; what comes of that in the end may be the same.
            if self.final[one] or self.differs(one, point):
                yield one, point
            elif (found := self.compare(one)) is not None:
                yield one, found

    def out(self, open_: Ints) -> Bools:
        """For each of the entries those that go with it, from it on: what lies before decides who comes to it."""
        return np.asarray(
            (self.going == self.going[open_, None]) & (np.arange(len(self.going)) >= open_[:, None])
        )

    def goals(self, open_: Ints) -> Bools:
        """For each of the entries those behind it that share packets with it, stay, and do something else."""
        leaf, does, n = self.leaf, self.does, open_[:, None]
        places = np.arange(len(leaf.lo))
        goals = (places > n) & (does != 0) & ~self.out(open_)
        goals &= np.where(self.final[n], does != does[n], places < leaf.target[n])
        for column in range(leaf.lo.shape[1]):
            lo, hi = leaf.lo[:, column], leaf.hi[:, column]
            goals &= (lo <= hi[n]) & (hi >= lo[n])
        return np.asarray(goals)

    def differs(self, n: int, point: Ints) -> bool:
        """Whether one packet, which reaches entry n, meets another fate without it."""
        near = np.flatnonzero(((self.leaf.lo <= point) & (self.leaf.hi >= point)).all(axis=1))
        rows = np.zeros(len(near), dtype=np.intp)
        return bool(self.changes(near, rows, np.arange(len(near)), np.array([n]))[0])

    def compare(self, n: int) -> Ints | None:
        """A packet that reaches entry n and whose fate is another without n's rule; None: proved that there is none."""
        leaf, does = self.leaf, self.does
        lo, hi, others = leaf.lo[n], leaf.hi[n], self.going != self.going[n]
        matters = leaf.skips | (does != 0)
        first = np.flatnonzero(matters & ((leaf.lo <= hi) & (leaf.hi >= lo)).all(axis=1))
        stack = [(lo, hi, first)]
        while stack:
            lo, hi, near = stack.pop()
            self.budget.spend(STEP + len(near))
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
