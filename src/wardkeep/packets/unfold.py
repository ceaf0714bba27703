"""From a program to flat lists, one for each world (family and route).

Jumps are written out in place. A rewrite (mark, notrack, NAT) that something later asks about sends the packets that are rewritten to a
copy of all that follows, in which the value is known, or is a column of its own. Within a base chain each place and each set of values
has a copy; from one base chain to the next as many copies are written as `lanes` says.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from wardkeep.packets.cases import Box, Source, hull, meet
from wardkeep.packets.conditions import Columns
from wardkeep.packets.dimensions import DIMENSIONS, STATES
from wardkeep.packets.flat import NOBODY, Act, Flat
from wardkeep.packets.lanes import Lane, gathered
from wardkeep.packets.order import CONNTRACK, Traits
from wardkeep.packets.program import (
    Assign,
    Branches,
    Chain,
    Decision,
    Effect,
    Goto,
    Jump,
    Match,
    Nat,
    NoTrack,
    Part,
    Program,
    Rule,
    Unknown,
    Verdict,
    is_plain,
)
from wardkeep.packets.rewriting import Context, Copy, Frame, any_of, become, moved
from wardkeep.packets.stops import Way
from wardkeep.packets.writer import FINAL, Cursor

UNTRACKED: Final = Source(value=STATES.index("untracked"))
KNOWN: Final = Match(({"state": ((1, 2),)},))
_ACTS: Final = {"accept": Act.ACCEPT, "drop": Act.DROP, "reject": Act.REJECT, "return": Act.RETURN}


class Unfolding(Way):
    """One world: see `Way`. `copies` are what is left to write of the present base chain."""

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
        super().__init__(program, columns, family, route, layer, owners, traits, vague, most, joined)
        self.copies: list[tuple[tuple[int, ...], int]] = []  # place and label, as a heap
        self.walked: dict[str, int] = {}  # chain → how often it was walked
        self.copied: dict[int, Copy] = {}
        self.shared: dict[object, Copy] = {}

    # -- hooks and base chains

    def run(self) -> Flat:
        """The whole world, as arrays."""
        space: Box = {}
        for name, absent in (("in", self.route == "output"), ("out", self.route == "input")):
            if name in self.columns.index and not absent:
                # Rank 0 is "": no interface at all.
                space[self.columns.index[name]] = (1, self.columns.ranks[name].size - 1)
        if (self.whole or (self.tracked and not self.sees_fragments())) and "fragment" in self.columns.index:
            space[self.columns.index["fragment"]] = (0, 0)
        self.used.add(self.onward(0, {}, {}, 0))
        for number in range(len(self.stops) + 1):
            for nth, lane in enumerate(gathered(self.arrived(number), self.asked[number])):
                self.starts.append(len(self.boxes))
                self.groups.append(len(self.boxes))
                self.stops_at += self.starts[-1:] if nth == 0 else []
                for label in lane.labels:
                    self.place(label)
                self.write(number, self.told(number, lane))
        self.place(FINAL)
        return self.arrays(space)

    def write(self, number: int, lane: Lane) -> None:
        """What packets of a lane meet at a stop, or behind the last one."""
        self.writing = NOBODY
        if number == self.first:
            self.defragment(lane.path)
        if number == len(self.stops):
            self.emit(lane.path, FINAL, Act.END)
        elif self.stops[number].behind:
            self.translate(number, lane)
        else:
            self.enter(number, lane, defragmented=self.tracked and number >= self.first)

    def enter(self, number: int, lane: Lane, defragmented: bool) -> None:
        """One base chain, from its beginning to behind its end, for the packets of a lane."""
        stop, path = self.stops[number], lane.path
        chain, hook = self.bases[stop.hook][stop.chain], self.hooks[stop.hook]
        entry = chain.entry
        assert entry is not None
        early = self.layer == "ip" and hook in ("prerouting", "output")
        nat = entry.kind == "nat"
        raw = self.tracked and early and not nat and entry.priority < CONNTRACK
        at = self.under(Context(number, raw=raw, defragmented=defragmented), lane.changed, lane.times, path)
        at = replace(at, back=at.policy)
        gates: list[Match | Unknown] = []
        if nat and self.layer == "ip":
            gates.append(Unknown("first packet", may=({"state": ((2, 3),)},), must=({"state": ((3, 3),)},)))
        if entry.device:
            gates.append(Match(({"in": entry.device},)))
        cursor = Cursor([path])
        if all(self.condition(gate, cursor, at.sources, at.accept, None) for gate in gates):
            inner = self.single(cursor, at.accept)
            self.rules(chain, 0, at, inner, ())
            self.end(chain, at, inner)
        if gates:
            self.emit(path, at.accept)
        while self.copies:
            copy = self.copied.pop(heapq.heappop(self.copies)[1])
            self.starts.append(len(self.boxes))
            self.place(copy.label)
            self.rest(copy)
        self.shared.clear()

    def end(self, chain: Chain, at: Context, path: Box) -> None:
        """A base chain's policy."""
        assert chain.entry is not None
        self.place(at.policy)
        accepts = chain.entry.policy == "accept"
        self.emit(
            path,
            at.accept if accepts else FINAL,
            _ACTS[chain.entry.policy],
            self.owners[f"policy of {chain.id}"],
        )

    def translate(self, number: int, lane: Lane) -> None:
        """Behind the nat chains of a hook, packets of known connections have addresses that no rule here tells."""
        cursor, done = Cursor([lane.path]), self.label()
        hook = self.hooks[self.stops[number].hook]
        sources = self.seen(Context(number, changed=lane.changed, defragmented=self.tracked), hook)
        if self.condition(KNOWN, cursor, sources, done, None):
            inner = self.single(cursor, done)
            self.rewrite(self.given(number), number + 1, lane, inner, apart=True)
        self.place(done)
        self.emit(lane.path, self.onward(number + 1, lane.path, lane.changed, lane.times))

    def told(self, number: int, lane: Lane) -> Lane:
        """The lane after what NAT gave it: one of several, nobody says which."""
        if not lane.rows:
            return lane
        self.rewrite(any_of(lane.rows), number, lane, lane.path)
        (after,) = self.waiting.pop(number)
        for label in after.labels:
            self.place(label)
        return after

    # -- rules

    def rules(self, chain: Chain, start: int, at: Context, path: Box, frames: tuple[Frame, ...]) -> None:
        self.walked[chain.id] = walks = self.walked.get(chain.id, 0) + 1
        for number in self.meeting(chain, start, at.sources, path):
            rule = chain.rules[number]
            held = self.held(rule, at.sources, kept=walks > 1)
            if held is None:
                cursor, rest = Cursor([path]), rule.body
            else:
                boxes, fork, rest = held
                paths = [m for box in boxes if (m := meet(path, box)) is not None] if path else boxes
                if not paths:
                    continue
                if (
                    len(rest) == 1
                    and type(last := rest[0]) is Verdict
                    and (act := _ACTS.get(last.kind)) is not None
                ):
                    self.writing = owner = self.owners[rule.id]
                    label = at.accept if act == Act.ACCEPT else at.back if act == Act.RETURN else FINAL
                    for box in paths:
                        self.emit(box, label, act, owner, not fork)
                    continue
                cursor = Cursor([*paths], fork)
            done, begin = self.label(), len(self.boxes)
            self.body(rule, rest, cursor, at, done, (Frame(chain, number + 1), *frames))
            self.place(done)
            if len(self.boxes) > begin and not is_plain(rule):
                self.spans.append((self.owners[rule.id], begin, len(self.boxes)))

    def body(
        self, rule: Rule, parts: tuple[Part, ...], cursor: Cursor, at: Context, done: int,
        frames: tuple[Frame, ...],
    ) -> None:  # fmt: skip
        """The parts of a rule; packets that fail a condition go on at `done`. `frames[0]` is the rule's own place."""
        missed, self.writing = False, self.owners[rule.id]
        for number, part in enumerate(parts):
            rest = parts[number + 1 :]
            if type(part) is Match or type(part) is Unknown:
                if not self.condition(part, cursor, at.sources, done, rest):
                    return
            elif type(part) is Verdict or type(part) is Jump or type(part) is Goto:
                self.decide(rule, part, cursor, at, done, frames)
                return
            elif isinstance(part, Branches):
                missed = True
                self.branches(rule, part, cursor, at, done, frames, last=not rest)
            elif isinstance(part, Nat):
                self.nat(rule, part, cursor, at, done)
                return
            elif isinstance(part, Assign | NoTrack):
                if self.changed(rule, part, rest, cursor, at, done, frames):
                    return
            else:
                assert isinstance(part, Effect)
        if not missed:
            owner = self.owners[rule.id]
            for path in cursor.paths:
                self.emit(path, -1, Act.PASS, owner, certain=not cursor.fork)

    def decide(
        self,
        rule: Rule,
        decision: Decision,
        cursor: Cursor,
        at: Context,
        done: int,
        frames: tuple[Frame, ...],
    ) -> None:
        owner, certain = self.owners[rule.id], not cursor.fork
        if not isinstance(decision, Verdict):
            for path in cursor.paths:
                self.past[len(self.boxes)] = done
                self.emit(path, -1, Act.CALL, owner, certain)
            path = self.single(cursor, done)
            chain, back = self.chains[decision.chain], self.label()
            if isinstance(decision, Goto):
                frames = (Frame(frames[0].chain, len(frames[0].chain.rules)), *frames[1:])
            self.rules(chain, 0, replace(at, back=back), path, frames)
            self.writing = owner
            self.place(back)
            if isinstance(decision, Goto):
                self.emit(path, at.back)
            return
        for path in cursor.paths:
            if decision.kind == "accept":
                self.emit(path, at.accept, Act.ACCEPT, owner, certain)
            elif decision.kind == "return":
                self.emit(path, at.back, Act.RETURN, owner, certain)
            elif decision.kind == "continue":
                self.emit(path, -1, Act.PASS, owner, certain)
            elif decision.kind == "queue":
                self.emit(path, FINAL, Act.QUEUE, owner, certain=False)
                self.emit(path, at.accept, certain=certain)
            else:
                self.emit(path, FINAL, _ACTS[decision.kind], owner, certain)

    def branches(
        self, rule: Rule, part: Branches, cursor: Cursor, at: Context, done: int, frames: tuple[Frame, ...],
        last: bool,
    ) -> None:  # fmt: skip
        one = self.single(cursor, done)
        taken: list[Box] = []
        for row, decision in part.branches:
            boxes, sure = self.conditions.boxes((row,), at.sources)
            met = [m for box in boxes if (m := meet(one, box)) is not None]
            if met:
                following = self.label()
                self.decide(rule, decision, Cursor(met, not sure), at, following, frames)
                self.place(following)
                taken += met if sure else []
        if not last:
            for box in taken:
                self.emit(box, done)

    # -- what changes packets

    def nat(self, rule: Rule, part: Nat, cursor: Cursor, at: Context, done: int) -> None:
        owner, certain = self.owners[rule.id], not cursor.fork
        following = at.stop + 1
        while self.layer == "ip" and following < len(self.stops) and not self.stops[following - 1].behind:
            following += 1
        to = {
            n: v
            for n, v in part.to.items()
            if DIMENSIONS[n].needs.get("family", ((self.family,) * 2,)) == ((self.family,) * 2,)
        }
        if not self.matters(to, following):
            for path in cursor.paths:
                self.emit(path, at.natted, Act.NAT, owner, certain)
            return
        if len(cursor.paths) > 1 or not certain:
            for path in cursor.paths:
                self.emit(path, -1, Act.NAT, owner, certain)
        path = self.single(cursor, done)
        owner = owner if certain else NOBODY
        known, _ = self.conditions.boxes(KNOWN.rows, at.sources)
        for box in known:  # those are rewritten anyway, to what their connection says
            if (shared := meet(path, box)) is not None:
                self.emit(shared, at.natted, Act.NAT, owner)
                left = _without(path, box)
                if left is None:
                    return
                path = left
        lane = Lane([], path, at.changed, at.times)
        if self.joined:
            label = self.onward(following, path, at.changed, at.times)
            self.waiting[following][-1].rows.append(to)
            self.emit(path, label, Act.NAT, owner)
            return
        self.rewrite(to, following, lane, path, owner=owner)

    def changed(
        self, rule: Rule, part: Assign | NoTrack, rest: tuple[Part, ...], cursor: Cursor, at: Context, done: int,
        frames: tuple[Frame, ...],
    ) -> bool:  # fmt: skip
        """Send packets that are changed to a copy of all that follows; False if nothing that follows asks."""
        name = part.dimension if isinstance(part, Assign) else "state"
        if isinstance(part, NoTrack) and (not at.raw or at.changed.get("state") == UNTRACKED):
            return False
        if not self.matters((name, "status", "ctmark") if name == "state" else (name,), at.stop):
            return False
        changed, steps = dict(at.changed), []
        if isinstance(part, NoTrack):
            changed["state"] = UNTRACKED
        elif part.values is not None:
            steps = become(self.columns, changed, name, part.values, at.times + 1)
        else:
            changed[name] = moved(part, at.sources)
            if changed[name] == at.sources.get(name, Source(name)):
                return False
        if not steps and rest and isinstance(rest[0], Nat):
            path = hull(cursor.paths)
            self.nat(rule, rest[0], cursor, self.under(at, changed, at.times + 1, path), done)
            return True
        path = inner = self.single(cursor, done)
        for step in steps:
            one = Cursor([inner])
            self.gate(one, step.boxes, FINAL)
            if not one.paths:
                self.emit(path, FINAL)
                return True
            inner = one.paths[0]
        self.emit(inner, self.copy(rule, rest, frames, changed, at, inner))
        if steps:
            self.emit(path, FINAL)
        return True

    def copy(
        self, rule: Rule, rest: tuple[Part, ...], frames: tuple[Frame, ...], changed: Mapping[str, Source], at: Context,
        path: Box,
    ) -> int:  # fmt: skip
        """The label of the copy of what follows within the base chain: one for each place and what was changed."""
        place = Copy.place(rest, frames, rule.body)
        key = (rule.id, place, tuple(id(frame.chain) for frame in frames), frozenset(changed.items()))
        held = self.shared.get(key)
        if held is None:
            label = self.label()
            held = Copy(label, rule, rest, frames, replace(at, changed=changed, times=at.times + 1), path)
            self.shared[key] = self.copied[label] = held
            heapq.heappush(self.copies, (place, label))
        else:
            held.path = hull([held.path, path])
        return held.label

    def rest(self, copy: Copy) -> None:
        """A copy of what follows within the base chain."""
        at = self.under(copy.at, copy.at.changed, copy.at.times, copy.path)
        backs = [self.label() for _ in copy.frames[1:]] + [at.policy]
        done = self.label()
        self.body(copy.rule, copy.rest, Cursor([copy.path]), replace(at, back=backs[0]), done, copy.frames)
        self.place(done)
        for number, frame in enumerate(copy.frames):
            inner = replace(at, back=backs[number])
            self.rules(frame.chain, frame.at, inner, copy.path, copy.frames[number + 1 :])
            if number < len(copy.frames) - 1:
                self.place(backs[number])
        stop = self.stops[at.stop]
        self.end(self.bases[stop.hook][stop.chain], at, copy.path)


def _without(path: Box, box: Box) -> Box | None:
    """A box around what is left of one without another, which bounds one column; None: nothing is."""
    if len(box) != 1:
        return path
    ((column, (low, high)),) = box.items()
    if column not in path or path[column][0] < low or path[column][0] > high:
        return path
    return {**path, column: (high + 1, path[column][1])} if path[column][1] > high else None
