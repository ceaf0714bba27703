"""The service matrix: who can reach whom on which service. Sources (and destinations) that fare alike are one class.

For each service the list of the engine is narrowed to its packets. Every source and destination range that some entry tells apart
is followed through what is left; ranges with the same outcomes are joined, and what is printed is as short as the rules allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wardkeep.packets.dimensions import Row
from wardkeep.packets.flat import Fate, Flat
from wardkeep.packets.ranks import RangeRanks, complement
from wardkeep.packets.search import preferred
from wardkeep.rulesets.audit.openings import NAMES, named_ports
from wardkeep.rulesets.audit.regions import UNICAST, service
from wardkeep.rulesets.files import RuleSet
from wardkeep.rulesets.names import PROTOCOL_NAMES
from wardkeep.rulesets.reach import Reach
from wardkeep.rulesets.spans import Spans, address, join, meet

CLOSED, OPEN, DEPENDS = 0, 1, 2
SHAPES: Final = {CLOSED: "·", OPEN: "●", DEPENDS: "◐"}
MEANING: Final = (
    "● reached   ◐ depends on the interface, the other end, or a match that is not modelled   · not reached"
)
USUAL: Final = ((6, 22), (6, 80), (6, 443), (17, 53))
MOST_SERVICES: Final = 10
MOST_LINKS: Final = 48  # pairs of interfaces that are told apart
Bits = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Matrix:
    """One picture. `cells[row][column]` is CLOSED, OPEN or DEPENDS; `rows` are classes of sources.

    Of route input the columns are services; of route forward they are classes of destinations, for one `service`.
    """

    rule_set: str
    route: str
    family: int
    service: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[int, ...], ...]


def matrices(
    rule_set: RuleSet, services: Sequence[tuple[int, int]] = (), routes: Sequence[str] = ()
) -> list[Matrix]:
    """The pictures of a rule set: one of what reaches the host, and one for each service that it forwards."""
    chosen = list(services) or _usual(rule_set)
    wanted = list(routes) or [r for r in ("input", "forward") if _has(rule_set, r)] or ["input"]
    regions = [service(p, port) for p, port in chosen]
    ends: list[Row] = [{f"{side}{f}": UNICAST[f]} for f in rule_set.families for side in ("src", "dst")]
    reach = Reach(rule_set.program, [*regions, *ends])
    found = []
    for family in rule_set.families:
        for route in wanted:
            flat = reach.flat(family, route)
            if flat is None or not (flat.owner >= 0).any():
                continue
            worlds = [_World(reach, flat, region) for region in regions]
            labels = [label(*one) for one in chosen]
            if route == "input":
                found.append(_inbound(rule_set, worlds, labels, family))
            else:
                found += _joined(
                    [_through(rule_set, w, n, family) for w, n in zip(worlds, labels, strict=True)]
                )
    return found


def _joined(made: Iterable[Matrix]) -> list[Matrix]:
    """Services that fare alike as one picture."""
    alike: dict[tuple[object, ...], list[Matrix]] = {}
    for one in made:
        alike.setdefault((one.rows, one.columns, one.cells), []).append(one)
    return [replace(same[0], service=", ".join(m.service for m in same)) for same in alike.values()]


def label(protocol: int, port: int) -> str:
    """`22/tcp ssh`."""
    return f"{port}/{PROTOCOL_NAMES.get(protocol, protocol)}{' ' + NAMES[port] if port in NAMES else ''}"


def _has(rule_set: RuleSet, route: str) -> bool:
    chains = rule_set.program.chains
    return any(c.entry and c.entry.hook == route and (c.rules or c.entry.policy == "drop") for c in chains)


def _usual(rule_set: RuleSet) -> list[tuple[int, int]]:
    return list(dict.fromkeys([*named_ports(rule_set.program)[: MOST_SERVICES - 4], *USUAL]))[:MOST_SERVICES]


class _World:
    """One service in one world: the entries that its packets can meet, and classes of their ends."""

    def __init__(self, reach: Reach, flat: Flat, region: Row) -> None:
        self.reach, self.flat, self.family = reach, flat, flat.family
        index = flat.columns.index
        ranks = reach.ranks
        fixed = preferred(flat)
        for name, values in region.items():
            if name in index:
                fixed[index[name]] = ranks[name].spans(values)[0][0]
        free = [index[n] for n in (f"src{flat.family}", f"dst{flat.family}", "in", "out") if n in index]
        again = [n for n, name in enumerate(flat.columns.names) if "'" in name]
        still = [n for n in range(len(fixed)) if n not in free and n not in again]
        met = ((flat.lo[:, still] <= fixed[still]) & (flat.hi[:, still] >= fixed[still])).all(axis=1)
        # What an address or port became by translation is not followed here: such a test may hold or not.
        vague = ((flat.lo[:, again] > flat.space[0][again]) | (flat.hi[:, again] < flat.space[1][again])).any(
            axis=1
        )
        self.entries = np.flatnonzero(met)
        self.certain = (flat.certain & ~vague)[self.entries]
        self.target = np.searchsorted(self.entries, flat.target[self.entries])
        self.fate = flat.fate[self.entries]
        links = self._links()
        self.sources, source_bits = self._classes(f"src{flat.family}")
        self.ends, end_bits = self._classes(f"dst{flat.family}")
        self.rows, self.columns, self.cells = self._table(links, source_bits, end_bits)

    def _holds(self, column: str, points: Any) -> Bits:
        """Entries × points of one column."""
        at = self.flat.columns.index.get(column)
        if at is None:
            return np.ones((len(self.entries), len(points)), dtype=bool)
        lo, hi = self.flat.lo[self.entries, at], self.flat.hi[self.entries, at]
        return np.asarray((lo[:, None] <= points) & (hi[:, None] >= points))

    def _classes(self, column: str) -> tuple[list[Spans], Bits]:
        """The addresses of each class that no entry tells apart, and entries × classes: which hold it."""
        version = self.family
        if column not in self.flat.columns.index:
            return [UNICAST[version]], np.ones((len(self.entries), 1), dtype=bool)
        ranks = self.reach.ranks[column]
        allowed = [r for low, high in ranks.spans(UNICAST[version]) for r in range(low, high + 1)]
        held = self._holds(column, np.array(allowed))
        first, number = _alike(held.T)
        assert isinstance(ranks, RangeRanks)
        spans: list[list[tuple[int, int]]] = [[] for _ in first]
        for n, r in enumerate(allowed):
            spans[number[n]].append(ranks.bounds(r))
        return [join(one) for one in spans], held[:, first]

    def _links(self) -> Bits:
        """Entries × pairs of interfaces: one of each class of pairs, loopback left out."""
        names = [n for n in ("in", "out") if n in self.flat.columns.index]
        held = np.ones((len(self.entries), 1), dtype=bool)
        for name in names:
            ranks = self.reach.ranks[name]
            kept = [
                r for low, high in complement(ranks.spans(("lo",)), ranks.size) for r in range(low, high + 1)
            ]
            at = self.flat.columns.index[name]
            kept = [r for r in kept if self.flat.space[0][at] <= r <= self.flat.space[1][at]]
            one = self._holds(name, np.array(kept or [0]))
            held = (held[:, :, None] & one[:, None, :]).reshape(len(self.entries), -1)
            held = held[:, _alike(held.T)[0]][:, :MOST_LINKS]
        return held

    def _table(self, links: Bits, sources: Bits, ends: Bits) -> tuple[Any, Any, NDArray[np.int8]]:
        """Row of each class of sources, column of each class of ends, and the cells, over all pairs of interfaces."""
        tables = []
        down = np.zeros((sources.shape[1], links.shape[1]), dtype=np.int32)
        across = np.zeros((ends.shape[1], links.shape[1]), dtype=np.int32)
        for link in range(links.shape[1]):
            live = np.flatnonzero(links[:, link])
            first, down[:, link] = _alike(sources[live].T)
            begin, across[:, link] = _alike(ends[live].T)
            tables.append(self._fates(live, sources[np.ix_(live, first)], ends[np.ix_(live, begin)]))
        first, rows = _alike(down)
        begin, columns = _alike(across)
        some = np.zeros((len(first), len(begin)), dtype=bool)
        none = np.zeros_like(some)
        for link, (passed, stopped) in enumerate(tables):
            at = np.ix_(down[first, link], across[begin, link])
            some |= passed[at]
            none |= stopped[at]
        return rows, columns, np.where(~some, CLOSED, np.where(none, DEPENDS, OPEN)).astype(np.int8)

    def _fates(self, live: Any, sources: Bits, ends: Bits) -> tuple[Bits, Bits]:
        """Sources × ends: whether some packet passes, and whether some is stopped, along one list of entries."""
        onward = np.searchsorted(live, self.target[live])
        steps = _merged(sources, ends, onward, self.certain[live], self.fate[live])
        if steps.sources.sum() > steps.ends.sum():  # the shorter way round: few entries hold any one address
            passed, stopped = _followed(replace(steps, sources=steps.ends, ends=steps.sources))
            return passed.T, stopped.T
        return _followed(steps)


@dataclass(frozen=True)
class _Steps:
    """A list of entries: which classes of sources and of ends they hold (entries × classes), where they lead, what they decide."""

    sources: Bits
    ends: Bits
    onward: NDArray[np.intp]
    certain: Bits
    fate: NDArray[np.int8]


def _merged(sources: Bits, ends: Bits, onward: Any, certain: Bits, fate: Any) -> _Steps:
    """The same list, with neighbours made one that do the same to the same sources (or ends): a packet that is in none of them goes
    on behind both, one that is in either goes where both lead, unless it comes in between."""
    while True:
        count = len(onward)
        if count < 2:
            return _Steps(sources, ends, onward, certain, fate)
        skips = onward > np.arange(1, count + 1)
        like = skips[1:] & skips[:-1] & (onward[1:] == onward[:-1])
        like &= (certain[1:] == certain[:-1]) & (fate[1:] == fate[:-1])
        entered = np.zeros(count + 1, dtype=bool)
        entered[onward[skips]] = True
        like &= ~entered[1:count]
        at = np.flatnonzero(like) + 1
        same_sources, same_ends = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
        same_sources[at] = (sources[at] == sources[at - 1]).all(axis=1)
        same_ends[at] = (ends[at] == ends[at - 1]).all(axis=1)
        joined = same_sources if same_sources.sum() >= same_ends.sum() else same_ends
        if not joined.any():
            return _Steps(sources, ends, onward, certain, fate)
        first = np.flatnonzero(~joined)
        sources = np.logical_or.reduceat(sources, first, axis=0)
        ends = np.logical_or.reduceat(ends, first, axis=0)
        number = np.append(np.cumsum(~joined) - 1, len(first))
        onward, certain, fate = number[onward[first]], certain[first], fate[first]


def _followed(steps: _Steps) -> tuple[Bits, Bits]:
    """Each source's way through the list, with all ends at once as the bits of one number."""
    count, width = len(steps.onward), steps.ends.shape[1]
    size = (width + 7) // 8
    held = [int.from_bytes(row.tobytes()) for row in np.packbits(steps.ends, axis=1)]
    onward, certain = steps.onward.tolist(), steps.certain.tolist()
    accepts, decides = (steps.fate == Fate.ACCEPT).tolist(), (steps.fate != Fate.OPEN).tolist()
    whole = (1 << 8 * size) - 1
    passed, stopped = [], []
    known: dict[bytes, tuple[int, int]] = {}
    for row in np.packbits(steps.sources, axis=0).T:
        key = row.tobytes()
        if key not in known:
            met = np.flatnonzero(np.unpackbits(row, count=count)).tolist()
            known[key] = _fate_of(met, whole, held, onward, certain, accepts, decides)
        yes, no = known[key]
        passed.append(yes.to_bytes(size))
        stopped.append(no.to_bytes(size))
    tables = []
    for told in (passed, stopped):
        bits = np.frombuffer(b"".join(told), dtype=np.uint8).reshape(len(told), size)
        tables.append(np.unpackbits(bits, axis=1, count=width).astype(bool))
    return tables[0], tables[1]


