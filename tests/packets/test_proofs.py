"""Whether packets of a box come to wanted entries: random lists, against every packet's own walk."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from wardkeep.packets.leaf import Budget, Leaf, Spent
from wardkeep.packets.proofs import Problems, holes
from wardkeep.packets.walks import pairs, visits

SIZE = 4  # values in a column


def make(seed: int) -> tuple[np.random.Generator, Leaf]:
    """A list of up to 14 boxes in three columns, with jumps forward, some of them by luck."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 15))
    ends = np.sort(rng.integers(0, SIZE, (2, count, 3)), axis=0).astype(np.int32)
    wide = rng.random((count, 3)) < 0.4
    lo, hi = np.where(wide, 0, ends[0]).astype(np.int32), np.where(wide, SIZE - 1, ends[1]).astype(np.int32)
    target = np.array([int(rng.integers(n + 1, count + 1)) for n in range(count)])
    target[rng.random(count) < 0.4] = count
    prefer = np.zeros(3, dtype=np.int32)
    return rng, Leaf(lo, hi, target.astype(np.int32), rng.random(count) < 0.85, prefer)


def comes(leaf: Leaf, point: tuple[int, ...], absent: set[int], start: int) -> set[int]:
    """The entries that hold the packet and that it may come to, from a place on."""
    places, met = {start}, set()
    for n in range(start, len(leaf.lo)):
        if n not in places:
            continue
        held = n not in absent and all(leaf.lo[n][c] <= v <= leaf.hi[n][c] for c, v in enumerate(point))
        if held:
            met.add(n)
            places.add(int(leaf.target[n]))
        if not held or not leaf.certain[n]:
            places.add(n + 1)
    return met


def hits(leaf: Leaf, point: tuple[int, ...], absent: set[int], wanted: set[int], via: int) -> bool:
    """Whether the packet comes to the place and from there to a wanted entry."""
    if via and via not in comes(leaf, point, absent, 0):
        return False
    return bool(comes(leaf, point, absent, via) & wanted)


def everything(lo: np.ndarray, hi: np.ndarray) -> list[tuple[int, ...]]:  # type: ignore[type-arg]
    return list(product(*(range(int(a), int(b) + 1) for a, b in zip(lo, hi, strict=True))))


def test_every_answer_is_that_of_all_packets() -> None:
    seen = {True: 0, False: 0}
    for seed in range(400):
        rng, leaf = make(seed)
        count, k = len(leaf.lo), 6
        through = rng.integers(0, count, k)
        if seed % 2:
            through[:] = 0
        lo, hi = leaf.lo[through].copy(), leaf.hi[through].copy()
        lo[through == 0], hi[through == 0] = 0, SIZE - 1
        goals = (rng.random((k, count)) < 0.25) & (np.arange(count) > through[:, None])
        out = (rng.random((k, count)) < 0.15) & ~goals & (np.arange(count) != through[:, None])
        asked = Problems(lo, hi, goals, np.arange(k), out, through)
        found = dict(holes(leaf, asked, Budget(1e9)))
        for n in range(k):
            absent = set(np.flatnonzero(out[n]).tolist())
            wanted = set(np.flatnonzero(goals[n]).tolist())
            via = int(through[n])

            some = any(hits(leaf, point, absent, wanted, via) for point in everything(lo[n], hi[n]))
            assert (n in found) == some, (seed, n)
            seen[some] += 1
            if n in found:
                assert hits(leaf, tuple(found[n].tolist()), absent, wanted, via), (seed, n)
                assert (found[n] >= lo[n]).all()
                assert (found[n] <= hi[n]).all()
    assert min(seen.values()) > 300


def test_questions_of_one_group_are_answered_once() -> None:
    _, leaf = make(1)
    count = len(leaf.lo)
    goals = np.zeros((3, count), dtype=bool)
    goals[:, 0] = True
    lo, hi = np.zeros((3, 3), dtype=np.int32), np.full((3, 3), SIZE - 1, dtype=np.int32)
    assert len(list(holes(leaf, Problems(lo, hi, goals, np.zeros(3, dtype=int)), Budget(1e9)))) == 1


def test_a_spent_budget_is_said() -> None:
    _, leaf = make(3)
    goals = np.ones((1, len(leaf.lo)), dtype=bool)
    lo, hi = np.zeros((1, 3), dtype=np.int32), np.full((1, 3), SIZE - 1, dtype=np.int32)
    with pytest.raises(Spent):
        list(holes(leaf, Problems(lo, hi, goals, np.zeros(1, dtype=int)), Budget(3)))


def test_walks_of_many_packets_are_each_ones_own() -> None:
    for seed in range(200):
        rng, leaf = make(seed)
        points = rng.integers(0, SIZE, (30, 3), dtype=np.int32)
        start = rng.integers(0, len(leaf.lo), 30)
        rows, entries = pairs(points, leaf.lo, leaf.hi)
        met = visits(rows, entries, leaf.target, leaf.certain, np.arange(30), start)
        for n, point in enumerate(points):
            told = set(entries[met & (rows == n)].tolist())
            assert told == comes(leaf, tuple(point.tolist()), set(), int(start[n])), (seed, n)
