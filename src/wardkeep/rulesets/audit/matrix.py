"""The service matrix: who can reach whom on which service. Sources (and destinations) that fare alike are one class.

For each service the list of the engine is narrowed to its packets. Every source and destination range that some entry tells apart
is followed through what is left; ranges with the same outcomes are joined, and what is printed is as short as the rules allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wardkeep.core.collector import collector_paused
from wardkeep.packets.dimensions import Row
from wardkeep.packets.flat import Flat
from wardkeep.packets.ranks import RangeRanks, complement
from wardkeep.packets.search import preferred
from wardkeep.rulesets.audit.openings import NAMES, named_ports
from wardkeep.rulesets.audit.regions import UNICAST, service
from wardkeep.rulesets.audit.steps import Classes, Ranges, Steps, classes, followed, merged, table
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
EVERY: Final = frozenset({(0, 0)})  # of a dimension that no rule asks about
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


@collector_paused()
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
        links = self._links()
        steps, first = merged(self._steps((flat.certain & ~vague)[self.entries]))
        self.sources, sources = self._classes(f"src{flat.family}", steps.sources)
        self.ends, ends = self._classes(f"dst{flat.family}", steps.ends)
        self.rows, self.columns, self.cells = _table(steps, links[first], sources, ends)

    def _steps(self, certain: Bits) -> Steps:
        """The entries with the ranks of both ends that each holds. What they hold of interfaces is part of what they do."""
        flat, some = self.flat, self.entries
        onward = np.searchsorted(some, flat.target[some])
        links = [
            side[some, at].tolist()
            for name in ("in", "out")
            if (at := flat.columns.index.get(name)) is not None
            for side in (flat.lo, flat.hi)
        ]
        does = list(zip(flat.fate[some].tolist(), *links, strict=True))
        sources, ends = (self._ranges(f"{side}{flat.family}") for side in ("src", "dst"))
        return Steps(sources, ends, onward.tolist(), certain.tolist(), does)

    def _ranges(self, column: str) -> list[Ranges]:
        """The ranks of one column that each entry holds."""
        at = self.flat.columns.index.get(column)
        if at is None:
            return [EVERY] * len(self.entries)
        low, high = (side[self.entries, at].tolist() for side in (self.flat.lo, self.flat.hi))
        known: dict[tuple[int, int], Ranges] = {}
        return [known.setdefault(one, frozenset((one,))) for one in zip(low, high, strict=True)]

    def _holds(self, column: str, points: Any) -> Bits:
        """Entries × points of one column."""
        at = self.flat.columns.index.get(column)
        if at is None:
            return np.ones((len(self.entries), len(points)), dtype=bool)
        lo, hi = self.flat.lo[self.entries, at], self.flat.hi[self.entries, at]
        return np.asarray((lo[:, None] <= points) & (hi[:, None] >= points))

    def _classes(self, column: str, sets: Iterable[Ranges]) -> tuple[list[Spans], Classes]:
        """The addresses of each class that no entry tells apart, and the classes."""
        version = self.family
        if column not in self.flat.columns.index:
            return [UNICAST[version]], classes(sets, [0])
        ranks = self.reach.ranks[column]
        assert isinstance(ranks, RangeRanks)
        allowed = [r for low, high in ranks.spans(UNICAST[version]) for r in range(low, high + 1)]
        found = classes(sets, allowed)
        spans: list[list[tuple[int, int]]] = [[] for _ in found.kinds]
        for number, r in zip(found.number, allowed, strict=True):
            low, high = ranks.bounds(r)
            held = spans[number]
            if held and held[-1][1] + 1 == low:
                held[-1] = (held[-1][0], high)
            else:
                held.append((low, high))
        return [tuple(one) for one in spans], found

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


def _table(steps: Steps, links: Bits, sources: Classes, ends: Classes) -> tuple[Any, Any, NDArray[np.int8]]:
    """Row of each class of sources, column of each class of ends, and the cells, over all pairs of interfaces."""
    weight = [
        sum(side.held[one].bit_count() for one in sets)
        for side, sets in ((sources, steps.sources), (ends, steps.ends))
    ]
    if weight[0] > weight[1]:  # the shorter way round: few entries hold any one address
        columns, rows, cells = _table(steps.turned(), links, ends, sources)
        return rows, columns, cells.T
    across = len(ends.kinds)
    passed, stopped = [0] * len(sources.kinds), [0] * len(sources.kinds)
    for link in range(links.shape[1]):
        told = followed(_some(steps, np.flatnonzero(links[:, link])), sources, ends)
        for n, (yes, no) in enumerate(told):
            passed[n] |= yes
            stopped[n] |= no
    kinds: dict[tuple[int, int], int] = {}
    rows = [kinds.setdefault(one, len(kinds)) for one in zip(passed, stopped, strict=True)]
    some, none = (table([one[side] for one in kinds], across) for side in (0, 1))
    cells = np.where(~some, CLOSED, np.where(none, DEPENDS, OPEN)).astype(np.int8)
    begin, columns = _alike(cells.T)
    return rows, columns, cells[:, begin]


def _some(steps: Steps, live: Any) -> Steps:
    """Some of the entries of a list."""
    if len(live) == len(steps.onward):
        return steps
    kept = live.tolist()
    return Steps(
        [steps.sources[n] for n in kept],
        [steps.ends[n] for n in kept],
        np.searchsorted(live, [steps.onward[n] for n in kept]).tolist(),
        [steps.certain[n] for n in kept],
        [steps.does[n] for n in kept],
    )


def _alike(rows: Any) -> tuple[Any, Any]:
    """Of rows that are equal the first one each, in the order of what they hold, and the number of each row's kind."""
    if rows.dtype == bool:
        flat = np.packbits(rows, axis=1)
    else:  # no number is below 0: the first byte counts most, as in the order of numbers
        flat = np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder(">"))
    if not flat.shape[1]:
        return np.array([0]), np.zeros(len(rows), dtype=np.int32)
    data, size = flat.tobytes(), flat.shape[1] * flat.itemsize
    # Looked up, not sorted: to compare rows of a thousand bytes field by field took most of a picture's time.
    found: dict[bytes, int] = {}
    keys = [data[at : at + size] for at in range(0, len(data), size)]
    for n, key in enumerate(keys):
        found.setdefault(key, n)
    order = sorted(found)
    number = {key: n for n, key in enumerate(order)}
    return np.array([found[key] for key in order]), np.array([number[key] for key in keys])


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
