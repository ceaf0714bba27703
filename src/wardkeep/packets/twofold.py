"""Whether it makes a difference which way packets go at an entry of a list: both ways are followed at once.

A box is looked at with entries that hold only some of its packets taken as if they might hold or not. If the two ways cannot be told
apart even so, they are alike for the whole box; otherwise it is split around such an entry, until what differs is one packet's way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from wardkeep.packets.flat import Act, Fate, Flat, Ints
from wardkeep.packets.leaf import STEP, Budget
from wardkeep.packets.search import preferred
from wardkeep.packets.walks import Bools

NOTHING: Final = 0
LOG: Final = 1  # a line of a log, a counter
EFFECT: Final = 2  # what others may ask about later
FATE: Final = 3
VISIT: Final = 40  # work of one entry that is come to
AT_RANDOM: Final = 16
MOST_ENDS: Final = 256  # entries behind, of each of which one packet is tried
_ENDED: Final = 1 << 40  # beside places: ways that ended, by what was decided
_DECIDE: Final = (Act.ACCEPT, Act.DROP, Act.REJECT, Act.QUEUE)


@dataclass
class Met:
    """What may hang on an entry, the packet (ranks) that shows it, and the owners that decide instead."""

    level: int = NOTHING
    point: Ints | None = None
    instead: dict[int, None] = field(default_factory=dict)


@dataclass
class _Ways:
    """What two ways come to: how far they may differ, the entries on them that hold only a part, and who decides."""

    level: int
    partly: list[int]
    deciding: list[int]


class Twofold:
    """One list. By owner: `noticed`, how much it tells others that a packet came there; `details`, how it rejects."""

    def __init__(self, flat: Flat, noticed: Mapping[int, int], details: Mapping[int, int]) -> None:
        self.flat, count = flat, len(flat)
        self.prefer = preferred(flat)
        self.does = flat.fate.astype(np.int64)
        rejects = np.flatnonzero(flat.fate == Fate.REJECT)
        self.does[rejects] = [10 + details.get(owner, 0) for owner in flat.owner[rejects].tolist()]
        self.event = np.array([noticed.get(owner, NOTHING) for owner in flat.owner.tolist()], dtype=np.int64)
        self.event[np.isin(flat.act, (Act.NAT, Act.QUEUE))] = EFFECT
        self.matters = (flat.target > np.arange(1, count + 1)) | (self.does != 0) | (self.event > 0)
        self.decides = np.isin(flat.act, _DECIDE) & (flat.owner >= 0)
        self.matters |= self.decides  # to be told of
        self.rng = np.random.default_rng(20263)

    def decide(self, entry: int, least: int, budget: Budget) -> Met:
        """What may hang on an entry beyond `least`. Raises Spent."""
        flat, found = self.flat, Met(least)
        lo, hi = np.maximum(flat.lo[entry], flat.space[0]), np.minimum(flat.hi[entry], flat.space[1])
        if (lo > hi).any():
            return found
        budget.spend(STEP + 4 * len(flat) * flat.lo.shape[1])
        near = self._near(np.flatnonzero(self.matters), lo, hi)
        near = near[near != entry]
        points = self._tried(near, entry, lo, hi)
        inside = self._inside(near, points)
        budget.spend(inside.size * len(lo) / 16)
        seen = set[bytes]()
        for point, held in zip(points, inside, strict=True):
            if (key := held.tobytes()) not in seen:
                seen.add(key)
                met = near[held]
                self._look(entry, met, np.ones(len(met), dtype=bool), point, found, budget)
                if found.level == FATE:
                    return found
        stack = [(lo, hi, near)]
        while stack:
            lo, hi, near = stack.pop()
            near = self._near(near, lo, hi)
            budget.spend(STEP + len(near) * len(lo) / 4)
            covers = ((flat.lo[near] <= lo) & (flat.hi[near] >= hi)).all(axis=1)
            point = np.clip(self.prefer, lo, hi).astype(np.int32)
            partly = self._look(entry, near, covers, point, found, budget)
            if found.level == FATE:
                return found
            if partly:
                stack += self._pieces(near, partly, lo, hi)
        return found

    def _look(
        self, entry: int, near: Ints, covers: Bools, point: Ints, found: Met, budget: Budget
    ) -> list[int]:
        """Look at one box; entries to split it around, where what it would show is not certain of any of its packets."""
        before = near < entry
        budget.spend(VISIT * int(before.sum()))
        comes, partly = self._comes(near[before], covers[before], entry)
        if not comes:
            return []
        ways = self._ways(near[~before], covers[~before], entry, budget)
        level = max(int(self.event[entry]), ways.level)
        if partly or ways.partly:
            if level > found.level:
                return [*partly, *ways.partly]
            return []
        found.instead.update(dict.fromkeys(ways.deciding))
        if level > found.level:
            found.level, found.point = level, point
        return []

    def _near(self, index: Ints, lo: Ints, hi: Ints) -> Ints:
        return index[((self.flat.lo[index] <= hi) & (self.flat.hi[index] >= lo)).all(axis=1)]

    def _inside(self, index: Ints, points: Ints) -> Bools:
        """Points × entries: which hold which."""
        out = np.ones((len(points), len(index)), dtype=bool)
        for column in range(points.shape[1]):
            p = points[:, column, None]
            out &= (self.flat.lo[index, column] <= p) & (self.flat.hi[index, column] >= p)
        return out

    def _tried(self, near: Ints, entry: int, lo: Ints, hi: Ints) -> Ints:
        """Packets of the box: the one that reads best, one for each end that they may come to, and some at random."""
        flat = self.flat
        behind = near[near > entry][:MOST_ENDS]
        ends = np.clip(self.prefer, np.maximum(flat.lo[behind], lo), np.minimum(flat.hi[behind], hi))
        some = self.rng.integers(lo, hi + 1, size=(AT_RANDOM, len(lo)))
        return np.concatenate([np.clip(self.prefer, lo, hi)[None], ends, some]).astype(np.int32)

    def _comes(self, before: Ints, covers: Bools, entry: int) -> tuple[bool, list[int]]:
        """Whether packets may come to the entry, and the entries on the way that hold only some of them."""
        count = len(before)
        target = self.flat.target[before]
        places = np.searchsorted(before, target)
        places[target > entry] = count + 1
        at, partly = [True] + [False] * (count + 1), []
        sure = self.flat.certain[before] & covers
        for n, (to, certain, whole) in enumerate(
            zip(places.tolist(), sure.tolist(), covers.tolist(), strict=True)
        ):
            if at[n]:
                at[to] = True
                if not certain:
                    at[n + 1] = True
                if not whole:
                    partly.append(int(before[n]))
        return at[count], partly

    def _ways(self, near: Ints, covers: Bools, entry: int, budget: Budget) -> _Ways:
        """Both ways from the entry, side by side; the one that is behind goes on, until they meet."""
        flat, count = self.flat, len(near)
        out = _Ways(NOTHING, [], [])
        waiting: dict[int, set[int]] = {}

        def place(target: int, does: int) -> int:
            if target == len(flat):
                return _ENDED + does
            at = int(np.searchsorted(near, target))
            return at if at < count else _ENDED

        def wait(one: int, other: int) -> None:
            if one == other:
                return
            if min(one, other) >= _ENDED:
                out.level = FATE
            else:
                waiting.setdefault(min(one, other), set()).add(max(one, other))

        wait(place(int(flat.target[entry]), int(self.does[entry])), place(entry + 1, 0))
        for n in range(count):
            others = waiting.pop(n, None)
            if others is None:
                continue
            budget.spend(VISIT * len(others))
            at = int(near[n])
            out.level = max(out.level, int(self.event[at]))
            if self.decides[at]:
                out.deciding.append(int(flat.owner[at]))
            if not covers[n]:
                out.partly.append(at)
            taken = place(int(flat.target[at]), int(self.does[at]))
            passed = n + 1 if n + 1 < count else _ENDED
            for other in others:
                wait(taken, other)
                if not (covers[n] and flat.certain[at]):
                    wait(passed, other)
        return out

    def _pieces(self, near: Ints, partly: list[int], lo: Ints, hi: Ints) -> list[tuple[Ints, Ints, Ints]]:
        """The box in pieces around the entry, of those that hold a part of it, that holds most."""
        rows = np.array(partly)
        low, high = np.maximum(self.flat.lo[rows], lo), np.minimum(self.flat.hi[rows], hi)
        best = int(np.log(high - low + 1.0).sum(axis=1).argmax())
        lo, hi, made = lo.copy(), hi.copy(), []
        for column in range(len(lo)):
            if low[best, column] > lo[column]:
                edge = hi.copy()
                edge[column] = low[best, column] - 1
                made.append((lo.copy(), edge, near))
                lo[column] = low[best, column]
            if high[best, column] < hi[column]:
                edge = lo.copy()
                edge[column] = high[best, column] + 1
                made.append((edge, hi.copy(), near))
                hi[column] = high[best, column]
        made.append((lo, hi, near))
        return made
