"""Random small programs that use everything the form knows, over domains small enough to try every packet."""

from __future__ import annotations

import random

from wardkeep.packets.dimensions import AnyBit, Bits, Row, Values
from wardkeep.packets.program import (
    Assign,
    Branches,
    Chain,
    Decision,
    Effect,
    Entry,
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

HOOKS = {
    "prerouting": (-300, -150, 0),
    "input": (0, 10),
    "forward": (0,),
    "output": (-300, 0),
    "postrouting": (0, 150),
}


class Maker:
    """Programs with a few dimensions each. `simple`: one base chain, no rewriting."""

    def __init__(self, seed: int, simple: bool = False, few: bool = False) -> None:
        self.rng = random.Random(seed)
        pool = [
            "src4",
            "dport",
            "state",
            "mark",
            "in",
            "tcp_flags",
            "proto",
            "status",
            "icmp_type",
            "dst4",
            "src6",
        ]
        self.dimensions = self.rng.sample(pool, 2 if simple or few else 3)
        self.simple = simple
        self.unknowns = self.rng.random() < 0.5
        self.count = 0

    def values(self, name: str) -> Values:
        rng = self.rng
        if name == "in":
            return tuple(rng.sample(["eth0", "eth*", "lo", "*", ""], rng.choice([1, 1, 2])))
        if name in ("tcp_flags", "status", "mark"):
            kinds = [
                Bits(3, rng.randrange(4)),
                AnyBit(rng.randrange(1, 4)),
                Bits(255, rng.randrange(3)),
                (1, 2),
            ]
            return tuple(rng.sample(kinds, 1))
        top = {"state": 4, "proto": 17, "icmp_type": 3}.get(name, 7)
        if name == "proto":
            return tuple((p, p) for p in rng.sample([1, 6, 17, 58], rng.choice([1, 2])))
        spans = []
        for _ in range(rng.choice([1, 1, 1, 2])):
            a, b = rng.randrange(top + 1), rng.randrange(top + 1)
            spans.append((a, b) if rng.random() < 0.05 else (min(a, b), max(a, b)))
        return tuple(spans)

    def row(self, most: int = 2) -> Row:
        names = self.rng.sample(self.dimensions, self.rng.randint(1, min(most, len(self.dimensions))))
        return {name: self.values(name) for name in names}

    def condition(self) -> Match | Unknown:
        rng = self.rng
        if self.unknowns and rng.random() < 0.25:
            may = (self.row(),) if rng.random() < 0.4 else ({},)
            return Unknown("perhaps", may, may if may != ({},) and rng.random() < 0.3 else ())
        rows = tuple(self.row() for _ in range(rng.choice([1, 1, 1, 2, 3])))
        return Match(rows, rng.random() < 0.3, rng.random() < 0.2)

    def decision(self, callable_: list[str]) -> Decision:
        kinds: list[Decision] = [
            Verdict("accept"),
            Verdict("drop"),
            Verdict("return"),
            Verdict("reject"),
            Verdict("accept"),
        ]
        kinds += [Verdict("continue"), Verdict("queue")] if self.rng.random() < 0.3 else []
        for name in callable_:
            kinds += [Jump(name), Jump(name), Goto(name)]
        return self.rng.choice(kinds)

    def body(self, callable_: list[str], hook: str, kind: str) -> tuple[Part, ...]:
        rng = self.rng
        parts: list[Part] = [self.condition() for _ in range(rng.choice([0, 1, 1, 2]))]
        if rng.random() < 0.1:
            parts.append(Effect("log"))
        if not self.simple and rng.random() < 0.15:
            parts.append(
                rng.choice(
                    [
                        Assign("mark", xor=rng.randrange(4)),
                        Assign("mark", keep=0xFFFFFFFE, xor=rng.randrange(2)),
                        Assign("mark", values=((1, 2),)),
                        Assign("mark", source="ctmark", keep=0xFFFFFFFF),
                        NoTrack(),
                    ]
                )
            )
            if rng.random() < 0.3:
                parts.append(self.condition())
        if kind == "nat" and rng.random() < 0.5:
            name = rng.choice(["dst4", "dport"] if hook in ("prerouting", "output") else ["src4"])
            parts.append(Nat("dnat", {name: ((3, rng.choice([3, 4])),)}))
        elif rng.random() < 0.12:
            rows = [({"dport": ((v, v),)}, self.decision(callable_)) for v in rng.sample(range(5), 2)]
            parts.append(Branches(tuple(rows)))
            if rng.random() < 0.3:
                parts += [self.condition(), self.decision(callable_)]
        elif rng.random() < 0.9:
            parts.append(self.decision(callable_))
        return tuple(parts)

    def chain(self, name: str, callable_: list[str], entry: Entry | None) -> Chain:
        rules = []
        for position in range(1, self.rng.randint(1, 5) + 1):
            self.count += 1
            hook, kind = (entry.hook, entry.kind) if entry else ("", "")
            rules.append(Rule(f"r{self.count}", self.body(callable_, hook, kind), position))
        return Chain(name, tuple(rules), entry)

    def program(self) -> Program:
        rng = self.rng
        users: list[str] = []
        chains = []
        for n in range(rng.choice([0, 1, 2, 3])):
            chains.append(self.chain(f"u{n}", list(users[-2:]), None))
            users.append(f"u{n}")
        for n in range(1 if self.simple else rng.choice([1, 2, 3, 4])):
            hook = "input" if self.simple else rng.choice(list(HOOKS))
            nat = not self.simple and hook != "forward" and rng.random() < 0.25
            entry = Entry(
                hook,
                rng.choice([(4,), (4, 6), (6,)]) if not self.simple else (4,),
                -100 if nat else rng.choice(HOOKS[hook]),
                rng.choice(["accept", "drop"]),
                kind="nat" if nat else "filter",
                dormant=rng.random() < 0.05,
            )
            chains.append(self.chain(f"b{n}", users, entry))
        return Program(
            tuple(chains), conntrack=rng.choice([None, None, True]), fragments=rng.choice([None, True])
        )
