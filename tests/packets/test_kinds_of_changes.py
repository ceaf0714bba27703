"""One packet for each kind of change: the same kinds as all sets of packets show, found with little work."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.packets.random_programs import Maker
from tests.packets.test_difference_against_reference import mutated
from tests.packets.test_reference import ACCEPT, DROP, chain, input_, tcp

from wardkeep.packets.difference import Case, difference
from wardkeep.packets.program import Match, Program


def kind(case: Case) -> tuple[object, ...]:
    return case.witness.family, case.witness.route, case.before, case.after, case.old_rule, case.new_rule


@pytest.mark.parametrize("block", range(4))
def test_every_kind_that_all_sets_of_packets_show_is_told_once(block: int) -> None:
    """Random programs, with one to three changes each."""
    several = 0
    for seed in range(40 * block, 40 * block + 40):
        old = Maker(seed, simple=seed % 2 == 0, few=True).program()
        new = old
        for n in range(1 + seed % 3):
            if all(one.rules for one in new.chains):
                new = mutated(new, 7 * seed + n)
        every = difference(old, new, most=100_000, work=1e7)
        if every.undecided:
            continue
        found = difference(old, new, most=100_000, kinds=True)
        told = [kind(case) for case in found.cases]
        assert len(set(told)) == len(told)
        assert set(told) == {kind(case) for case in every.cases}, seed
        assert found.equal is every.equal
        several += len(told) < len(every.cases)
    assert several > 2  # or nothing was left out, and the test shows little


def blocked(count: int) -> Program:
    """So many networks that are turned away, and one port that is open to all others."""
    lo = 10 << 24
    blocks = [(Match(({"src4": ((lo + 512 * n, lo + 512 * n + 255),)},)), DROP) for n in range(count)]
    made = chain("input", *blocks, (tcp(443), ACCEPT), entry=input_(policy="drop"))
    return Program((made,))


def test_one_rule_among_a_thousand_exceptions_is_one_kind() -> None:
    old = blocked(1_000)
    (whole,) = old.chains
    new = replace(old, chains=(replace(whole, rules=whole.rules[:-1]),))
    found = difference(old, new, kinds=True, work=3e6)
    assert [kind(case)[2:] for case in found.cases if case.witness.family == 4] == [
        (("accept",), ("drop",), "input/1001", "policy of input")
    ]
    assert found.complete
    assert not difference(old, new, work=3e6).complete  # all sets of packets are some thousand
