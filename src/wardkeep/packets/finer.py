"""A flat list in finer ranks: what a program was unfolded to, for questions that tell more values apart, without unfolding it anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from wardkeep.packets.conditions import Columns
from wardkeep.packets.flat import Flat, Ints
from wardkeep.packets.ranks import ClassRanks, RangeRanks, Ranks


def finer(flat: Flat, ranks: Mapping[str, Ranks]) -> Flat | None:
    """The list in the ranks of the same program with questions beside it: what unfolding it with them gives.

    None where that is not so simple: something is vague, or a range of classes is none any more among more classes. For the layer
    IP only.
    """
    columns = Columns(ranks)
    if flat.vague:
        return None
    for name, _, times in (name.partition("'") for name in flat.columns.names if "'" in name):
        columns.rewritten(name, int(times))
    if any(one.vague for one in (*ranks.values(), *flat.columns.ranks.values())):
        return None
    sizes = np.array([columns.ranks_of(name).size for name in columns.names], dtype=np.int32)
    lo = np.zeros((len(flat), len(sizes)), dtype=np.int32)
    hi = np.tile(sizes - 1, (len(flat), 1))
    space = np.stack([np.zeros_like(sizes), sizes - 1])
    for name, absent in (("in", flat.route == "output"), ("out", flat.route == "input")):
        if name in columns.index and not absent:
            space[0, columns.index[name]] = 1  # rank 0 is "": no interface at all
    if "fragment" in columns.index:
        space[1, columns.index["fragment"]] = 0
    for name, at in flat.columns.index.items():
        to = columns.index.get(name)
        if to is None:
            return None
        found = _moved(
            flat.columns.ranks_of(name),
            columns.ranks_of(name),
            np.append(flat.lo[:, at], flat.space[0, at]),
            np.append(flat.hi[:, at], flat.space[1, at]),
        )
        if found is None:
            return None
        (lo[:, to], hi[:, to]), space[:, to] = (one[:-1] for one in found), [one[-1] for one in found]
    return replace(flat, columns=columns, lo=lo, hi=hi, space=space)


def _moved(coarse: Ranks, fine: Ranks, lo: Ints, hi: Ints) -> tuple[Ints, Ints] | None:
    """The ends of ranges in finer ranks."""
    if isinstance(coarse, RangeRanks) and isinstance(fine, RangeRanks):
        if coarse.size == fine.size:
            return lo, hi
        ends = [coarse.bounds(n) for n in range(coarse.size)]
        low = np.array([fine.rank_of(one[0]) for one in ends], dtype=np.int32)
        high = np.array([fine.rank_of(one[1]) for one in ends], dtype=np.int32)
        return low[lo], high[hi]
    if not isinstance(coarse, ClassRanks) or not isinstance(fine, ClassRanks):
        return None
    if [coarse.value(n) for n in range(coarse.size)] == [fine.value(n) for n in range(fine.size)]:
        return lo, hi
    kinds = np.array([coarse.rank_of(fine.value(n)) for n in range(fine.size)])
    pairs, which = np.unique(lo.astype(np.int64) * coarse.size + hi, return_inverse=True)
    ends = []
    for pair in pairs.tolist():
        held = np.flatnonzero((kinds >= pair // coarse.size) & (kinds <= pair % coarse.size))
        if not len(held) or held[-1] - held[0] + 1 != len(held):
            return None
        ends.append((int(held[0]), int(held[-1])))
    told = np.array(ends, dtype=np.int32)[which.reshape(-1)]
    return told[:, 0], told[:, 1]
