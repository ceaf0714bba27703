"""Which packets of a region get through a rule set, with one to show: what questions, findings and the matrix stand on.

A region is a row of the engine's dimensions, with `family` and `route`. Its packets are strangers': none comes by the loopback
interface, and none with a mark that only this host could have given it (`tc` or a tunnel of its own, which no rule set tells of).
What depends on a match that is not modelled is told apart: such a packet *may* get through.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from wardkeep.packets.conditions import Columns
from wardkeep.packets.dimensions import PLEASANT, ROUTES, Row, Values, holds, states
from wardkeep.packets.finer import finer
from wardkeep.packets.flat import Act, Fate, Flat
from wardkeep.packets.order import Traits
from wardkeep.packets.program import Program
from wardkeep.packets.ranks import Ranks, complement, rank
from wardkeep.packets.spaces import in_spaces
from wardkeep.packets.worlds import Owners, unfold
from wardkeep.rulesets.translation import asks_status, fresh, noted, unmarked

MOST_BOXES: Final = 4_096  # of one region, multiplied out
WORK: Final = 30_000_000  # of one search: a second at the very worst
WHOLE: Final = 6e8  # of all of them: a quarter of a minute
NOTHING: Final[Mapping[str, int | str]] = {}
NEW: Final = states("new")
LEAST: Final = 200_000.0  # of one search when that is spent


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
    """A program made ready for regions. All regions must be named before, since ranks are cut at their ends.

    `unfolded`: the program's worlds in the layer IP, where they are made already.
    """

    def __init__(
        self, program: Program, regions: Iterable[Row], unfolded: Sequence[Flat] | None = None
    ) -> None:
        self.told = asks_status(program)
        self.program, self.regions = noted(program), [self._fresh(region) for region in regions]
        named = [{name: v for name, v in r.items() if name not in ("family", "route")} for r in self.regions]
        # A packet from elsewhere comes without a mark, and the first of a connection before any rule gave that one.
        self.unmarked = unmarked(self.program)
        self.ranks: dict[str, Ranks] = rank([self.program], [*named, {"in": ("lo",)}, self.unmarked])
        self.owners = Owners.of(self.program)
        self._traits: Traits | None = None
        self._work = WHOLE
        # Not those to which only questions bring fragments: what becomes of them is part of unfolding.
        self._made = {
            (flat.family, flat.route): flat
            for flat in unfolded or ()
            if self.program is program and ("fragment" in flat.columns.index or not program.fragments)
        }
        self._flats: dict[tuple[int, str], Flat | None] = {}
        self._answers: dict[tuple[int, str, int, bool, bytes], Answer] = {}
        self._pairs: dict[tuple[int, str], tuple[Flat, Flat]] = {}

    def _fresh(self, region: Row) -> Row:
        return fresh(region) if self.told else region

    def flat(self, family: int, route: str) -> Flat | None:
        """The world's list; None if no base chain sees its packets: then all of them get through."""
        key = (family, route)
        if key not in self._flats:
            made = finer(self._made[key], self.ranks) if key in self._made else None
            if made is None:
                self._traits = self._traits or Traits.of(self.program)
                made = unfold(
                    self.program, Columns(self.ranks), family, route, owners=self.owners, traits=self._traits
                )
            self._flats[key] = made
        return self._flats[key]

    def find(
        self, region: Row, accepted: bool, sure: bool = False, like: Mapping[str, int | str] | None = None
    ) -> Answer:
        """A packet of the region that is accepted (or is not). With `sure`, one for which that is certain, if there is any.

        `like`: only packets that no rule tells apart from one with these values, in the dimensions named.
        """
        whole, best, region = True, None, self._fresh(region)
        for family, route in _worlds(region):
            flat = self.flat(family, route)
            if flat is None:
                if accepted:
                    return Answer(Met(self._free(region, family, route), True, ""))
                continue
            for space in self._spaces(region, flat, like or {}):
                (answer,) = self._search(flat, [space], accepted, sure)
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
                lowest = first if isinstance(first, str) else first[0] if isinstance(first, tuple) else 0
                packet[name] = next((v for v in PLEASANT.get(name, ()) if holds(values, v)), lowest)
        return packet

    def _spaces(self, region: Row, flat: Flat, like: Mapping[str, int | str] = NOTHING) -> Iterator[Any]:
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
        for name, values in self.unmarked.items() if flat.route != "output" else ():
            if (
                name not in region
                and name in flat.columns.index
                and (name == "mark" or region.get("state") == NEW)
            ):
                limits.append((flat.columns.index[name], list(self.ranks[name].spans(values))))
        for name, value in like.items():
            if name in flat.columns.index and name in self.ranks:
                limits.append((flat.columns.index[name], [(self.ranks[name].rank_of(value),) * 2]))
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

    def prepare(self, regions: Iterable[Row], accepted: bool, sure: bool = False) -> None:
        """Look at many regions at once, which is much faster: `find` then knows their answers."""
        spaces: dict[tuple[int, str], dict[bytes, Any]] = {}
        for region in map(self._fresh, regions):
            for family, route in _worlds(region):
                flat = self.flat(family, route)
                if flat is not None:
                    held = spaces.setdefault((family, route), {})
                    held.update((space.tobytes(), space) for space in self._spaces(region, flat))
        for key, held in spaces.items():
            flat = self.flat(*key)
            assert flat is not None
            self._search(flat, list(held.values()), accepted, sure)

    def _search(self, flat: Flat, spaces: Sequence[Any], accepted: bool, sure: bool) -> list[Answer]:
        """The answer for each box of packets."""
        doubtful = not bool(flat.certain.all())
        out: list[Answer | None] = [None] * len(spaces)
        if sure and doubtful:
            # As if no match that is not modelled held: most often what is certain is found at once.
            for n, answer in enumerate(self._first(0, flat, spaces, accepted)):
                out[n] = answer if answer.met is not None and answer.met.sure else None
        left = [n for n, answer in enumerate(out) if answer is None]
        for n, answer in zip(left, self._first(1, flat, [spaces[n] for n in left], accepted), strict=True):
            out[n] = answer
        if sure and doubtful:
            left = [n for n in left if (one := out[n]) and one.met is not None and not one.met.sure]
            again = self._first(2, flat, [spaces[n] for n in left], accepted)
            for n, answer in zip(left, again, strict=True):
                out[n] = answer if answer.met is not None and answer.met.sure else out[n]
        return [answer for answer in out if answer is not None]

    def _first(self, kind: int, flat: Flat, spaces: Sequence[Any], accepted: bool) -> list[Answer]:
        """A packet of each box, in the list as it is (`kind` 1) or as if what is doubtful turned no packet (0), or every one (2)."""
        keys = [(flat.family, flat.route, kind, accepted, space.tobytes()) for space in spaces]
        new = [n for n, key in enumerate(keys) if key not in self._answers]
        if new:
            searched = flat if kind == 1 else self._decided(flat)[0 if kind == 0 else 1]
            wanted = [Fate.ACCEPT] if accepted else [Fate.DROP, Fate.REJECT]
            goals = np.isin(flat.fate, [int(a) for a in wanted])
            work = min(WORK, max(self._work / len(new), LEAST))
            found = in_spaces(searched, goals, [spaces[n] for n in new], work)
            self._work -= found.spent
            for place, n in enumerate(new):
                met = self._met(flat, *found.reached[place], accepted) if place in found.reached else None
                self._answers[keys[n]] = Answer(met, met is not None or place not in found.doubtful)
        return [self._answers[key] for key in keys]

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
        met = flat.walk(point)
        # What it was rewritten to, where that is one of several, is luck too.
        fates = flat.fates(point)
        sure = not fates & {Fate.DROP, Fate.REJECT} if accepted else Fate.ACCEPT not in fates
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


def _worlds(region: Row) -> Iterator[tuple[int, str]]:
    families = _numbers(region.get("family", ((4, 4), (6, 6))))
    routes = _numbers(region.get("route", ((0, 0),)))
    return ((f, ROUTES[r]) for f in families for r in routes)


def _numbers(values: Values) -> list[int]:
    return [n for v in values if isinstance(v, tuple) for n in range(v[0], v[1] + 1) if n in (0, 1, 2, 4, 6)]
