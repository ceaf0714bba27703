"""Which entries of a short list are reached, inside one cell of the space: by random packets first, then by exact subtraction.

In a list every entry that can turn packets away lies before the ones it hides. An entry is a *bypass* of another if it leads
from before it to behind it: then the packets in the bypass never meet the other, and "covered by it" proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from wardkeep.packets.flat import Ints
from wardkeep.packets.walks import MOST_PAIRS, Bools, pairs, visits

ROUNDS: Final = 4  # of packets at random
AFTER: Final = 4  # of packets after those that came through elsewhere
CHUNKS: Final = 3  # of packets tried together: a later one is compared with more entries
CALLS: Final = 20_000  # what a few calls of numpy cost beside what they compare: half a millisecond; a box compared is about 25 ns
STEP: Final = 2_000  # of one step that looks at one box


class Spent(Exception):
    """The budget of work is used up."""


@dataclass
class Budget:
    """Work that is left, in boxes compared (4e7 are about a second). Deterministic: the same rule set always ends at the same place."""

    left: float

    def spend(self, work: float) -> None:
        self.left -= work
        if self.left < 0:
            raise Spent


@dataclass(frozen=True)
class Leaf:
    """A list of entries within a cell: `lo`, `hi` clipped to it; `target` within the list (its length: behind the end).

    `prefer`: the rank of each column that reads best in a witness.
    """

    lo: Ints
    hi: Ints
    target: Ints
    certain: Bools
    prefer: Ints

    @property
    def skips(self) -> Bools:
        return np.asarray(self.target > np.arange(1, len(self.target) + 1))

    def is_plain(self, last: int) -> bool:
        """Whether every entry that skips some goes behind `last`: first match decides, there are no bypasses."""
        skipping = self.target[self.skips]
        return not bool((skipping <= last).any())

    def contains(self, points: Ints) -> Bools:
        """Points × entries: which boxes hold which points."""
        out = np.ones((len(points), len(self.lo)), dtype=bool)
        for column in range(self.lo.shape[1]):
            p = points[:, column, None]
            out &= p >= self.lo[:, column]
            out &= p <= self.hi[:, column]
        return out

    def walk(self, inside: Bools) -> Bools:
        """(entries + 1) × points: whether a packet's walk can come to the entry. `inside` is `contains(points)`."""
        count = len(self.lo)
        reached = np.zeros((count + 1, len(inside)), dtype=bool)
        reached[0] = True
        columns = inside.T
        skips = self.skips
        for n in range(count):
            if not skips[n]:
                reached[n + 1] |= reached[n]
                continue
            taken = reached[n] & columns[n]
            reached[self.target[n]] |= taken
            reached[n + 1] |= reached[n] & ~columns[n] if self.certain[n] else reached[n]
        return reached

    def packets(self, wanted: Ints, number: int, rng: np.random.Generator) -> Ints:
        """One packet from the box of each wanted entry. Round 0 takes the preferred ones."""
        lo, hi = self.lo[wanted], self.hi[wanted]
        return rng.integers(lo, hi + 1, dtype=np.int32) if number else np.clip(self.prefer, lo, hi)

    def try_packets(
        self, wanted: Ints, points: Ints, budget: Budget, met_by: list[tuple[Ints, Ints]] | None = None
    ) -> Bools:
        """Whether these packets, one from the box of each wanted entry, reach it. `met_by` receives, of those that do not, the
        wanted entry and each earlier one that holds its packet."""
        plain = self.is_plain(int(wanted.max()))
        looked = self.skips & self.certain if plain else self.skips
        if not plain:
            looked[wanted] = True
        near = np.flatnonzero(looked)
        lo, hi = self.lo[near], self.hi[near]
        target = np.searchsorted(near, self.target[near])
        reached = np.zeros(len(wanted), dtype=bool)
        chunk = max(1, min(MOST_PAIRS // max(1, len(near)), 1 + len(wanted) // CHUNKS))
        for start in range(0, len(wanted), chunk):
            some, entries = points[start : start + chunk], wanted[start : start + chunk]
            # What stands behind them all is not met on the way.
            count = int(np.searchsorted(near, entries[-1], side="right"))
            budget.spend(CALLS + len(some) * count / 16)
            rows, met = pairs(some, lo[:count], hi[:count])
            earlier = near[met] < entries[rows]
            if plain:
                hit = np.ones(len(some), dtype=bool)
                hit[rows[earlier]] = False
            else:
                who = np.arange(len(some))
                ends = np.minimum(target[:count], count)
                seen = visits(rows, met, ends, self.certain[near[:count]], who, np.zeros_like(who))
                hit = np.zeros(len(some), dtype=bool)
                hit[rows[seen & (near[met] == entries[rows])]] = True
            reached[start : start + chunk] = hit
            if met_by is not None:
                earlier &= ~hit[rows]
                met_by.append((entries[rows[earlier]], near[met[earlier]].astype(np.int32)))
        return reached

    def hole(self, entry: int, budget: Budget, used: set[int] | None = None) -> Ints | None:
        """A packet that reaches the entry, or None: proved that there is none. Raises Spent.

        `used` receives the entries that the proof stands on.
        """
        return self.hole_in(entry, self.lo[entry], self.hi[entry], budget, used)

    def hole_in(
        self, entry: int, lo: Ints, hi: Ints, budget: Budget, used: set[int] | None = None,
        only: Bools | None = None, through: int = 0,
    ) -> Ints | None:  # fmt: skip
        """The same within a smaller box. `only`: the entries that are there at all; `through`: an entry that the packet must have
        come to before."""
        plain = self.is_plain(entry)
        turning = self.skips[:entry] & self.certain[:entry] if plain else self.skips[:entry]
        if only is not None:
            turning = turning & only[:entry]
        first = np.flatnonzero(turning)
        first = first[((self.lo[first] <= hi) & (self.hi[first] >= lo)).all(axis=1)]
        stack = [(lo, hi, first)]
        while stack:
            lo, hi, near = stack.pop()
            budget.spend(STEP + len(near))
            if not plain and len(near):
                near = self._pruned(near, lo, hi, entry, through)
            if not len(near):
                return np.clip(self.prefer, lo, hi).astype(np.int32)
            nlo, nhi = self.lo[near], self.hi[near]
            covers = np.all((nlo <= lo) & (nhi >= hi), axis=1)
            if covers.any():
                shut = self._shut(near, covers, entry, plain, used, through)
                if shut:
                    continue
                if covers.all():
                    # Every entry holds all of this box or none of it: one packet stands for all.
                    if self._passes(near, entry, through):
                        return np.clip(self.prefer, lo, hi).astype(np.int32)
                    if used is not None:
                        used.update(int(n) for n in near)
                    continue
            sizes = np.minimum(nhi, hi) - np.maximum(nlo, lo) + 1
            volume = np.log(sizes).sum(axis=1)
            volume[covers] = -1.0
            best = int(volume.argmax())
            blo, bhi = np.maximum(nlo[best], lo), np.minimum(nhi[best], hi)
            inner_lo, inner_hi = lo.copy(), hi.copy()
            pieces = []
            for column in np.flatnonzero((blo > lo) | (bhi < hi)):
                if blo[column] > inner_lo[column]:
                    piece_hi = inner_hi.copy()
                    piece_hi[column] = blo[column] - 1
                    pieces.append((inner_lo.copy(), piece_hi))
                    inner_lo[column] = blo[column]
                if bhi[column] < inner_hi[column]:
                    piece_lo = inner_lo.copy()
                    piece_lo[column] = bhi[column] + 1
                    pieces.append((piece_lo, inner_hi.copy()))
                    inner_hi[column] = bhi[column]
            if plain:
                if used is not None:
                    used.add(int(near[best]))
                rest = np.delete(near, best)
                rlo, rhi = np.delete(nlo, best, 0), np.delete(nhi, best, 0)
            else:
                pieces.append((inner_lo, inner_hi))
                rest, rlo, rhi = near, nlo, nhi
            for plo, phi in pieces:
                stack.append((plo, phi, rest[((rlo <= phi) & (rhi >= plo)).all(axis=1)]))
        return None

    def _pruned(self, near: Ints, lo: Ints, hi: Ints, entry: int, through: int) -> Ints:
        """The entries without those that nobody in the box comes to, and those that lead past nothing."""
        target = self.target[near]
        keep = np.ones(len(near), dtype=bool)
        certain = np.flatnonzero(self.certain[near])
        rows = near[certain]
        for n in certain[((self.lo[rows] <= lo) & (self.hi[rows] >= hi)).all(axis=1)]:
            if not keep[n]:
                continue
            end = min(int(target[n]), entry)
            around = keep[:n] & (target[:n] > near[n]) & (target[:n] < end)
            if around.any():
                end = int(target[:n][around].min())
            keep[n + 1 : np.searchsorted(near, end)] = False
        near, target = near[keep], target[keep]
        following = np.append(near[1:], entry)
        idle = (target <= entry) & (target <= following) & ~((near < through) & (target > through))
        return near[~idle]

    def _shut(
        self, near: Ints, covers: Bools, entry: int, plain: bool, used: set[int] | None, through: int
    ) -> bool:
        """Whether an entry that covers the box turns every packet of it away from `entry`, or from `through` before it."""
        if plain:
            if used is not None:
                used.add(int(near[int(covers.argmax())]))
            return True
        target = self.target[near]
        for n in np.flatnonzero(covers & self.certain[near] & (target > entry)):
            # Whoever lands between this entry and the wanted one has gone around it.
            around = (target[:n] > near[n]) & (target[:n] <= entry)
            if not around.any():
                if used is not None:
                    used.add(int(near[n]))
                return True
        for n in np.flatnonzero(covers & self.certain[near] & (target > through) & (near < through)):
            if not ((target[:n] > near[n]) & (target[:n] <= through)).any():
                return True
        return False

    def _passes(self, near: Ints, entry: int, through: int) -> bool:
        """Whether a packet that is in every box of `near`, and in no other, can come to `through` and then to `entry`."""
        if through and not self.comes(near[near < through], 0, through):
            return False
        return self.comes(near[near >= through], through, entry)

    def comes(self, near: Ints, start: int, entry: int) -> bool:
        """Whether such a packet comes from one place to another."""
        places = {start}
        for n in near:
            behind = {p for p in places if p <= n}
            if behind:
                places = (places - behind) | {int(self.target[n])}
                if not self.certain[n]:
                    places.add(int(n) + 1)
        return any(p <= entry for p in places)
