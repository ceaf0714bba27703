"""Which packets of a region get through a rule set, with one to show: what questions, findings and the matrix stand on.

A region is a row of the engine's dimensions, with `family` and `route`. Its packets are strangers': none comes by the loopback
interface. What depends on a match that is not modelled is told apart: such a packet *may* get through.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from wardkeep.packets.conditions import Columns
from wardkeep.packets.dimensions import ROUTES, Row, Values
from wardkeep.packets.flat import Act, Fate, Flat
from wardkeep.packets.leaf import Budget
from wardkeep.packets.program import Program
from wardkeep.packets.ranks import Ranks, complement, rank
from wardkeep.packets.search import Search
from wardkeep.packets.worlds import Owners, unfold

MOST_BOXES: Final = 4_096  # of one region, multiplied out
WORK: Final = 30_000_000  # of one search: some seconds at the very worst


@dataclass(frozen=True, slots=True)
class Met:
    """A packet of the region that ends as asked. `sure`: it certainly does; else it may, by a match that is not modelled.

    `rule` is the rule (or policy) that decided, "" if nothing looked at it.
    """

    packet: Mapping[str, int | str]
    sure: bool
    rule: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a search found: a packet, or none (`whole`: that is proved; otherwise the work budget was spent)."""

    met: Met | None
    whole: bool = True


