"""Work that ends before it is known what hides the dead: they are dead all the same, and no half of a cover is shown."""

from __future__ import annotations

import random

import numpy as np
import pytest

from wardkeep.packets.audit import analyse
from wardkeep.packets.explain import Reason, explain
from wardkeep.packets.leaf import Budget
from wardkeep.packets.program import Chain, Entry, Match, Program, Rule, Verdict
from wardkeep.packets.worlds import Owners, worlds


def crossing(count: int) -> Program:
    """Rules of random ranges in two dimensions each, most of them dead."""
    rng = random.Random(5)
    rules = []
    for n in range(count):
        row = {"proto": ((6, 6),)}
        for name, top in rng.sample((("src4", 2**32 - 1), ("dst4", 2**32 - 1), ("dport", 65535)), 2):
            low, high = sorted((rng.randrange(top), rng.randrange(top)))
            row[name] = ((low, high),)
        rules.append(Rule(f"r{n}", (Match((row,)), Verdict(rng.choice(("accept", "drop")))), n))
    return Program((Chain("forward", tuple(rules), Entry("forward", (4,), 0, "drop")),))


def test_explaining_ends_whenever_the_work_is_spent_and_shows_no_half_cover() -> None:
    program = crossing(150)
    names = Owners.of(program).names
    (flat,) = worlds(program)
    hidden = {answer.rule for answer in analyse(program, removable=False).rules if answer.verdict == "dead"}
    assert len(hidden) > 50
    dead = np.isin(names, [*hidden])
    whole: dict[int, Reason] = {}
    explain(flat, dead, Budget(4e9), whole)
    assert len(whole) == len(hidden)
    assert all(reason.cover and not reason.partial for reason in whole.values())
    partial = 0
    for step in range(40):
        found: dict[int, Reason] = {}
        explain(flat, dead, Budget(1e4 * 1.3**step), found)
        assert found.keys() == whole.keys()
        for owner, reason in found.items():
            assert set(reason.hiding()) <= set(whole[owner].hiding())
            if reason.partial:
                partial += 1
            else:
                assert reason.hiding() == whole[owner].hiding()
                assert reason.cover >= whole[owner].cover
                assert reason.cover == whole[owner].cover or not reason.minimal
    assert partial > 100


def test_a_dead_rule_whose_reason_is_not_known_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wardkeep.packets.explain.MOST_TOLD", 40)
    told = analyse(crossing(150), removable=False)
    dead = [answer for answer in told.rules if answer.verdict == "dead"]
    unknown = [answer for answer in dead if not answer.cover]
    assert len(dead) > len(unknown) > 20
    for answer in unknown:
        assert "work was spent" in answer.why
        assert not answer.cover_is_minimal
        assert not answer.contradictory