def _fate_of(
    met: Sequence[int], whole: int, held: Sequence[int], onward: Sequence[int], certain: Sequence[bool],
    accepts: Sequence[bool], decides: Sequence[bool],
) -> tuple[int, int]:  # fmt: skip
    """The ends to which some packet passes, and to which some is stopped, along the entries that hold one source."""
    passed = stopped = 0
    here = whole  # the packets at this place; others have gone on to a later one
    waiting: dict[int, int] = {}
    due: list[int] = []
    for n in met:
        while due and due[0] <= n:
            here |= waiting.pop(heappop(due))
        if not here:
            continue
        taken = here & held[n]
        if not taken:
            continue
        if decides[n]:
            if accepts[n]:
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


def _alike(rows: Any) -> tuple[Any, Any]:
    """Of rows that are equal the first one each, and the number of each row's kind."""
    flat = np.ascontiguousarray(np.packbits(rows, axis=1) if rows.dtype == bool else rows)
    if not flat.shape[1]:
        return np.array([0]), np.zeros(len(rows), dtype=np.int32)
    keys = flat.view([("", flat.dtype)] * flat.shape[1]).reshape(-1)
    _, first, number = np.unique(keys, return_index=True, return_inverse=True)
    return first, number.reshape(-1)


def _inbound(rule_set: RuleSet, worlds: Sequence[_World], labels: Sequence[str], family: int) -> Matrix:
    """Sources against services; the host's own addresses are one."""
    cuts: list[tuple[Spans, tuple[int, ...]]]
    cuts = [(UNICAST[family], ())]
    for world in worlds:
        fates: dict[int, list[tuple[int, int]]] = {}
        for spans, row in zip(world.sources, world.rows, strict=True):
            kinds = {int(k) for k in world.cells[row]}
            fates.setdefault(kinds.pop() if len(kinds) == 1 else DEPENDS, []).extend(spans)
        cuts = [
            (shared, (*row, fate))
            for had, row in cuts
            for fate, spans in fates.items()
            if (shared := meet(had, join(spans)))
        ]
    joined: dict[tuple[int, ...], Spans] = {}
    for spans, fates_of in cuts:
        joined[fates_of] = join((*joined.get(fates_of, ()), *spans))
    order = sorted(joined, key=lambda row: (-sum(k != CLOSED for k in row), joined[row]))
    return Matrix(
        rule_set.program.name,
        "input",
        family,
        "",
        tuple(who(joined[row], family) for row in order),
        tuple(labels),
        tuple(order),
    )