class Reach:
    """A program made ready for regions. All regions must be named before, since ranks are cut at their ends."""

    def __init__(self, program: Program, regions: Iterable[Row]) -> None:
        self.program, self.regions = program, list(regions)
        named = [{name: v for name, v in r.items() if name not in ("family", "route")} for r in self.regions]
        self.ranks: dict[str, Ranks] = rank([program], [*named, {"in": ("lo",)}])
        self.owners = Owners.of(program)
        self._flats: dict[tuple[int, str], Flat | None] = {}
        self._pairs: dict[tuple[int, str], tuple[Flat, Flat]] = {}

    def flat(self, family: int, route: str) -> Flat | None:
        """The world's list; None if no base chain sees its packets: then all of them get through."""
        key = (family, route)
        if key not in self._flats:
            self._flats[key] = unfold(self.program, Columns(self.ranks), family, route, owners=self.owners)
        return self._flats[key]

    def find(self, region: Row, accepted: bool, sure: bool = False) -> Answer:
        """A packet of the region that is accepted (or is not). With `sure`, one for which that is certain, if there is any."""
        whole, best = True, None
        for family, route in _worlds(region):
            flat = self.flat(family, route)
            if flat is None:
                if accepted:
                    return Answer(Met(self._free(region, family, route), True, ""))
                continue
            for space in self._spaces(region, flat):
                answer = self._search(flat, space, accepted, sure)
                whole &= answer.whole
                if answer.met is not None and (answer.met.sure or not sure):
                    return answer
                best = best or answer.met
        return Answer(best, whole)

    def _free(self, region: Row, family: int, route: str) -> dict[str, int | str]:
        packet: dict[str, int | str] = {"family": family, "route": route, "state": 3}
        for name, values in region.items():
            if name not in packet:
                first = values[0]
                packet[name] = (
                    first if isinstance(first, str) else first[0] if isinstance(first, tuple) else 0
                )
        return packet

    def _spaces(self, region: Row, flat: Flat) -> Iterator[Any]:
        """The region as boxes of the world's columns."""
        limits: list[tuple[int, list[tuple[int, int]]]] = []
        for name, values in region.items():
            if name in ("family", "route"):
                continue
            if name in flat.columns.index and name in self.ranks:
                limits.append((flat.columns.index[name], list(self.ranks[name].spans(values))))
        if "in" not in region and "in" in flat.columns.index and flat.route != "output":
            ranks = self.ranks["in"]
            limits.append((flat.columns.index["in"], list(complement(ranks.spans(("lo",)), ranks.size))))
        count = 1
        for _, spans in limits:
            count *= len(spans)
        if count > MOST_BOXES:  # the hull of the widest ones: more packets, which `_inside` sorts out again
            limits = [(c, s if len(s) <= 16 else [(s[0][0], s[-1][1])]) for c, s in limits]
        for chosen in itertools.product(*(spans for _, spans in limits)):
            lo, hi = flat.space[0].copy(), flat.space[1].copy()
            for (column, _), (low, high) in zip(limits, chosen, strict=True):
                lo[column], hi[column] = max(lo[column], low), min(hi[column], high)
            if (lo <= hi).all():
                yield np.stack([lo, hi])

    def _search(self, flat: Flat, space: Any, accepted: bool, sure: bool) -> Answer:
        wanted = [Fate.ACCEPT] if accepted else [Fate.DROP, Fate.REJECT]
        group = np.where(np.isin(flat.fate, [int(a) for a in wanted]), 0, -1).astype(np.int32)
        doubtful = not bool(flat.certain.all())
        if sure and doubtful:
            # As if no match that is not modelled held: most often what is certain is found at once.
            first = self._first(self._decided(flat)[0], flat, group, space, accepted)
            if first.met is not None and first.met.sure:
                return first
        found = self._first(flat, flat, group, space, accepted)
        if found.met is None or found.met.sure or not sure or not doubtful:
            return found
        last = self._first(self._decided(flat)[1], flat, group, space, accepted)
        return last if last.met is not None and last.met.sure else found

    def _first(self, searched: Flat, flat: Flat, group: Any, space: Any, accepted: bool) -> Answer:
        found = Search(searched, group, np.ones(1, dtype=bool), Budget(WORK), space).run()
        if 0 not in found.reached:
            return Answer(None, not found.doubtful)
        return Answer(self._met(flat, *found.reached[0], accepted))

    def _decided(self, flat: Flat) -> tuple[Flat, Flat]:
        """The list as if no doubtful entry turned packets, and as if every one did."""
        key = (flat.family, flat.route)
        if key not in self._pairs:
            following = np.arange(1, len(flat) + 1, dtype=flat.target.dtype)
            certain = np.ones(len(flat), dtype=bool)
            first = replace(flat, certain=certain)
            second = replace(flat, certain=certain, target=np.where(flat.certain, flat.target, following))
            self._pairs[key] = (second, first)
        return self._pairs[key]

    def _met(self, flat: Flat, entry: int, point: Any, accepted: bool) -> Met:
        """The packet, whether its fate is certain, and the rule that decided it."""
        met = _path(flat, point)
        fates = {int(flat.fate[n]) for n in met}
        stops, ends = bool(fates & {int(Fate.DROP), int(Fate.REJECT)}), int(Fate.ACCEPT) in fates
        sure = not stops if accepted else not ends
        deciding = entry
        if accepted:
            by = [n for n in met if flat.act[n] == Act.ACCEPT and flat.owner[n] >= 0]
            ruled = [n for n in by if not self.owners.names[flat.owner[n]].startswith("policy of ")]
            deciding = (ruled or by or [entry])[-1]
        owner = int(flat.owner[deciding])
        packet: dict[str, int | str] = {"family": flat.family, "route": flat.route, "state": 3}
        for column, name in enumerate(flat.columns.names):
            if "'" not in name:
                packet[name] = self.ranks[name].value(int(point[column]))
        return Met(packet, sure, self.owners.names[owner] if owner >= 0 else "")


def _path(flat: Flat, point: Any) -> list[int]:
    """The entries that a packet comes to and is in, in order; where a match is not modelled, those of both ways."""
    inside = np.flatnonzero(((flat.lo <= point) & (flat.hi >= point)).all(axis=1))
    places, met = {0}, []
    for n in inside.tolist():
        behind = {p for p in places if p <= n}
        if behind:
            met.append(n)
            places = (places - behind) | {int(flat.target[n])}
            if not flat.certain[n]:
                places.add(n + 1)
    return met


def _worlds(region: Row) -> Iterator[tuple[int, str]]:
    families = _numbers(region.get("family", ((4, 4), (6, 6))))
    routes = _numbers(region.get("route", ((0, 0),)))
    return ((f, ROUTES[r]) for f in families for r in routes)


def _numbers(values: Values) -> list[int]:
    return [n for v in values if isinstance(v, tuple) for n in range(v[0], v[1] + 1) if n in (0, 1, 2, 4, 6)]
