"""Which rules are dead, said by the engine and by a decision diagram that shares nothing with it."""

from __future__ import annotations

import pytest
from bench.firewall_rules import make
from bench.tiny_bdd import hidden

from wardkeep.packets.audit import analyse


@pytest.mark.parametrize(("kind", "count"), [("acl", 1000), ("ipc", 1000), ("fw", 1000)])
def test_the_same_rules_are_dead(kind: str, count: int) -> None:
    made = make(kind, count, seed=9)
    told = analyse(made.program, removable=False)
    dead = {answer.rule for answer in told.rules if answer.verdict == "dead"}
    assert dead == hidden(made.program)
    assert made.dead <= dead
    for rule in made.by_union:
        answer = told.of(rule)
        assert answer.cover
        assert set(answer.cover) <= set(answer.hidden_by)
    assert any(len(told.of(rule).cover) > 1 for rule in made.by_union)
