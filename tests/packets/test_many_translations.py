"""Dumps in which much is translated: packets that are changed in different ways share copies of what follows, and nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from bench.firewall_dumps import translating
from tests.packets.random_programs import Maker
from tests.packets.test_audit_against_reference import check_program
from tests.packets.test_engine_against_reference import compare_program

from wardkeep.packets import lanes, unfold, worlds
from wardkeep.packets.audit import analyse
from wardkeep.packets.cases import Box
from wardkeep.packets.dimensions import Values
from wardkeep.packets.lanes import Lane
from wardkeep.packets.program import (
    Assign,
    Chain,
    Entry,
    Goto,
    Jump,
    Match,
    Nat,
    Part,
    Program,
    Rule,
    Unknown,
    Verdict,
)
from wardkeep.rulesets.files import Source, rule_sets


def entries(program: Program) -> int:
    return sum(len(flat.lo) for flat in worlds.worlds(program))


def test_200_rules_of_dnat_share_a_copy_and_nothing_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    text = translating(450, 200)
    program = rule_sets([Source(Path("dump"), "iptables", text)])[0].program
    shared, together = analyse(program), entries(program)
    monkeypatch.setattr(lanes, "_may_differ", lambda name, source: False)
    monkeypatch.setattr(worlds, "FEW_ENTRIES", 10**7)
    alone, each = analyse(program), entries(program)
    assert [a.verdict for a in shared.rules] == [a.verdict for a in alone.rules]
    assert "undecided" not in {a.verdict for a in shared.rules}
    assert together * 5 < each


class Translating(Maker):
    """Programs in which most is changed on the way: several nat chains with chains of their own, marks before them and between, and
    filters that ask about all of it."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, few=True)
        more = self.rng.choice(["src4", "in", "dport", "status", "mark"])
        self.dimensions = list(dict.fromkeys(["dst4", self.rng.choice(["mark", "dst4", "dport"]), more]))
        self.hot, self.given = self.rng.randrange(8), list[int]()
        self.hook = self.rng.choice(["prerouting", "prerouting", "output"])

    def narrow(self) -> Match:
        """One address, sometimes with one port: what rules of NAT ask for, so that most of them share no packet."""
        at = self.rng.choice([self.hot, self.hot, self.rng.randrange(8)])
        row: dict[str, Values] = {"dst4": ((at, at),)}
        if "dport" in self.dimensions and self.rng.random() < 0.5:
            row |= {"proto": ((6, 6),), "dport": ((self.rng.randrange(3),) * 2,)}
        return Match((row,))

    def nat(self) -> Nat:
        rng = self.rng
        low = rng.randrange(7)
        self.given.append(low)
        to: dict[str, Values] = {"dst4": ((low, low + (rng.random() < 0.25)),)}
        if rng.random() < 0.4:
            to["dport"] = ((rng.randrange(4),) * 2,)
        return Nat(rng.choice(["dnat", "redirect"]), to)

    def translation(self, name: str, callable_: list[str]) -> tuple[Rule, ...]:
        rng, rules = self.rng, []
        for n in range(rng.randint(2, 5)):
            parts: list[Part] = [self.narrow() if rng.random() < 0.7 else self.condition()]
            if rng.random() < 0.2:
                parts.append(Unknown("perhaps"))
            if rng.random() < 0.3:
                parts.append(
                    rng.choice(
                        [
                            Assign("status", xor=32),
                            Assign("mark", keep=0xFFFFFFFD, xor=2),
                            Assign("mark", xor=rng.randrange(3)),
                        ]
                    )
                )
            if callable_ and rng.random() < 0.4:
                parts.append(rng.choice([Jump, Goto])(rng.choice(callable_)))
            elif rng.random() < 0.8:
                parts.append(self.nat())
            elif rng.random() < 0.3:
                parts.append(Verdict("accept"))
            rules.append(Rule(f"{name}{n}", tuple(parts), n + 1))
        return tuple(rules)

    def program(self) -> Program:
        rng = self.rng
        users: list[str] = []
        chains: list[Chain] = []
        for n in range(rng.randrange(3)):
            chains.append(Chain(f"to{n}", self.translation(f"t{n}-", list(users))))
            users.append(f"to{n}")
        early, late = (-150, 0) if rng.random() < 0.7 else (-300, 0)
        if rng.random() < 0.6:
            chains.append(self.chain("early", [], Entry(self.hook, (4,), early, "accept")))
        for n in range(rng.choice([1, 1, 2])):
            entry = Entry(self.hook, (4,), -100 + n, "accept", kind="nat")
            chains.append(Chain(f"nat{n}", self.translation(f"n{n}-", users), entry))
        after = rng.choice(["input", "forward"]) if self.hook == "prerouting" else "output"
        chains.append(self.chain("asks", [], Entry(after, (4,), late, rng.choice(["accept", "drop"]))))
        told = [
            Rule(f"g{n}", (Match(({"dst4": ((at, at),)},)), Verdict(rng.choice(["accept", "drop"]))), n + 1)
            for n, at in enumerate(rng.sample(self.given, len(self.given))[:3])
        ]
        chains.append(Chain("given", tuple(told), Entry(after, (4,), late - 1, "accept")))
        if rng.random() < 0.5:
            policy = rng.choice(["accept", "drop"])
            chains.append(self.chain("more", [], Entry(after, (4,), late + 5, policy)))
        if rng.random() < 0.4:
            entry = Entry("postrouting", (4,), 100, "accept", kind="nat")
            chains.append(Chain("last", self.translation("l", []), entry))
        return Program(tuple(chains))


def compare(seed: int) -> int:
    return compare_program(seed, Translating(seed).program(), sampled=True)[0]


def test_programs_that_translate_agree_packet_by_packet() -> None:
    assert sum(map(compare, range(50))) > 900


class Few(Translating):
    """The same with so few addresses that every packet can be tried."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.dimensions = ["dst4", self.rng.choice(["dst4", "mark"])]

    def nat(self) -> Nat:
        return Nat("dnat", {"dst4": super().nat().to["dst4"]})


def test_verdicts_about_programs_that_translate_are_those_of_trying_every_packet() -> None:
    counts: dict[str, int] = {}
    for seed in range(45):
        for verdict, count in check_program(seed, Few(seed).program(), 300).items():
            counts[verdict] = counts.get(verdict, 0) + count
    assert min(counts["live"], counts["dead"]) > 20, counts
    assert counts["removable"] > 3


def mutants() -> dict[str, tuple[object, str, object]]:
    """Shortcuts that would be wrong: what is patched, its name, and with what."""
    joined, without = lanes.gathered, unfold._without

    def blind(given: list[Lane], asked: frozenset[str]) -> list[Lane]:
        return joined([replace(lane, changed={}) for lane in given], asked)

    def overlapping(self: lanes._Group, lane: Lane) -> bool:
        if lanes._fixed(lane) != self.fixed:
            return False
        self.add(lane)
        return True

    def forgetting(path: Box, box: Box) -> Box | None:
        return without(path, {column: (low, high + 1) for column, (low, high) in box.items()})

    return {
        "changes are forgotten": (unfold, "gathered", blind),
        "cases that overlap are joined": (lanes._Group, "takes", overlapping),
        "one state too many is taken for known": (unfold, "_without", forgetting),
    }


@pytest.mark.parametrize("name", mutants())
def test_a_wrong_shortcut_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, what, instead = mutants()[name]
    monkeypatch.setattr(where, what, instead)
    caught = 0
    for seed in range(50):
        try:
            compare(seed)
        except AssertionError:
            caught += 1
        if caught > 1:
            return
    raise AssertionError(f"{caught} seen")
