"""From a program to flat lists, one for each world (family and route).

Jumps are written out in place. A rewrite (mark, notrack, NAT) that something later asks about becomes a copy of all that
follows, entered by the packets that are rewritten, in which the value is known or is a column of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from wardkeep.packets.conditions import Box, Columns, Source, Step, meet
from wardkeep.packets.dimensions import ANY, DESTINATION, DIMENSIONS, SOURCE, STATES, Row
from wardkeep.packets.flat import Act, Flat
from wardkeep.packets.order import CONNTRACK, DEFRAGMENT, PATHS, Traits, base_chains
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
)
from wardkeep.packets.rewriting import Context, Frame, any_of, become, moved
from wardkeep.packets.writer import FINAL, Cursor, Writer

UNTRACKED: Final = Source(value=STATES.index("untracked"))
_ACTS: Final = {"accept": Act.ACCEPT, "drop": Act.DROP, "reject": Act.REJECT, "return": Act.RETURN}


class Unfolding(Writer):
    """One world. `owners` maps rule ids, and "policy of CHAIN", to numbers. `joined`: packets that rules of one hook's nat chains
    rewrote share one copy of what follows."""

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
        self.joined: dict[int, list[Row]] | None = {} if joined and layer == "ip" else None
        self.program, self.owners, self.layer = program, owners, layer
        self.chains = {chain.id: chain for chain in program.chains}
        self.hooks = PATHS[layer][route]
        self.bases = [base_chains(program, hook, family, layer) for hook in self.hooks]
        self.tracked = layer == "ip" and traits.tracked
        self.whole = layer == "ip" and not traits.fragments
        self.rewritten = traits.rewritten
        self._asked = traits.asked

    @property
    def enters(self) -> bool:
        """Whether any base chain sees packets of this world."""
        return any(self.bases)

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
        self.follow(Context(), {})
        self.place(FINAL)
        return self.arrays(space)

    def follow(self, at: Context, path: Box) -> None:
        """Everything from a base chain on, to the end of the packet's path."""
        for hook in range(at.hook, len(self.hooks)):
            for number in range(at.chain if hook == at.hook else 0, len(self.bases[hook])):
                at = self.enter(replace(at, hook=hook, chain=number), path)
        self.defragment(at, path)
        self.emit(path, FINAL, Act.END)

    def enter(self, at: Context, path: Box) -> Context:
        """One base chain, from its beginning to behind its end."""
        chain = self.bases[at.hook][at.chain]
        entry, hook = chain.entry, self.hooks[at.hook]
        assert entry is not None
        early = self.layer == "ip" and hook in ("prerouting", "output")
        if not (early and entry.priority <= DEFRAGMENT):
            at = self.defragment(at, path)
        nat = entry.kind == "nat"
        at = replace(
            at, raw=self.tracked and early and not nat and entry.priority < CONNTRACK,
            accept=self.label(), policy=self.label(),
        )  # fmt: skip
        at = replace(at, sources=self.seen(at, hook), back=at.policy)
        if nat and at.natted == FINAL:
            at = replace(at, natted=self.label(), joined=self.label())
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
        self.place(at.accept)
        return self.after_nat(at, path) if nat else at

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

    def defragment(self, at: Context, path: Box) -> Context:
        """From here on fragments are whole packets; those that some chain saw end here."""
        if (
            self.tracked
            and not at.defragmented
            and not self.whole
            and self.sees_fragments()
            and "fragment" in self.columns.index
        ):
            part = meet(path, {self.columns.index["fragment"]: (1, 1)})
            if part is not None:
                self.emit(part, FINAL)
        return replace(at, defragmented=self.tracked)

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

    def after_nat(self, at: Context, path: Box) -> Context:
        """Behind the last nat chain of a hook, packets of known connections have addresses that no rule here tells."""
        following = self.bases[at.hook][at.chain + 1 :]
        if any(c.entry and c.entry.kind == "nat" for c in following):
            return at
        self.place(at.natted)
        at = replace(at, natted=FINAL)
        if self.layer != "ip":
            return at
        early = self.hooks[at.hook] in ("prerouting", "output")
        names = DESTINATION if early else SOURCE
        to = {n: ANY[n] for n in names if n in self.rewritten}
        if self.matters(to, at.hook, at.chain + 1):
            known = Match(({"state": ((1, 2),)},))
            cursor, done = Cursor([path]), self.label()
            if self.condition(known, cursor, at.sources, done, None):
                inner = self.single(cursor, done)
                self.rewrite(to, replace(at, chain=at.chain + 1), inner)
                self.emit(inner, FINAL)
            self.place(done)
        if self.joined and (rows := self.joined.pop(at.joined, [])):
            done = self.label()
            self.emit(path, done)
            self.place(at.joined)
            self.rewrite(any_of(rows), replace(at, chain=at.chain + 1), path)
            self.emit(path, FINAL)
            self.place(done)
        return at

    def matters(self, names: Iterable[str], hook: int, chain: int) -> bool:
        """Whether a base chain from that one on asks about one of the dimensions."""
        wanted = {n for n in names if n not in self.vague and n in self.columns.ranks}
        if not wanted:
            return False
        for number in range(hook, len(self.hooks)):
            for base in self.bases[number][chain if number == hook else 0 :]:
                if wanted & self._asked[base.id]:
                    return True
        return False

    # -- rules

    def rules(self, chain: Chain, start: int, at: Context, path: Box, frames: tuple[Frame, ...]) -> None:
        for number in range(start, len(chain.rules)):
            rule = chain.rules[number]
            done = self.label()
            self.body(rule, rule.body, Cursor([path]), at, done, (Frame(chain, number + 1), *frames))
            self.place(done)

    def body(
        self, rule: Rule, parts: tuple[Part, ...], cursor: Cursor, at: Context, done: int,
        frames: tuple[Frame, ...],
    ) -> None:  # fmt: skip
        """The parts of a rule; packets that fail a condition go on at `done`. `frames[0]` is the rule's own place."""
        missed = False
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
        chains, following = self.bases[at.hook], at.chain + 1
        while following < len(chains) and (e := chains[following].entry) and e.kind == "nat":
            following += 1
        to = {
            n: v
            for n, v in part.to.items()
            if DIMENSIONS[n].needs.get("family", ((self.family,) * 2,)) == ((self.family,) * 2,)
        }
        if not self.matters(to, at.hook, following):
            for path in cursor.paths:
                self.emit(path, at.natted, Act.NAT, owner, certain)
            return
        for path in cursor.paths:
            self.emit(path, -1, Act.NAT, owner, certain)
        path = self.single(cursor, done)
        known, _ = self.conditions.boxes(({"state": ((1, 2),)},), at.sources)
        for box in known:  # those are rewritten anyway, to what their connection says
            if (shared := meet(path, box)) is not None:
                self.emit(shared, at.natted)
        if self.joined is not None:
            self.joined.setdefault(at.joined, []).append(to)
            self.emit(path, at.joined)
            return
        self.rewrite(to, replace(at, chain=following, natted=FINAL), path)
        self.emit(path, FINAL)

    def rewrite(self, to: Row, at: Context, path: Box) -> None:
        """The rest of the packet's path, from a base chain on, after dimensions became some of the given values."""
        changed, inner = dict(at.changed), dict(path)
        steps: list[Step] = []
        for name, values in to.items():
            if name in self.columns.ranks and name not in self.vague:
                steps += become(self.columns, changed, name, values, at.times + 1)
        at = replace(at, changed=changed, times=at.times + 1)
        cursor = Cursor([inner])
        for step in steps:
            if len(step.boxes) == 1:
                cursor.paths = [{**p, **step.boxes[0]} for p in cursor.paths]
            else:
                self.gate(cursor, step.boxes, FINAL)
        self.follow(at, self.single(cursor, FINAL))

    def changed(
        self, rule: Rule, part: Assign | NoTrack, rest: tuple[Part, ...], cursor: Cursor, at: Context, done: int,
        frames: tuple[Frame, ...],
    ) -> bool:  # fmt: skip
        """Write a copy of all that follows for packets that are changed; False if nothing that follows asks."""
        name = part.dimension if isinstance(part, Assign) else "state"
        if isinstance(part, NoTrack) and (not at.raw or at.changed.get("state") == UNTRACKED):
            return False
        if not self.matters((name, "status", "ctmark") if name == "state" else (name,), at.hook, at.chain):
            return False
        changed, steps = dict(at.changed), []
        if isinstance(part, NoTrack):
            changed["state"] = UNTRACKED
        elif part.values is not None:
            steps = become(self.columns, changed, name, part.values, at.times + 1)
        else:
            changed[name] = moved(part, at.sources)
        path = self.single(cursor, done)
        copy = replace(at, changed=changed, times=at.times + 1)
        copy = replace(copy, accept=self.label(), policy=self.label())
        if at.natted != FINAL:
            copy = replace(copy, natted=self.label(), joined=self.label())
        copy = replace(copy, sources=self.seen(copy, self.hooks[at.hook]))
        inner = Cursor([path])
        for step in steps:
            self.gate(inner, step.boxes, FINAL)
        if inner.paths:
            self.rest(rule, rest, copy, inner.paths[0], frames)
        self.emit(path, FINAL)
        return True

    def rest(
        self, rule: Rule, parts: tuple[Part, ...], at: Context, path: Box, frames: tuple[Frame, ...]
    ) -> None:
        """A copy of what follows within the base chain, and everything behind it."""
        backs = [self.label() for _ in frames[1:]] + [at.policy]
        done = self.label()
        self.body(rule, parts, Cursor([path]), replace(at, back=backs[0]), done, frames)
        self.place(done)
        for number, frame in enumerate(frames):
            self.rules(frame.chain, frame.at, replace(at, back=backs[number]), path, frames[number + 1 :])
            if number < len(frames) - 1:
                self.place(backs[number])
        base = self.bases[at.hook][at.chain]
        self.end(base, at, path)
        self.place(at.accept)
        then = self.after_nat(at, path) if base.entry and base.entry.kind == "nat" else at
        self.follow(replace(then, chain=at.chain + 1), path)
