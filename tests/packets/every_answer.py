"""Every answer of every condition that is not modelled, tried one by one: the judge of `packets/chances.py`."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from tests.packets.random_programs import Maker

from wardkeep.packets.order import PATHS, base_chains
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
    Program,
    Rule,
    Unknown,
    Verdict,
)
from wardkeep.packets.reference import Packet, _Run, _State

Place = tuple[str, ...]  # the rules called from, the rule, and the number of its condition
LIMIT = Unknown("limit rate 10/second")
SETS = Unknown("ip saddr @seen")
MOST_ANSWERS = 8_000


class Unsaid(Exception):
    """A condition was come to of which no answer is given yet."""


@dataclass
class Walk:
    """One packet's one way, where `said` answers every condition that is not modelled."""

    program: Program
    packet: Packet
    said: Mapping[Place, bool]
    done: list[str] = field(default_factory=list)  # what was noticed on the way
    asked: list[Place] = field(default_factory=list)
    state: _State = field(init=False)

    def fate(self) -> str:
        run = _Run(self.program, self.packet, {})
        start: dict[str, int | str] = {"fragment": 0, "mark": 0, "ctmark": 0, **self.packet}
        self.state = state = _State(tuple(sorted(start.items())), frozenset())
        for hook in PATHS["ip"][str(self.packet["route"])]:
            for base in base_chains(self.program, hook, state.get("family")):
                told = self.chain(run, base, (hook,))
                assert base.entry
                told = base.entry.policy if told in ("back", "return") else told
                if told in ("drop", "reject"):
                    return told
        return "accept"

    def chain(self, run: _Run, at: Chain, path: Place) -> str:
        for rule in at.rules:
            told = self.rule(run, rule, (*path, rule.id))
            if told.startswith(("jump ", "goto ")):
                inner = self.chain(run, run.chains[told[5:]], (*path, rule.id))
                if inner in ("back", "return"):
                    if told.startswith("jump "):
                        continue
                    return "back"
                return inner
            if told != "next":
                return told
        return "back"

    def rule(self, run: _Run, rule: Rule, path: Place) -> str:
        for number, part in enumerate(rule.body):
            state = self.state
            if isinstance(part, Match):
                if not run.matches(part, state):
                    return "next"
            elif isinstance(part, Unknown):
                place = (*path, str(number))
                self.asked.append(place)
                if not run.any_row(part.may, state):
                    return "next"
                if run.any_row(part.must, state):
                    continue
                if place not in self.said:
                    raise Unsaid(place)
                if not self.said[place]:
                    return "next"
            elif isinstance(part, Effect):
                self.done.append(part.text)
            elif isinstance(part, Assign):
                old = state.get(part.source or part.dimension)
                assert isinstance(old, int)
                self.state = state.with_value(part.dimension, (old & part.keep) ^ part.xor)
                self.done.append("mark")
            elif isinstance(part, Branches):
                for row, decision in part.branches:
                    if run.row(row, state):
                        return self.decided(decision)
            else:
                assert isinstance(part, Verdict | Jump | Goto)
                return self.decided(part)
        return "next"

    @staticmethod
    def decided(decision: Decision) -> str:
        told = _Run.decided(decision)
        return (
            f"reject {decision.detail}".strip()
            if isinstance(decision, Verdict) and told == "reject"
            else told
        )


def answered(
    program: Program, packet: Packet, said: dict[Place, bool]
) -> Iterator[tuple[dict[Place, bool], Walk, str]]:
    """Every way of a packet that the answers leave open, with the answers that it took."""
    walk = Walk(program, packet, said)
    try:
        fate = walk.fate()
    except Unsaid as e:
        for answer in (False, True):
            yield from answered(program, packet, {**said, e.args[0]: answer})
        return
    yield said, walk, fate


def deciding(program: Program, packets: list[dict[str, int | str]]) -> dict[str, set[str]] | None:
    """Rule → the ends that change with one answer of one of its conditions: "fate", "done". None: too many to try."""
    out: dict[str, set[str]] = {}
    tried = 0
    for packet in packets:
        for said, walk, fate in answered(program, packet, {}):
            for place in {p for p in walk.asked if p in said}:
                flipped = {**said, place: not said[place]}
                for _, other, otherwise in answered(program, packet, flipped):
                    tried += 1
                    if tried > MOST_ANSWERS:
                        return None
                    found = out.setdefault(place[-2], set())
                    found |= {"fate"} if fate != otherwise else set()
                    found |= {"done"} if sorted(walk.done) != sorted(other.done) else set()
    return out


def made(seed: int, marks: bool = False) -> Program:
    """A random program with conditions that are not modelled in it, and nothing that rewrites packets but, if wanted, marks."""
    maker = Maker(seed, simple=seed % 3 == 0 and not marks, few=True)
    maker.unknowns = True
    if marks:
        maker.dimensions[0] = "mark"
    rng = random.Random(seed)
    program = maker.program()

    def body(rule: Rule) -> Rule:
        parts = [
            p
            for p in rule.body
            if not isinstance(p, NoTrack | Nat) and not (isinstance(p, Assign) and (not marks or p.values))
        ]
        if marks and rng.random() < 0.2:
            parts.insert(min(1, len(parts)), Assign("mark", xor=rng.randrange(4)))
        parts = [
            replace(p, text=rng.choice(["limit rate 1/second", "ip saddr @s"]))
            if isinstance(p, Unknown)
            else p
            for p in parts
        ]
        parts = [Verdict("drop") if p == Verdict("queue") else p for p in parts]
        if rng.random() < 0.2:
            parts.insert(0, rng.choice([LIMIT, SETS]))
        if rng.random() < 0.1:
            parts.insert(rng.randrange(len(parts) + 1), Effect("update @seen"))
        rows = [
            replace(
                p, branches=tuple((r, Verdict("drop") if d == Verdict("queue") else d) for r, d in p.branches)
            )
            if isinstance(p, Branches)
            else p
            for p in parts
        ]
        return replace(rule, body=tuple(rows))

    chains = tuple(
        replace(
            c,
            rules=tuple(map(body, c.rules)),
            entry=replace(c.entry, kind="filter", hook=rng.choice(["input", "forward"]), priority=rng.choice([0, 10])) if c.entry else None,
        )
        for c in program.chains
    )  # fmt: skip
    return replace(program, chains=chains, conntrack=False, fragments=False)
