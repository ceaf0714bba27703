"""Whether packets of a box come to wanted entries of a list: exactly, for many boxes and entries at once.

Boxes are split until every entry holds all of a box or none of it. In a box, each entry holds all packets, some or none; the walk
is followed with all three at once, so that it comes to every place that some packet of the box may come to. Where it does not come
to a wanted entry, the box is closed; where no entry on the way holds only some of the packets, one packet stands for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from wardkeep.packets.flat import Ints
from wardkeep.packets.leaf import CALLS, Budget, Leaf
from wardkeep.packets.walks import Bools

WIDTH: Final = 256  # boxes looked at in one go


@dataclass(frozen=True)
class Problems:
    """Questions about one list: is there a packet of box `lo`, `hi` (k × columns) that comes to an entry of `goals`?

    `goals`: k × entries. `out`: k × entries that are taken to be absent, or None. `through`: k places that the packet must have come
    to before (0: the beginning). `group`: questions with one number are one question, answered by any of them.
    """

    lo: Ints
    hi: Ints
    goals: Bools
    group: Ints
    out: Bools | None = None
    through: Ints | None = None


@dataclass
class _Boxes:
    """Open boxes, the question each belongs to, and the entries that may matter to any of them."""

    who: Ints
    lo: Ints
    hi: Ints
    near: Bools

    def beside(self, other: _Boxes) -> _Boxes:
        """Both."""
        return _Boxes(
            np.concatenate([other.who, self.who]),
            np.concatenate([other.lo, self.lo]),
            np.concatenate([other.hi, self.hi]),
            other.near | self.near,
        )

    def only(self, which: Bools) -> _Boxes:
        """Some of them."""
        if which.all():
            return self
        return _Boxes(self.who[which], self.lo[which], self.hi[which], self.near)

    def parts(self) -> Iterator[_Boxes]:
        for start in range(0, len(self.who), WIDTH):
            one = slice(start, start + WIDTH)
            yield _Boxes(self.who[one], self.lo[one], self.hi[one], self.near)


def holes(leaf: Leaf, asked: Problems, budget: Budget) -> Iterator[tuple[int, Ints]]:
    """(question, packet) for every group of questions that has one; for all others it is proved that there is none.

    Raises Spent, after what was found until then was given.
    """
    some = np.flatnonzero(asked.goals.any(axis=0))
    if not len(some):
        return
    near = leaf.skips
    near[some] = True
    near[int(some[-1]) + 1 :] = False
    if asked.through is not None:
        near[asked.through] = True
    solved = np.zeros(int(asked.group.max()) + 1, dtype=bool)
    stack = list(_Boxes(np.arange(len(asked.lo)), asked.lo, asked.hi, near).parts())
    while stack:
        boxes = stack.pop()
        while stack and len(boxes.who) + len(stack[-1].who) <= WIDTH:
            boxes = boxes.beside(stack.pop())
        boxes = boxes.only(~solved[asked.group[boxes.who]])
        if not len(boxes.who):
            continue
        look = _Look(leaf, asked, boxes, budget)
        for at in look.found.tolist():
            question = int(boxes.who[at])
            if not solved[asked.group[question]]:
                solved[asked.group[question]] = True
                yield question, np.clip(leaf.prefer, boxes.lo[at], boxes.hi[at]).astype(np.int32)
        stack += look.pieces()


class _Look:
    """One look at up to WIDTH boxes: which have an answer (`found`), and which must be split. Tables are entries × boxes."""

    def __init__(self, leaf: Leaf, asked: Problems, boxes: _Boxes, budget: Budget) -> None:
        self.boxes = boxes
        self.near = near = np.flatnonzero(boxes.near)
        self.lo, self.hi = leaf.lo[near], leaf.hi[near]
        self.target = np.searchsorted(near, leaf.target[near])
        self.skips, self.certain = leaf.skips[near], leaf.certain[near]
        via = None if asked.through is None else asked.through[boxes.who]
        self.via = None if via is None else np.where(via > 0, np.searchsorted(near, via), -1)
        inside, covers = self.overlap()
        if asked.out is not None:
            inside &= ~asked.out[np.ix_(boxes.who, near)].T
        budget.spend(CALLS + 64 * len(near) + 2 * inside.size)
        covers &= inside
        if via is None:
            # What holds no packet of any box turns nobody away and is nobody's goal.
            kept = np.flatnonzero(inside.any(axis=1))
            if 0 < len(kept) < len(near):
                self.near = near = near[kept]
                self.lo, self.hi, inside, covers = self.lo[kept], self.hi[kept], inside[kept], covers[kept]
                self.target = np.searchsorted(near, leaf.target[near])
                self.skips, self.certain = self.skips[kept], self.certain[kept]
        self.goals = asked.goals[np.ix_(boxes.who, near)].T
        met = inside & self.reached(inside, covers)
        wanted = met & self.goals
        open_ = wanted.any(axis=0)
        # Behind the last goal nothing matters; nor does what leads past nothing that matters. But what keeps packets from a later
        # goal, or makes something idle, is still needed in the pieces of the box.
        places = np.arange(len(near), dtype=np.int32)[:, None]
        self.first, last = wanted.argmax(axis=0), len(near) - 1 - wanted[::-1].argmax(axis=0)
        self.needed = met & open_ & (places <= len(near) - 1 - (inside & self.goals)[::-1].argmax(axis=0))
        self.last = int(last.max())
        matters = self.needed & (places <= last)
        self.partial = matters & ~covers & ~self.idle(matters)
        self.split = self.partial.any(axis=0)
        self.found = np.flatnonzero(open_ & ~self.split)

    def overlap(self) -> tuple[Bools, Bools]:
        """Which entries hold some of the packets of which boxes, and which hold them all."""
        blo, bhi = self.boxes.lo, self.boxes.hi
        inside = np.ones((len(self.near), len(blo)), dtype=bool)
        covers = np.ones_like(inside)
        narrow = (self.lo.max(axis=0) > blo.min(axis=0)) | (self.hi.min(axis=0) < bhi.max(axis=0))
        self.columns = np.flatnonzero(narrow)
        for column in self.columns:
            low, high = self.lo[:, column, None], self.hi[:, column, None]
            least, most = blo[:, column], bhi[:, column]
            inside &= low <= most
            inside &= high >= least
            covers &= low <= least
            covers &= high >= most
        return inside, covers

    def reached(self, inside: Bools, covers: Bools) -> Bools:
        """The places that some packet of the box may come to; behind the one it must come through, only by way of that."""
        # One whole number for each entry, with a bit for each box: three to four times as fast as arrays of truth values.
        count, boxes = inside.shape
        size = (boxes + 7) // 8
        whole = (1 << 8 * size) - 1
        within = [int.from_bytes(row.tobytes()) for row in np.packbits(inside, axis=1)]
        turned = [int.from_bytes(row.tobytes()) for row in np.packbits(covers, axis=1)]
        passed = self._passed(whole, 8 * size - 1)
        out = [whole] + [0] * count
        for n, (target, skips, certain) in enumerate(
            zip(self.target.tolist(), self.skips.tolist(), self.certain.tolist(), strict=True)
        ):
            here = out[n]
            if not skips:
                out[n + 1] |= here
                continue
            out[n + 1] |= here & ~turned[n] if certain else here
            taken = here & within[n]
            if passed is not None:  # whoever leads past the place, does not come through it
                taken &= passed[n] | (whole ^ passed[target - 1])
            out[target] |= taken
        held = np.frombuffer(b"".join(one.to_bytes(size) for one in out[:count]), dtype=np.uint8)
        return np.unpackbits(held.reshape(count, size), axis=1, count=boxes).astype(bool)

    def _passed(self, whole: int, top: int) -> list[int] | None:
        """Entry → the boxes whose place stands there or before; None: none has a place."""
        if self.via is None:
            return None
        out = [0] * (len(self.near) + 1)
        begun = 0
        for box, place in enumerate(self.via.tolist()):
            if place < 0:
                begun |= 1 << (top - box)
            else:
                out[place] |= 1 << (top - box)
        for n, held in enumerate(out):
            begun |= held
            out[n] = begun
        return out

    def idle(self, matters: Bools) -> Bools:
        """Entries that lead their packets past nothing that matters."""
        count = len(self.near)
        places = np.arange(count, dtype=np.int32)[:, None]
        shown = np.where(matters, places, np.int32(count))
        if self.via is not None:
            rows = np.flatnonzero(self.via >= 0)
            shown[self.via[rows], rows] = self.via[rows]
        following = np.full_like(shown, count)
        following[:-1] = np.minimum.accumulate(shown[:0:-1], axis=0)[::-1]
        return np.asarray((self.target[:, None] <= following) & ~self.goals)

    def pieces(self) -> list[_Boxes]:
        """The boxes that must be split, each around the entry that shares most with it."""
        rows = np.flatnonzero(self.split)
        if not len(rows):
            return []
        entry = self.largest(rows)
        boxes, columns = self.boxes, self.columns
        near = boxes.near.copy()
        near[self.near[~self.needed.any(axis=1)]] = False
        if self.via is not None:
            near[self.near[self.via[self.via >= 0]]] = True
        lo, hi, who = boxes.lo[rows], boxes.hi[rows], boxes.who[rows]
        made: list[tuple[Ints, Ints, Ints]] = []
        for column in columns:
            for side in (0, 1):
                cut = self.lo[entry, column] if side == 0 else self.hi[entry, column]
                some = np.flatnonzero(cut > lo[:, column] if side == 0 else cut < hi[:, column])
                if len(some):
                    plo, phi = lo[some], hi[some]
                    if side == 0:
                        phi[:, column] = cut[some] - 1
                        lo[some, column] = cut[some]
                    else:
                        plo[:, column] = cut[some] + 1
                        hi[some, column] = cut[some]
                    made.append((who[some], plo, phi))
        # Where nobody goes around the entry that the box was split at, what it holds is turned away.
        shut = np.zeros(len(rows), dtype=bool)
        if not (self.target[self.skips] <= self.last).any():
            shut = self.skips[entry] & self.certain[entry] & (entry < self.first[rows])
        made.append((who[~shut], lo[~shut], hi[~shut]))
        whos, los, his = zip(*made, strict=True)
        whole = _Boxes(np.concatenate(whos), np.concatenate(los), np.concatenate(his), near)
        return list(whole.parts())

    def largest(self, rows: Ints) -> Ints:
        """For each of the boxes the entry, of those that hold only a part of it, that holds most."""
        boxes, entries = np.nonzero(self.partial[:, rows].T)
        low = np.maximum(
            self.lo[entries][:, self.columns], boxes_of(self.boxes.lo, rows, boxes, self.columns)
        )
        high = np.minimum(
            self.hi[entries][:, self.columns], boxes_of(self.boxes.hi, rows, boxes, self.columns)
        )
        volume = np.log(high - low + 1.0).sum(axis=1)
        order = np.lexsort((-volume, boxes))
        first = np.flatnonzero(np.diff(boxes[order], prepend=-1))
        return np.asarray(entries[order[first]])


def boxes_of(side: Ints, rows: Ints, boxes: Ints, columns: Ints) -> Ints:
    """The columns of one side of some boxes, one line for each pair."""
    return np.asarray(side[rows[boxes]][:, columns])
