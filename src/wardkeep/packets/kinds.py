"""Kinds of packets that fare otherwise under a new rule set: by the rule that decided about them and the one that decides now.

Of each kind one packet is shown. A change of one rule concerns as many sets of packets as exceptions stand before it; once its
kind is known, cells in which nothing else can have changed need not be looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from wardkeep.packets.flat import NOBODY, Ints

if TYPE_CHECKING:
    from wardkeep.packets.difference import Side

# What may become of the packets, before and after, and the owners of the entries that decide first.
Kind: TypeAlias = tuple[frozenset[int], frozenset[int], int, int]
MOST_PAIRS: Final = 256  # of entries that are held against the kinds that are known


def nothing_new(a: Side, b: Side, left: Ints, right: Ints, told: set[Kind]) -> bool:
    """Whether every packet of a cell that fares otherwise is of a kind that is told. `left` and `right`: the two lists there.

    True is proved; False may be too careful. Up to the first place where the lists differ both decide alike. Behind it, where
    each changed entry decides for good, whoever fares otherwise was decided about by one of them, or is now.
    """
    if not (a.flat.certain[left].all() and b.flat.certain[right].all()):
        return False
    same = _alike(a, b, left, right)
    left, right = left[same:], right[same:]
    if ((a.changed[left]) & (a.does[left] == 0)).any() or ((b.changed[right]) & (b.does[right] == 0)).any():
        return False
    left, right = left[a.does[left] != 0], right[b.does[right] != 0]
    if len(left) * len(right) > MOST_PAIRS:
        ours, theirs = left[a.changed[left]], right[b.changed[right]]
        if len(ours) * len(right) + len(left) * len(theirs) > MOST_PAIRS:
            return False
    for one in left.tolist():
        was = frozenset((int(a.does[one]),))
        for other in (right if a.changed[one] else right[b.changed[right]]).tolist():
            now = frozenset((int(b.does[other]),))
            if was != now and (was, now, a.owner(one), b.owner(other)) not in told:
                return False
    return True


def _alike(a: Side, b: Side, left: Ints, right: Ints) -> int:
    """How many entries both lists begin with that are of the same rules, hold the same packets and lead to the same places."""
    count = min(len(left), len(right))
    one, other = left[:count], right[:count]
    equal = (a.alike[one] == b.alike[other]) & (a.does[one] == b.does[other])
    equal &= (a.alike[one] != NOBODY) | ((a.flat.owner[one] == NOBODY) & (b.flat.owner[other] == NOBODY))
    equal &= (a.lo[one] == b.lo[other]).all(axis=1) & (a.hi[one] == b.hi[other]).all(axis=1)
    same = count if equal.all() else int(equal.argmin())
    to = np.searchsorted(left, a.flat.target[one[:same]]), np.searchsorted(right, b.flat.target[other[:same]])
    apart = np.minimum(to[0], same) != np.minimum(to[1], same)
    return int(np.minimum(to[0], to[1])[apart].min()) if apart.any() else same
