"""Why a rule is dead: every rule that takes packets from it, and a few that together take them all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from wardkeep.packets.flat import NOBODY, Flat, Ints
from wardkeep.packets.leaf import CALLS, Budget, Leaf, Spent
from wardkeep.packets.parts import Copies
from wardkeep.packets.search import preferred
from wardkeep.packets.walks import FEW, MOST_PAIRS, Bools

MOST_TRIED: Final = 24  # rules of a cover that are tried one by one for being needed
MOST_TOLD: Final = 20_000_000  # pairs of a dead rule and one that hides it, of one world: 250 MB
PAIR: Final = 16  # work for each of them


@dataclass
class Reason:
    """Owners. `hidden_by`: all that take a packet the rule would match; `cover`: enough of them to hide it; `minimal`: none of
    the cover can be left out (not known where it is False). `partial`: the work was spent before all that hide it were found, and
    what was found need not be a cover."""

    hidden_by: list[Ints] = field(default_factory=list)
    cover: set[int] = field(default_factory=set)
    minimal: bool = True
    partial: bool = False

    def hiding(self) -> list[int]:
        """`hidden_by` in order, each once."""
        if not self.hidden_by:
            return []
        found = np.sort(np.concatenate(self.hidden_by))
        return found[np.diff(found, prepend=-1) > 0].tolist()  # type: ignore[no-any-return]


def explain(flat: Flat, dead: Bools, budget: Budget, reasons: dict[int, Reason]) -> None:
    """Add to `reasons` what hides the dead owners in this world: in each copy of a rule, of what leads there alone."""
    if len(flat.starts) == len(flat.stops):
        _explain(flat, np.ones(len(flat), dtype=bool), dead, budget, reasons)
        return
    copies = Copies(flat, flat.starts)
    for copy in np.unique(copies.of[np.append(dead, False)[flat.owner]]).tolist():
        part = copies.to(copy)
        _explain(part.flat, part.own, dead, budget, reasons)


def _explain(flat: Flat, own: Bools, dead: Bools, budget: Budget, reasons: dict[int, Reason]) -> None:
    prefer = preferred(flat)
    cases: list[tuple[Leaf, int, Ints]] = []
    before, told = NOBODY, 0
    for entry, near in _before(flat, own, dead, budget):
        owner = int(flat.owner[entry])
        if owner != before and cases:
            _cover(reasons[before], cases, budget)
            cases = []
        before, reason = owner, reasons.setdefault(owner, Reason())
        told += 0 if near is None else len(near)
        if near is None or told > MOST_TOLD or reason.partial:
            reason.partial = True
            continue
        near = near[flat.owner[near] != owner]
        index = np.append(near, entry)
        owners, certain = flat.owner[index], flat.certain[index]
        target = np.searchsorted(index, flat.target[index]).astype(np.int32)
        takes = (target > len(near)) & certain & (owners != NOBODY)
        takes[-1] = False  # the entry itself
        reason.hidden_by.append(owners[takes])
        lo, hi = flat.lo[entry], flat.hi[entry]
        leaf = Leaf(np.maximum(flat.lo[index], lo), np.minimum(flat.hi[index], hi), target, certain, prefer)
        cases.append((leaf, len(near), owners))
    if cases:
        _cover(reasons[before], cases, budget)


def _before(flat: Flat, own: Bools, dead: Bools, budget: Budget) -> Iterator[tuple[int, Ints | None]]:
    """Each entry of a dead owner, those of one owner in a row, with the entries before it that turn some of its packets away; None:
    the work was spent."""
    lo, hi = flat.space
    entries = np.flatnonzero(
        ((flat.lo <= hi) & (flat.hi >= lo)).all(axis=1) & own & np.append(dead, False)[flat.owner]
    )
    entries = entries[np.argsort(flat.owner[entries], kind="stable")]
    turning = np.flatnonzero(flat.target > np.arange(1, len(flat) + 1))
    columns = np.flatnonzero((flat.lo[turning] > lo).any(axis=0) | (flat.hi[turning] < hi).any(axis=0))
    llo, lhi = (np.ascontiguousarray(side[turning][:, columns].T) for side in (flat.lo, flat.hi))
    # What is narrowest on the whole tells most apart.
    width = (lhi - llo + 1.0).sum(axis=1) / (hi - lo + 1.0)[columns]
    order = np.argsort(width, kind="stable").tolist()
    chunk = max(1, MOST_PAIRS // max(1, len(turning)))
    for start in range(0, len(entries), chunk):
        some = entries[start : start + chunk]
        count = int(np.searchsorted(turning, some.max()))
        try:
            budget.spend(CALLS + len(some) * count / 4)
            clo, chi = np.maximum(flat.lo[some], lo)[:, columns], np.minimum(flat.hi[some], hi)[:, columns]
            meets = turning[:count] < some[:, None]
            done = 0
            for n in order:
                done += 1
                meets &= llo[n, :count] <= chi[:, n, None]
                meets &= lhi[n, :count] >= clo[:, n, None]
                if np.count_nonzero(meets) < FEW * meets.size:
                    break
            rows, near = np.divmod(np.flatnonzero(meets), max(1, count))
            for n in order[done:]:
                held = (llo[n, near] <= chi[rows, n]) & (lhi[n, near] >= clo[rows, n])
                rows, near = rows[held], near[held]
            budget.spend(PAIR * len(rows))
        except Spent:
            yield from ((entry, None) for entry in entries[start:].tolist())
            return
        ends = np.searchsorted(rows, np.arange(len(some) + 1)).tolist()
        for place, entry in enumerate(some.tolist()):
            yield entry, turning[near[ends[place] : ends[place + 1]]]


def _cover(reason: Reason, cases: list[tuple[Leaf, int, Ints]], budget: Budget) -> None:
    """A small set of owners that hides every entry of the rule; entries of nobody are always there."""
    needed: set[int] = set()
    try:
        for leaf, entry, owners in cases:
            if leaf.is_plain(entry):
                whole = ((leaf.lo[:entry] <= leaf.lo[entry]) & (leaf.hi[:entry] >= leaf.hi[entry])).all(
                    axis=1
                )
                alone = [int(o) for o in owners[:entry][whole & leaf.certain[:entry] & leaf.skips[:entry]]]
                if alone and not any(o in needed or o == NOBODY for o in alone):
                    needed.add(alone[0])
                if alone:
                    continue
            used: set[int] = set()
            if leaf.hole(entry, budget, used) is not None:
                continue  # hidden only together with the rule's own other boxes
            needed |= {int(owners[n]) for n in used if owners[n] != NOBODY}
    except Spent:
        reason.partial = True
        return
    try:
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
