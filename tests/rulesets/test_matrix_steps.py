"""The matrix' short cuts change no answer: lists with neighbours joined say what the whole lists say."""

from __future__ import annotations

import numpy as np
import pytest

from wardkeep.packets.flat import Fate
from wardkeep.rulesets.audit import matrix

FATES = (Fate.OPEN, Fate.ACCEPT, Fate.DROP)


def steps(seed: int) -> matrix._Steps:
    """A random list with runs of entries that do the same, jumps into them, and uncertain entries."""
    rng = np.random.default_rng(seed)
    count, wide, across = int(rng.integers(2, 12)), 4, 5
    onward, certain, fate = [], [], []
    sources, ends = rng.random((count, wide)) < 0.5, rng.random((count, across)) < 0.4
    for n in range(count):
        if n and rng.random() < 0.6 and onward[-1] > n + 1:
            onward.append(onward[-1])
            certain.append(certain[-1])
            fate.append(fate[-1])
            same = sources if rng.random() < 0.5 else ends
            same[n] = same[n - 1]
        else:
            onward.append(int(rng.integers(n + 1, count + 1)))
            certain.append(bool(rng.random() < 0.8))
            fate.append(int(FATES[int(rng.integers(3))]))
    return matrix._Steps(sources, ends, np.array(onward), np.array(certain), np.array(fate, dtype=np.int8))


def plainly(one: matrix._Steps) -> tuple[list[list[bool]], list[list[bool]]]:
    """Each pair of a source and an end by itself."""
    shape = (one.sources.shape[1], one.ends.shape[1])
    told = np.zeros((2, *shape), dtype=bool)
    for source, end in np.ndindex(*shape):
        places = {0}
        for n in range(len(one.onward)):
            if n in places and one.sources[n, source] and one.ends[n, end]:
                if one.fate[n]:
                    told[int(one.fate[n] != Fate.ACCEPT), source, end] = True
                places.add(int(one.onward[n]))
                if not one.certain[n]:
                    places.add(n + 1)
            elif n in places:
                places.add(n + 1)
    return told[0].tolist(), told[1].tolist()


def compare(seed: int) -> int:
    """How many entries were joined away."""
    one = steps(seed)
    fewer = matrix._merged(one.sources, one.ends, one.onward, one.certain, one.fate)
    passed, stopped = matrix._followed(fewer)
    assert (passed.tolist(), stopped.tolist()) == plainly(one), seed
    return len(one.onward) - len(fewer.onward)


def test_joined_neighbours_change_no_fate() -> None:
    assert sum(compare(seed) for seed in range(600)) > 100


def test_a_wrong_join_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were rules taken to hold more ends than they do, the comparison would tell."""
    merged = matrix._merged
    monkeypatch.setattr(
        matrix, "_merged", lambda sources, ends, *rest: merged(sources, ends | ends.any(axis=0), *rest)
    )
    with pytest.raises(AssertionError):
        compare_all()


def compare_all() -> None:
    for seed in range(50):
        compare(seed)
