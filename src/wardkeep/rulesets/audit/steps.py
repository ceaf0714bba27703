"""A list of entries and two ends of a packet: who passes from which class of sources to which class of destinations.

Sets of classes are the bits of whole numbers, so that what one source does to all destinations is followed in one go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import chain
from typing import Any, Final, TypeAlias

import numpy as np

from wardkeep.packets.flat import Fate

Ranges: TypeAlias = frozenset[tuple[int, int]]  # of ranks, from and to, both included
_ACCEPT, _OPEN = int(Fate.ACCEPT), int(Fate.OPEN)
MOST_PASSES: Final = 8  # over a list to join its neighbours; two or three find all there is


@dataclass(frozen=True)
class Steps:
    """Of each entry: the sources and the ends it holds, the entry it leads to (their number: behind the end), whether it certainly
    does, and what it does: a Fate, and whatever else must be the same of entries that are joined. All of one length."""

    sources: Sequence[Ranges]
    ends: Sequence[Ranges]
    onward: Sequence[int]
    certain: Sequence[bool]
    does: Sequence[tuple[int, ...]]

    def turned(self) -> Steps:
        """The same with sources for ends."""
        return replace(self, sources=self.ends, ends=self.sources)


def merged(steps: Steps) -> tuple[Steps, list[int]]:
    """The same list, with neighbours made one that do the same to the same sources (or ends), and the first of the entries that
    each came from: a packet that is in none of them goes on behind both, one that is in either goes where both lead, unless it
    comes in between."""
    first = list(range(len(steps.onward)))
    for _ in range(MOST_PASSES):
        count = len(steps.onward)
        entered = {to for n, to in enumerate(steps.onward) if to > n + 1}
        like = [
            n
            for n in range(1, count)
            if steps.onward[n] == steps.onward[n - 1] > n + 1
            and steps.does[n] == steps.does[n - 1]
            and steps.certain[n] == steps.certain[n - 1]
            and n not in entered
        ]
        by_sources = {n for n in like if steps.sources[n] == steps.sources[n - 1]}
        by_ends = {n for n in like if steps.ends[n] == steps.ends[n - 1]}
        joined = by_sources if len(by_sources) >= len(by_ends) else by_ends
        if not joined:
            break
        steps, kept = _joined(steps, joined)
        first = [first[n] for n in kept]
    return steps, first


def _joined(steps: Steps, joined: set[int]) -> tuple[Steps, list[int]]:
    """The list with some entries joined to those before them, and the entries that are left."""
    count = len(steps.onward)
    kept = [n for n in range(count) if n not in joined]
    number = [0] * (count + 1)
    for place, n in enumerate(kept):
        number[n] = place
    number[count] = len(kept)
    ends = [*kept[1:], count]

    def union(held: Sequence[Ranges]) -> list[Ranges]:
        return [
            held[a] if b == a + 1 else frozenset().union(*held[a:b]) for a, b in zip(kept, ends, strict=True)
        ]

    return Steps(
        union(steps.sources),
        union(steps.ends),
        [number[steps.onward[n]] for n in kept],
        [steps.certain[n] for n in kept],
        [steps.does[n] for n in kept],
    ), kept


@dataclass(frozen=True)
class Classes:
    """The ranks of one dimension that no set tells apart. `kinds`: for each class the sets that hold it, as bits; `number`: of
    each rank asked about, its class; `held`: of each set, its classes as bits; `place`: of each set, its bit in `kinds`."""

    kinds: list[int]
    number: list[int]
    held: dict[Ranges, int]
    place: dict[Ranges, int]


def classes(sets: Iterable[Ranges], ranks: Sequence[int]) -> Classes:
    """What some sets make of some ranks (ascending)."""
    place = {one: n for n, one in enumerate(dict.fromkeys(sets))}
    turns: dict[int, int] = {}
    for one, n in place.items():
        for low, high in _apart(one):
            turns[low] = turns.get(low, 0) ^ 1 << n
            turns[high + 1] = turns.get(high + 1, 0) ^ 1 << n
    cuts = sorted(turns)
    seen: dict[int, int] = {}
    number: list[int] = []
    kind = at = 0
    for rank in ranks:
        if not number or (at < len(cuts) and cuts[at] <= rank):
            while at < len(cuts) and cuts[at] <= rank:
                kind ^= turns[cuts[at]]
                at += 1
            here = seen.setdefault(kind, len(seen))
        number.append(here)
    kinds = list(seen)
    held = {one: 0 for one in place}
    by_place = list(place)
    for n, kind in enumerate(kinds):
        for bit in bits(kind):
            held[by_place[bit]] |= 1 << n
    return Classes(kinds, number, held, place)


def _apart(one: Ranges) -> Iterator[tuple[int, int]]:
    """The ranges in order, those that overlap or touch made one."""
    low = high = -1
    for begin, end in sorted(one):
        if high >= 0 and begin <= high + 1:
            high = max(high, end)
            continue
        if high >= 0:
            yield low, high
        low, high = begin, end
    if high >= 0:
        yield low, high


def bits(number: int) -> Iterator[int]:
    """The places of the bits that are set, the lowest first."""
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


def followed(steps: Steps, sources: Classes, ends: Classes) -> list[tuple[int, int]]:
    """For each class of sources the classes of ends to which some packet passes, and those to which some is stopped, as bits."""
    lists: dict[int, list[int]] = {}
    for n, one in enumerate(steps.sources):
        lists.setdefault(sources.place[one], []).append(n)
    mask = sum(1 << bit for bit in lists)
    held = [ends.held[one] for one in steps.ends]
    fates, whole = [one[0] for one in steps.does], (1 << len(ends.kinds)) - 1
    known: dict[int, tuple[int, int]] = {}
    out = []
    for kind in sources.kinds:
        met_by = kind & mask
        if met_by not in known:
            met = sorted(chain.from_iterable(lists[bit] for bit in bits(met_by)))
            known[met_by] = _fate_of(met, whole, held, steps.onward, steps.certain, fates)
        out.append(known[met_by])
    return out


def _fate_of(
    met: Sequence[int], whole: int, held: Sequence[int], onward: Sequence[int], certain: Sequence[bool],
    fates: Sequence[int],
) -> tuple[int, int]:  # fmt: skip
    """The ends to which some packet passes, and to which some is stopped, along the entries that hold one source."""
    passed = stopped = 0
    here = whole  # the packets at this place; others have gone on to a later one
    waiting: dict[int, int] = {}
    due: list[int] = []
    for n in met:
        while due and due[0] <= n:
            here |= waiting.pop(heappop(due))
        taken = here & held[n]
        if not taken:
            continue
        if fates[n] != _OPEN:
            if fates[n] == _ACCEPT:
                passed |= taken
            else:
                stopped |= taken
        if certain[n]:
            here &= ~taken
        if onward[n] in waiting:
            waiting[onward[n]] |= taken
        else:
            waiting[onward[n]] = taken
            heappush(due, onward[n])
    return passed, stopped


def table(rows: Sequence[int], across: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Rows of bits as rows × `across` truth values."""
    size = (across + 7) // 8
    data = np.frombuffer(b"".join(one.to_bytes(size, "little") for one in rows), dtype=np.uint8)
    shape = data.reshape(len(rows), size)
    return np.unpackbits(shape, axis=1, count=across, bitorder="little").astype(bool)
