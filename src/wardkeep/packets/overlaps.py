"""Which boxes of a list share packets with some others: without a look at every pair.

In each column the boxes are told apart by how wide they are, to a power of two, and ordered by where they begin: those of one width
that meet a range stand in a row. For each box asked about, the column that leaves the fewest is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wardkeep.packets.flat import Ints
from wardkeep.packets.walks import MOST_PAIRS


@dataclass(frozen=True)
class _Row:
    """Boxes of about one width in one column: their numbers, where they begin in ascending order, and the widest of them."""

    number: Ints
    begin: Ints
    widest: int

    def meeting(self, lo: Ints, hi: Ints) -> tuple[Ints, Ints]:
        """For each range the part of the row (first, behind the last) in which all boxes are that meet it, and few others."""
        first = np.searchsorted(self.begin, lo - (self.widest - 1), side="left")
        return first, np.searchsorted(self.begin, hi, side="right")


class Overlapping:
    """`lo` and `hi` (n × columns): the boxes that are looked for. None is empty."""

    def __init__(self, lo: Ints, hi: Ints) -> None:
        self.lo, self.hi = lo.astype(np.int64), hi.astype(np.int64)
        self._rows: list[list[_Row]] = []  # of each column
        for column in range(lo.shape[1] if len(lo) else 0):
            begin, width = self.lo[:, column], self.hi[:, column] - self.lo[:, column] + 1
            if (begin == begin[0]).all() and (width == width[0]).all():
                rows = [_Row(np.arange(len(lo)), begin, int(width[0]))]
            else:
                kind = np.frexp(width - 0.5)[1]
                rows = []
                for one in np.unique(kind):
                    number = np.flatnonzero(kind == one)
                    number = number[np.argsort(begin[number], kind="stable")]
                    rows.append(_Row(number, begin[number], int(width[number].max())))
            self._rows.append(rows)

    def pairs(self, lo: Ints, hi: Ints) -> Iterator[tuple[Ints, Ints]]:
        """(box asked about, box) for all that share something, in order of the first and then of the second; in portions."""
        if not len(lo) or not len(self.lo):
            return
        lo, hi = lo.astype(np.int64), hi.astype(np.int64)
        counts = np.array([self._count(c, lo[:, c], hi[:, c]) for c in range(len(self._rows))])
        chosen = counts.argmin(axis=0)
        many = np.cumsum(counts.min(axis=0)) // MOST_PAIRS
        starts = np.flatnonzero(np.diff(many, prepend=-1))
        for start, end in zip(starts, [*starts[1:], len(lo)], strict=True):
            asked, found = [], []
            for column in np.unique(chosen[start:end]).tolist():
                who = start + np.flatnonzero(chosen[start:end] == column)
                for row in self._rows[column]:
                    first, behind = row.meeting(lo[who, column], hi[who, column])
                    length = np.maximum(behind - first, 0)
                    total = int(length.sum())
                    at = np.arange(total) + np.repeat(first - (np.cumsum(length) - length), length)
                    one, other = np.repeat(who, length), row.number[at]
                    for each in range(len(self._rows)):
                        held = (self.lo[other, each] <= hi[one, each]) & (
                            self.hi[other, each] >= lo[one, each]
                        )
                        one, other = one[held], other[held]
                    asked.append(one)
                    found.append(other)
            ones, others = np.concatenate(asked), np.concatenate(found)
            order = np.lexsort((others, ones))
            yield ones[order], others[order]

    def _count(self, column: int, lo: Ints, hi: Ints) -> Ints:
        out = np.zeros(len(lo), dtype=np.int64)
        for row in self._rows[column]:
            first, behind = row.meeting(lo, hi)
            out += np.maximum(behind - first, 0)
        return out
