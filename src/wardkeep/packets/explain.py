"""Why a rule is dead: every rule that takes packets from it, and a few that together take them all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from wardkeep.packets.flat import NOBODY, Flat, Ints
from wardkeep.packets.leaf import STEP, Budget, Leaf, Spent
from wardkeep.packets.search import Search, preferred
from wardkeep.packets.walks import Bools

MOST_TRIED: Final = 24  # rules of a cover that are tried one by one for being needed


@dataclass
class Reason:
    """Owners. `hidden_by`: all that take a packet the rule would match; `cover`: enough of them to hide it; `minimal`: none of
    the cover can be left out (not known where it is False)."""

    hidden_by: set[int] = field(default_factory=set)
    cover: set[int] = field(default_factory=set)
    minimal: bool = True


class Overlaps(Search):
    """Collects, for entries of dead owners, the entries before them that turn some of their packets away."""

    def __init__(self, flat: Flat, dead: Bools, budget: Budget) -> None:
        super().__init__(flat, flat.owner, dead, budget)
        self.near: dict[int, set[int]] = {}

    def cut(self, index: Ints, lo: Ints, hi: Ints) -> Ints:
        open_ = np.flatnonzero(self.wanted(index))
        return index[: open_[-1] + 1] if len(open_) else index[:0]

    def leaf(self, index: Ints, lo: Ints, hi: Ints) -> None:
        flat = self.flat
        open_ = np.flatnonzero(self.wanted(index))
        turning = np.flatnonzero(flat.target[index] > index + 1)
        llo, lhi = flat.lo[index[turning]], flat.hi[index[turning]]
        for n in open_:
            entry = int(index[n])
            self.budget.spend(STEP + len(turning))
            count = int(np.searchsorted(turning, n))
            clo, chi = np.maximum(flat.lo[entry], lo), np.minimum(flat.hi[entry], hi)
            meets = ((llo[:count] <= chi) & (lhi[:count] >= clo)).all(axis=1)
            self.near.setdefault(entry, set()).update(index[turning[:count][meets]].tolist())


def explain(flat: Flat, dead: Bools, budget: Budget, reasons: dict[int, Reason]) -> None:
    """Add to `reasons` what hides the dead owners in this world."""
    overlaps = Overlaps(flat, dead, budget)
    overlaps.run()
    prefer = preferred(flat)
    cases: dict[int, list[tuple[Leaf, int, Ints]]] = {}
    for entry, near in overlaps.near.items():
        owner = int(flat.owner[entry])
        reason = reasons.setdefault(owner, Reason())
        index = np.array([*sorted(n for n in near if flat.owner[n] != owner), entry], dtype=np.int32)
        lo, hi = flat.lo[entry], flat.hi[entry]
        target = np.searchsorted(index, flat.target[index]).astype(np.int32)
        leaf = Leaf(
            np.maximum(flat.lo[index], lo),
            np.minimum(flat.hi[index], hi),
            target,
            flat.certain[index],
            prefer,
        )
        takes = (target > len(index) - 1) & flat.certain[index] & (flat.owner[index] != NOBODY)
        takes[-1] = False  # the entry itself
        reason.hidden_by.update(flat.owner[index[takes]].tolist())
        cases.setdefault(owner, []).append((leaf, len(index) - 1, flat.owner[index]))
    for owner, found in cases.items():
        _cover(reasons[owner], found, budget)


def _cover(reason: Reason, cases: list[tuple[Leaf, int, Ints]], budget: Budget) -> None:
    """A small set of owners that hides every entry of the rule; entries of nobody are always there."""
    needed: set[int] = set()
    try:
        for leaf, entry, owners in cases:
            if leaf.is_plain(entry):
                whole = ((leaf.lo[:entry] <= leaf.lo[entry]) & (leaf.hi[:entry] >= leaf.hi[entry])).all(
                    axis=1
                )
                alone = [int(o) for o in owners[:entry][whole & leaf.certain[:entry]]]
                if alone and not any(o in needed or o == NOBODY for o in alone):
                    needed.add(alone[0])
                if alone:
                    continue
            used: set[int] = set()
            if leaf.hole(entry, budget, used) is not None:
                continue  # hidden only together with the rule's own other boxes
            needed |= {int(owners[n]) for n in used if owners[n] != NOBODY}
        if len(needed) > MOST_TRIED:
            reason.minimal = False
        elif len(needed) > 1:
            for one in sorted(needed, reverse=True):
                if all(
                    leaf.hole_in(
                        entry, leaf.lo[entry], leaf.hi[entry], budget,
                        only=np.isin(owners, [*(needed - {one}), NOBODY]),
                    ) is None
                    for leaf, entry, owners in cases
                ):  # fmt: skip
                    needed.discard(one)
    except Spent:
        reason.minimal = False
    reason.cover |= needed
