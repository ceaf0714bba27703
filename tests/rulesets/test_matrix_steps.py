"""The matrix' short cuts change no answer: neighbours joined, classes of ranks, and bits followed say what each pair says by itself."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from wardkeep.packets.flat import Fate
from wardkeep.rulesets.audit import matrix
from wardkeep.rulesets.audit.steps import Ranges, Steps, classes, merged

FATES = (Fate.OPEN, Fate.ACCEPT, Fate.DROP)
WIDE, ACROSS, LINKS = 9, 11, 3  # ranks of sources, of ends, and pairs of interfaces
Told = list[list[int]]


def ranges(rng: random.Random, top: int) -> Ranges:
    """Up to three ranges, some of which overlap or touch."""
    found = []
    for _ in range(rng.randint(1, 3) if rng.random() < 0.4 else 1):
        low = rng.randrange(top)
        found.append((low, rng.randrange(low, min(top, low + 4))))
    return frozenset({(0, top - 1)}) if rng.random() < 0.2 else frozenset(found)


def steps(seed: int) -> tuple[Steps, np.ndarray[tuple[int, int], np.dtype[np.bool_]]]:
    """A random list with runs of entries that do the same, jumps into them, and uncertain entries; entries × links."""
    rng = random.Random(seed)
    count = rng.randint(2, 12)
    onward: list[int] = []
    certain: list[bool] = []
    does: list[tuple[int, int]] = []
    sources, ends = [ranges(rng, WIDE) for _ in range(count)], [ranges(rng, ACROSS) for _ in range(count)]
    links = [[rng.random() < 0.8 for _ in range(LINKS)] for _ in range(2)]
    for n in range(count):
        if n and rng.random() < 0.6 and onward[-1] > n + 1:
            onward.append(onward[-1])
            certain.append(certain[-1])
            does.append(does[-1])
            same = sources if rng.random() < 0.5 else ends
            same[n] = same[n - 1]
        else:
            onward.append(rng.randint(n + 1, count))
            certain.append(rng.random() < 0.8)
            does.append((int(rng.choice(FATES)), rng.randrange(2)))
    return Steps(sources, ends, onward, certain, does), np.array([links[one[1]] for one in does])


def holds(held: Ranges, rank: int) -> bool:
    return any(low <= rank <= high for low, high in held)


def plainly(one: Steps, links: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> Told:
    """Each pair of a source and an end by itself, over all links."""
    told = [[0] * ACROSS for _ in range(WIDE)]
    for source, end in np.ndindex(WIDE, ACROSS):
        some = none = False
        for link in range(LINKS):
            places = {0}
            for n in range(len(one.onward)):
                if n not in places:
                    continue
                inside = links[n, link] and holds(one.sources[n], source) and holds(one.ends[n], end)
                if not inside or not one.certain[n]:
                    places.add(n + 1)
                if inside:
                    places.add(one.onward[n])
                    some |= one.does[n][0] == Fate.ACCEPT  # type: ignore[index]
                    none |= one.does[n][0] == Fate.DROP  # type: ignore[index]
        told[source][end] = (matrix.DEPENDS if none else matrix.OPEN) if some else matrix.CLOSED
    return told


def by_classes(one: Steps, links: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> tuple[Told, int]:
    """The same by way of what the matrix does; and how many entries were joined away."""
    fewer, first = merged(one)
    sources, ends = classes(fewer.sources, range(WIDE)), classes(fewer.ends, range(ACROSS))
    rows, columns, cells = matrix._table(fewer, links[first], sources, ends)
    told = [
        [int(cells[rows[sources.number[s]]][columns[ends.number[e]]]) for e in range(ACROSS)]
        for s in range(WIDE)
    ]
    return told, len(one.onward) - len(first)


def compare(seed: int) -> int:
    one, links = steps(seed)
    told, joined = by_classes(one, links)
    assert told == plainly(one, links), seed
    return joined


def test_joined_neighbours_and_classes_change_no_fate() -> None:
    assert sum(compare(seed) for seed in range(300)) > 60


def test_a_wrong_join_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were entries taken to lead further than they do, the comparison would tell."""

    def careless(one: Steps) -> tuple[Steps, list[int]]:
        onward = [to if n % 3 else max(to, min(n + 3, len(one.onward))) for n, to in enumerate(one.onward)]
        return joining(replace(one, onward=onward))

    joining = merged
    monkeypatch.setitem(globals(), "merged", careless)
    with pytest.raises(AssertionError):
        compare_all()


def compare_all() -> None:
    for seed in range(50):
        compare(seed)


def test_ranks_of_one_class_are_in_the_same_sets() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        sets = [ranges(rng, WIDE) for _ in range(rng.randint(1, 6))]
        ranks = sorted(rng.sample(range(WIDE), rng.randint(1, WIDE)))
        found = classes(sets, ranks)
        kinds = {rank: tuple(holds(one, rank) for one in sets) for rank in ranks}
        for rank, number in zip(ranks, found.number, strict=True):
            assert tuple(bool(found.held[one] >> number & 1) for one in sets) == kinds[rank]
        by_kind = sorted((kinds[rank], number) for rank, number in zip(ranks, found.number, strict=True))
        assert all((a[0] == b[0]) == (a[1] == b[1]) for a, b in pairwise(by_kind))
