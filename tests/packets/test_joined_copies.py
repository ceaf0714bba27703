"""Where packets that NAT rewrote share one copy of what follows, nothing that can happen is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.packets.random_programs import Maker
from tests.packets.test_engine_against_reference import by_trying, by_walking, every_point

from wardkeep.packets import unfold, worlds
from wardkeep.packets.audit import analyse
from wardkeep.packets.dimensions import Values
from wardkeep.packets.program import Chain, Entry, Match, Nat, Part, Program, Rule, Verdict
from wardkeep.packets.ranks import rank
from wardkeep.packets.worlds import Owners


@pytest.fixture(autouse=True)
def always_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worlds, "MOST_COPIED", -1)


class Translating(Maker):
    """Programs in which several rules rewrite destinations (some of them ports as well) and later chains ask about them."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.dimensions = ["dst4", self.rng.choice(["src4", "in", "mark", "dst4"])]
        self.hook = self.rng.choice(["prerouting", "output"])

    def program(self) -> Program:
        made, rng = super().program(), self.rng
        rules = []
        for n in range(rng.randint(2, 4)):
            low = rng.randrange(6)
            to: dict[str, Values] = {"dst4": ((low, low if rng.random() < 0.6 else low + 1),)}
            if rng.random() < 0.1:
                to["dport"] = ((3, 3),)
            parts: list[Part] = [self.condition()]
            rules.append(Rule(f"n{n}", (*parts, Nat("dnat", to)), n + 1))
        nat = Chain("nat", tuple(rules), Entry(self.hook, (4,), -100, "accept", kind="nat"))
        after = rng.choice(["input", "forward"]) if self.hook == "prerouting" else "output"
        asks = self.chain("asks", [], Entry(after, (4,), 5, rng.choice(["accept", "drop"])))
        return replace(made, chains=(*made.chains, nat, asks))


def compare(seed: int) -> tuple[int, int]:
    """Packets compared, and those of which exactly what happens is told."""
    program = Translating(seed).program()
    ranks, owners = rank([program]), Owners.of(program)
    ids = {r.id for c in program.chains for r in c.rules}
    packets = exact = 0
    for flat in worlds.worlds(program, ranks=ranks):
        points = every_point(flat)
        if points is None:
            continue
        own = [n for n, name in enumerate(flat.columns.names) if "'" not in name]
        walked: dict[tuple[int, ...], tuple[set[str], set[str]]] = {}
        for point, who, fates in zip(points, *by_walking(flat, points), strict=True):
            have = walked.setdefault(tuple(int(v) for v in point[own]), (set(), set()))
            have[0].update(owners.names[o] for o in who)
            have[1].update(fates)
        for key, (who, fates) in walked.items():
            point = np.zeros(len(flat.columns.names), dtype=np.int32)
            point[own] = key
            matched, ends = by_trying(program, flat, ranks, point)
            assert matched <= who, (seed, flat.family, flat.route, key)
            assert ends <= fates, (seed, flat.family, flat.route, key)
            packets += 1
            exact += (matched, ends) == (who & ids, fates)
    return packets, exact


def test_whatever_can_happen_is_in_the_shared_copy() -> None:
    done = [compare(seed) for seed in range(200)]
    packets = sum(packets for packets, _ in done)
    assert packets > 4_000
    assert sum(exact for _, exact in done) > 0.8 * packets


def test_a_copy_in_which_nothing_was_rewritten_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfold, "any_of", lambda rows: {})
    caught = 0
    for seed in range(120):
        try:
            compare(seed)
        except AssertionError:
            caught += 1
    assert caught > 1


def test_what_is_dead_or_removable_there_is_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shared copy may leave rules alive that are dead, never the other way round."""
    said = 0
    for seed in range(34):
        program = Translating(seed).program()
        rough = {a.rule: a.verdict for a in analyse(program, explained=False).rules}
        with monkeypatch.context() as patch:
            patch.setattr(worlds, "MOST_COPIED", 10**9)
            fine = {a.rule: a.verdict for a in analyse(program, explained=False).rules}
        for rule, verdict in rough.items():
            if verdict in ("dead", "removable"):
                said += 1
                assert fine[rule] in ("dead", "removable"), (seed, rule, verdict, fine[rule])
                assert verdict == "removable" or fine[rule] == "dead", (seed, rule)
    assert said > 100


def published(count: int) -> Program:
    """A host that publishes `count` services by NAT and filters as many."""
    nat = tuple(
        Rule(f"n{n}", (Match(({"dst4": ((n, n),)},)), Nat("dnat", {"dst4": ((5000 + n, 5000 + n),)})), n + 1)
        for n in range(count)
    )
    asked = tuple(
        Rule(f"f{n}", (Match(({"dst4": ((5000 + n, 5000 + n),)},)), Verdict("accept")), n + 1)
        for n in range(count)
    )
    return Program(
        (
            Chain("nat", nat, Entry("prerouting", (4,), -100, "accept", kind="nat")),
            Chain("filter", asked, Entry("forward", (4,), 0, "drop")),
        )
    )


def test_lists_grow_with_the_rules_and_not_with_their_square() -> None:
    sizes = [sum(map(len, worlds.worlds(published(count)))) for count in (100, 200, 400)]
    assert sizes[2] < 20 * 800
    assert sizes[2] - sizes[1] < 2.2 * (sizes[1] - sizes[0])


def test_what_the_work_does_not_suffice_for_is_said_to_be_undecided() -> None:
    told = {a.verdict for a in analyse(published(100), work=1e4).rules}
    assert told <= {"live", "undecided"}
    assert "undecided" in told
    assert {a.verdict for a in analyse(published(100)).rules} == {"live"}
