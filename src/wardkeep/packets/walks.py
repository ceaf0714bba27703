"""Many packets' walks through one list at once: pairs of a packet and an entry that holds it, and which of them a walk comes to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardkeep.packets.flat import Ints

Bools = NDArray[np.bool_]
FEW = 0.04  # of all pairs: so many are cheaper one by one than in a table of all
MOST_PAIRS = 4_000_000  # packets × entries looked at in one go: 4 MB of truth values


def pairs(points: Ints, lo: Ints, hi: Ints) -> tuple[Ints, Ints]:
    """(packet, entry) for every box that holds a packet, sorted; `points` is packets × columns, `lo` and `hi` entries × columns.

    The columns that tell most apart come first: after one or two of them few pairs are left.
    """
    if not len(points) or not len(lo):
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    columns = np.flatnonzero((lo.max(axis=0) > points.min(axis=0)) | (hi.min(axis=0) < points.max(axis=0)))
    if not len(columns):
        return np.repeat(np.arange(len(points)), len(lo)), np.tile(np.arange(len(lo)), len(points))
    width = (hi[:, columns] - lo[:, columns] + 1.0).mean(axis=0)
    size = (hi[:, columns].max(axis=0) - lo[:, columns].min(axis=0)) + 1.0
    columns = columns[np.argsort(width / size, kind="stable")]
    first = int(columns[0])
    # Those that one entry holds stand in a row when the packets are ordered by the first column.
    order = np.argsort(points[:, first], kind="stable")
    places = points[order, first]
    begin = np.searchsorted(places, lo[:, first], side="left")
    length = np.maximum(np.searchsorted(places, hi[:, first], side="right") - begin, 0)
    if length.sum() > FEW * len(points) * len(lo):
        return _in_a_table(points, lo, hi, columns.tolist())
    entries = np.repeat(np.arange(len(lo)), length)
    rows = order[np.arange(len(entries)) + np.repeat(begin - (np.cumsum(length) - length), length)]
    rows, entries = _held(points, lo, hi, columns[1:].tolist(), rows, entries)
    order = np.argsort(rows, kind="stable")
    return rows[order], entries[order]


def _in_a_table(points: Ints, lo: Ints, hi: Ints, columns: list[int]) -> tuple[Ints, Ints]:
    """The same by a table of all packets and entries, as long as many are left."""
    held = np.ones((len(points), len(lo)), dtype=bool)
    done = 0
    for column in columns:
        done += 1
        p = points[:, column, None]
        held &= p >= lo[:, column]
        held &= p <= hi[:, column]
        if np.count_nonzero(held) < held.size * FEW:
            break
    rows, entries = np.divmod(np.flatnonzero(held), len(lo))
    return _held(points, lo, hi, columns[done:], rows, entries)


def _held(
    points: Ints, lo: Ints, hi: Ints, columns: list[int], rows: Ints, entries: Ints
) -> tuple[Ints, Ints]:
    """Of some pairs those that hold in these columns, too."""
    for column in columns:
        p = points[rows, column]
        held = (p >= lo[entries, column]) & (p <= hi[entries, column])
        rows, entries = rows[held], entries[held]
    return rows, entries


def visits(rows: Ints, entries: Ints, target: Ints, certain: Bools, who: Ints, start: Ints) -> Bools:
    """Which of the sorted pairs the packets `who` may come to, each from its place `start`.

    At a pair a packet goes on at the entry's target; where the entry is not certain it also goes on behind it.
    """
    width = len(target) + 1
    keys = rows.astype(np.int64) * width + entries
    seen = np.zeros(len(keys), dtype=bool)
    who, place = np.asarray(who, dtype=np.int64), np.asarray(start, dtype=np.int64)
    while len(who):
        at = np.searchsorted(keys, who * width + np.minimum(place, width - 1))
        held = at < len(keys)
        at, who = at[held], who[held]
        at = at[rows[at] == who]
        at = np.unique(at[~seen[at]])  # two ways of one packet may meet
        seen[at] = True
        entry, who = entries[at], rows[at].astype(np.int64)
        place = target[entry].astype(np.int64)
        fork = ~certain[entry] & (place > entry + 1)
        if fork.any():
            place = np.concatenate([place, entry[fork] + 1])
            who = np.concatenate([who, who[fork]])
    return seen