def _through(rule_set: RuleSet, world: _World, name: str, family: int) -> Matrix:
    """Sources against destinations, for one service."""
    first, merged = _alike(world.cells)
    begin, joined = _alike(world.cells[first].T)
    columns = world.cells[np.ix_(first, begin)]
    sources = _gather((merged[r] for r in world.rows), world.sources)
    ends = _gather((joined[c] for c in world.columns), world.ends)
    down = sorted(range(len(columns)), key=lambda n: (-int((columns[n] != CLOSED).sum()), sources[n]))
    across = sorted(range(columns.shape[1]), key=lambda n: (-int((columns[:, n] != CLOSED).sum()), ends[n]))
    return Matrix(
        rule_set.program.name,
        "forward",
        family,
        name,
        tuple(who(sources[n], family) for n in down),
        tuple(who(ends[n], family) for n in across),
        tuple(tuple(int(columns[n, m]) for m in across) for n in down),
    )


def _gather(numbers: Iterable[int], spans: Sequence[Spans]) -> dict[int, Spans]:
    found: dict[int, list[tuple[int, int]]] = {}
    for number, held in zip(numbers, spans, strict=True):
        found.setdefault(int(number), []).extend(held)
    return {number: join(held) for number, held in found.items()}


def who(spans: Spans, version: int, most: int = 3) -> str:
    """`10.0.0.0/8, 192.0.2.1 and 5 more ranges`; `everybody else` for what is most of the address space."""
    size = sum(high - low + 1 for low, high in spans)
    whole = sum(high - low + 1 for low, high in UNICAST[version])
    if size == whole:
        return "everybody"
    if size * 2 > whole:
        return "everybody else"
    widest = sorted(spans, key=lambda s: (s[0] - s[1], s[0]))
    told = [_span(one, version) for one in sorted(widest[:most])]
    left = len(spans) - len(told)
    return ", ".join(told) + (f" and {left} more range{'s' if left > 1 else ''}" if left else "")


def _span(span: tuple[int, int], version: int) -> str:
    low, high = span
    size = high - low + 1
    width = 32 if version == 4 else 128
    if size & (size - 1) == 0 and low % size == 0:
        length = width - (size.bit_length() - 1)
        return address(low, version) if length == width else f"{address(low, version)}/{length}"
    return f"{address(low, version)}-{address(high, version)}"


def as_json(matrix: Matrix) -> Mapping[str, Any]:
    """The picture with words for its cells."""
    words = {CLOSED: "closed", OPEN: "open", DEPENDS: "depends"}
    return {
        **{
            name: getattr(matrix, name)
            for name in ("rule_set", "route", "family", "service", "rows", "columns")
        },
        "cells": [[words[cell] for cell in row] for row in matrix.cells],
    }
