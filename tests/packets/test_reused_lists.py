"""Lists that are made once and used again say what lists made anew say: in finer ranks, and without some rules."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from tests.packets.random_programs import Maker

from wardkeep.packets import difference
from wardkeep.packets import finer as module
from wardkeep.packets.audit import analyse
from wardkeep.packets.conditions import Columns
from wardkeep.packets.difference import removals
from wardkeep.packets.dimensions import ROUTES, Row, states
from wardkeep.packets.finer import finer
from wardkeep.packets.flat import Flat
from wardkeep.packets.program import Chain, Entry, Goto, Jump, Match, Program, Rule, Verdict
from wardkeep.packets.ranks import rank
from wardkeep.packets.worlds import unfold, worlds
from wardkeep.rulesets.audit import openings
from wardkeep.rulesets.audit.openings import Openings

QUESTIONS: tuple[Row, ...] = (
    {"proto": ((6, 6),), "dport": ((22, 22),), "tcp_flags": ((2, 2),), "state": states("new")},
    {"src4": ((3, 5), (9, 2**31)), "dst4": ((1, 2**30),), "fragment": ((0, 0),), "in": ("lo",)},
)
PARTS = ("lo", "hi", "target", "certain", "owner", "act", "fate", "space")


def both(program: Program) -> tuple[int, int]:
    """How many lists were made finer, and how many could not be."""
    made = refused = 0
    ranks = rank([program], QUESTIONS)
    for flat in worlds(program):
        found = finer(flat, ranks)
        if found is None or ("fragment" not in flat.columns.index and program.fragments):
            refused += 1
            continue
        made += 1
        anew = unfold(program, Columns(ranks), flat.family, flat.route)
        assert anew is not None
        for name in PARTS:
            assert np.array_equal(getattr(found, name), getattr(anew, name)), name
        assert found.columns.names == anew.columns.names
    return made, refused


def test_a_list_made_finer_is_the_list_unfolded_with_the_questions() -> None:
    made = refused = 0
    for seed in range(150):
        one, other = both(Maker(seed, simple=seed % 3 == 0).program())
        made, refused = made + one, refused + other
    assert made > 300
    assert refused


def test_a_wrong_move_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = module._moved

    def careless(coarse: Any, fine: Any, lo: Any, hi: Any) -> Any:
        found = moved(coarse, fine, lo, hi)
        return found and (found[0], found[0] + (hi - lo))  # as if ranks were only shifted

    monkeypatch.setattr(module, "_moved", careless)
    with pytest.raises(AssertionError):
        every_one()


def every_one() -> None:
    for seed in range(30):
        both(Maker(seed, simple=True).program())


def test_openings_are_the_same_from_lists_made_before() -> None:
    open_ = 0
    for seed in range(40):
        program = Maker(seed, simple=random.Random(seed).random() < 0.5).program()
        anew, again = Openings(program, (4, 6)), Openings(program, (4, 6), list(worlds(program)))
        anew.look()
        again.look()
        assert (anew.found, anew.odd) == (again.found, again.odd), seed
        assert list(openings.findings(anew)) == list(openings.findings(again)), seed
        open_ += len(again.odd)
    assert open_ > 10


def test_rules_that_can_go_together_are_the_same_from_lists_made_before() -> None:
    """Dead rules are left out of the lists instead of unfolding the program without them, jumps as well."""
    going = jumps = 0
    for seed in range(120):
        program = Maker(seed, simple=seed % 2 == 0).program()
        analysis = analyse(program, explained=False)
        flats: list[Flat] = list(worlds(program))
        anew, again = removals(program, analysis), removals(program, analysis, unfolded=flats)
        assert (anew.rules, anew.kept) == (again.rules, again.kept), seed
        rules = {rule.id: rule for chain in program.chains for rule in chain.rules}
        dead = [rules[a.rule] for a in analysis.rules if a.verdict == "dead"]
        if any(a.verdict == "removable" for a in analysis.rules):
            going += len(again.rules)
            jumps += sum(isinstance(part, Jump | Goto) for rule in dead for part in rule.body)
    assert going > 40
    assert jumps > 3


@pytest.mark.parametrize("few", [64, -1])
def test_what_stays_after_all_is_held_against_those_that_still_go(
    few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`r` could go while `x` does too; `x` stays since `y` goes. Then `r` must stay, and the others go still."""
    monkeypatch.setattr(difference, "FEW", few)
    rules = []
    for name, kind, low, high in (
        *(("r", "accept", 2, 2), ("z", "accept", 1, 2), ("x", "drop", 2, 3)),
        *(("y", "drop", 3, 4), ("w", "drop", 4, 5)),
    ):
        decision = Verdict("accept" if kind == "accept" else "drop")
        rules.append(Rule(name, (Match(({"src4": ((low, high),)},)), decision), len(rules) + 1))
    program = Program((Chain("input", tuple(rules), Entry("input", (4,))),))
    told = removals(program, analyse(program))
    assert (told.rules, told.kept) == (("z", "y"), ("r", "x"))


def test_every_route_is_there() -> None:
    """The comparison above sees all of them."""
    seen = {flat.route for seed in range(20) for flat in worlds(Maker(seed).program())}
    assert seen == set(ROUTES)
