"""The way of one world's packets through base chains: the stops, what is asked from each on, and who waits where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from wardkeep.packets.cases import Box, Source, meet
from wardkeep.packets.conditions import Columns, Step
from wardkeep.packets.dimensions import ANY, DESTINATION, SOURCE, Row
from wardkeep.packets.flat import NOBODY, Act
from wardkeep.packets.lanes import Lane
from wardkeep.packets.order import DEFRAGMENT, PATHS, Traits, base_chains
from wardkeep.packets.program import (
    Program,
)
from wardkeep.packets.rewriting import Context, Stop, become
from wardkeep.packets.writer import FINAL, Cursor, Writer


class Way(Writer):
    """The stops of one world. `owners` maps rule ids, and "policy of CHAIN", to numbers. `joined`: packets that rules of one hook's nat
    chains rewrote share one copy of what follows, in which it is not known which rule it was."""

    def __init__(
        self,
        program: Program,
        columns: Columns,
        family: int,
        route: str,
        layer: str,
        owners: Mapping[str, int],
        traits: Traits,
        vague: frozenset[str],
        most: int,
        joined: bool = False,
    ) -> None:
        super().__init__(columns, family, route, vague, most)
        self.joined = joined and layer == "ip"
        self.program, self.owners, self.layer = program, owners, layer
        self.chains = {chain.id: chain for chain in program.chains}
        self.hooks = PATHS[layer][route]
        self.bases = [base_chains(program, hook, family, layer) for hook in self.hooks]
        self.tracked = layer == "ip" and traits.tracked
        self.whole = layer == "ip" and not traits.fragments
        self.rewritten = traits.rewritten
        self.stops = self._stops()
        self.asked = self._asked(traits)
        early = [self.early(number) for number in range(len(self.stops))]
        self.first = [*early, False].index(False)  # the stop before which fragments are put together
        self.waiting: dict[int, list[Lane]] = {}

    @property
    def enters(self) -> bool:
        """Whether any base chain sees packets of this world."""
        return any(self.bases)

    def _stops(self) -> list[Stop]:
        stops = []
        for hook, chains in enumerate(self.bases):
            nat = [bool(c.entry and c.entry.kind == "nat") for c in chains]
            for number in range(len(chains)):
                stops.append(Stop(hook, number))
                if self.layer == "ip" and nat[number] and not (nat[number + 1 :] or [False])[0]:
                    stops.append(Stop(hook, number, behind=True))
        return stops

    def _asked(self, traits: Traits) -> list[frozenset[str]]:
        """For each stop what it, or one behind it, asks about."""
        out: list[frozenset[str]] = [frozenset()]
        for stop in reversed(self.stops):
            own = frozenset({"state"}) if stop.behind else traits.asked[self.bases[stop.hook][stop.chain].id]
            out.append(out[-1] | own)
        known = self.columns.ranks.keys() - self.vague
        return [one & known for one in reversed(out)]

    def onward(
        self, stop: int, path: Box, changed: Mapping[str, Source], times: int, apart: bool = False
    ) -> int:
        """A label for packets that go on from a stop."""
        label = self.label()
        self.waiting.setdefault(stop, []).append(Lane([label], path, changed, times, apart))
        return label

    def arrived(self, number: int) -> list[Lane]:
        """The lanes that wait at a stop; where nothing is done there, they are led on to the next."""
        lanes = [lane for lane in self.waiting.pop(number, ()) if self.used.issuperset(lane.labels)]
        if number < len(self.stops) and self.stops[number].behind and not self.given(number):
            self.waiting.setdefault(number + 1, []).extend(lanes)
            return []
        return lanes

    def early(self, number: int) -> bool:
        """Whether fragments are not put together yet at a stop."""
        stop = self.stops[number]
        entry = self.bases[stop.hook][stop.chain].entry
        assert entry is not None
        first = self.layer == "ip" and self.hooks[stop.hook] in ("prerouting", "output")
        return first and entry.priority <= DEFRAGMENT

    def under(self, at: Context, changed: Mapping[str, Source], times: int, path: Box) -> Context:
        """The context for packets of a box on which that was changed, with labels of their own for the chain's end."""
        stop = self.stops[at.stop]
        behind = at.stop + 1
        while behind < len(self.stops) and not self.stops[behind].behind:
            behind += 1
        entry = self.bases[stop.hook][stop.chain].entry
        nat = self.layer == "ip" and entry is not None and entry.kind == "nat"
        at = replace(
            at, changed=changed, times=times, policy=self.label(),
            accept=self.onward(at.stop + 1, path, changed, times),
            natted=self.onward(behind if nat else at.stop + 1, path, changed, times),
        )  # fmt: skip
        return replace(at, sources=self.seen(at, self.hooks[stop.hook]))

    def defragment(self, path: Box) -> None:
        """From here on fragments are whole packets; those that some chain saw end here."""
        if self.tracked and not self.whole and self.sees_fragments() and "fragment" in self.columns.index:
            part = meet(path, {self.columns.index["fragment"]: (1, 1)})
            if part is not None:
                self.emit(part, FINAL)

    def sees_fragments(self) -> bool:
        """Whether some chain sees packets before they are put together."""
        return any(
            c.entry and c.entry.priority <= DEFRAGMENT
            for hook, chains in zip(self.hooks, self.bases, strict=True)
            if hook in ("prerouting", "output")
            for c in chains
        )

    def seen(self, at: Context, hook: str) -> dict[str, Source]:
        """How the dimensions look to the chains of a hook."""
        out = dict(at.changed)
        if self.route == "output":
            out["in"] = Source(value="")
        if hook in ("prerouting", "input", "ingress"):
            out["out"] = Source(value="")
        if at.raw and "state" not in out:
            out["state"] = Source(value=0)
        if self.whole or at.defragmented or (self.tracked and not self.sees_fragments()):
            out["fragment"] = Source(value=0)
        return out

    def given(self, number: int) -> Row:
        """What packets of known connections get at a stop behind nat chains, as far as something behind it asks."""
        early = self.hooks[self.stops[number].hook] in ("prerouting", "output")
        names: tuple[str, ...] = DESTINATION if early else SOURCE
        to: Row = {n: ANY[n] for n in names if n in self.rewritten}
        return to if self.asked[number + 1] & to.keys() else {}

    def rewrite(
        self, to: Row, stop: int, lane: Lane, path: Box, apart: bool = False, owner: int = NOBODY
    ) -> None:
        """Packets of the box go on at a stop after dimensions became some of the given values, by a rule (`owner`) or without one."""
        changed, steps = dict(lane.changed), list[Step]()
        for name, values in to.items():
            if name in self.asked[stop]:
                steps += become(self.columns, changed, name, values, lane.times + 1)
        act = Act.STEP if owner == NOBODY else Act.NAT
        if steps and owner != NOBODY:
            self.emit(path, -1, act, owner)
        cursor = Cursor([dict(path)])
        for step in steps:
            if len(step.boxes) == 1:
                cursor.paths = [{**p, **step.boxes[0]} for p in cursor.paths]
            else:
                self.gate(cursor, step.boxes, FINAL)
        inner = self.single(cursor, FINAL)
        self.emit(inner, self.onward(stop, inner, changed, lane.times + 1, apart), act, owner)
        if steps:
            self.emit(path, FINAL, act, owner)

    def matters(self, names: Iterable[str], stop: int) -> bool:
        """Whether a base chain from that stop on asks about one of the dimensions."""
        return not self.asked[stop].isdisjoint(names)
