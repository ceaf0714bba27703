"""The plain evaluator on programs small enough to be read: each expectation stands in the kernel's own documentation."""

from __future__ import annotations

from wardkeep.packets.dimensions import AnyBit, Bits, states
from wardkeep.packets.program import (
    Assign,
    Branches,
    Chain,
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
    faults,
)
from wardkeep.packets.reference import ways

ACCEPT, DROP, RETURN = Verdict("accept"), Verdict("drop"), Verdict("return")
SSH = {"family": 4, "route": "input", "in": "eth0", "proto": 6, "dport": 22, "state": 3}


def chain(name: str, *bodies: tuple[Part, ...], entry: Entry | None = None) -> Chain:
    return Chain(name, tuple(Rule(f"{name}/{n}", body, n) for n, body in enumerate(bodies, 1)), entry)


def tcp(port: int) -> Match:
    return Match(({"proto": ((6, 6),), "dport": ((port, port),)},))


def fates(program: Program, **packet: int | str) -> set[str]:
    assert not faults(program)
    return {way.fate for way in ways(program, {**SSH, **packet})}


def input_(priority: int = 0, policy: str = "drop") -> Entry:
    return Entry("input", (4, 6), priority, policy)  # type: ignore[arg-type]


def test_accept_ends_only_its_base_chain() -> None:
    first, second = (
        chain("a", (tcp(22), ACCEPT), entry=input_()),
        chain("b", (tcp(22), DROP), entry=input_(10, "accept")),
    )
    assert fates(Program((first, second))) == {"drop"}
    assert fates(Program((first,))) == {"accept"}


def test_goto_does_not_come_back_and_return_in_a_base_chain_is_its_policy() -> None:
    side = chain("side", (tcp(80), ACCEPT))
    jumps, goes = (chain("in", (how("side"),), (tcp(22), ACCEPT), entry=input_()) for how in (Jump, Goto))
    assert fates(Program((jumps, side))) == {"accept"}
    assert fates(Program((goes, side))) == {"drop"}
    assert fates(Program((chain("in", (RETURN,), (tcp(22), ACCEPT), entry=input_()),))) == {"drop"}


def test_an_unknown_condition_goes_both_ways_where_it_may() -> None:
    limited = chain("in", (Unknown("limit", may=({"dport": ((22, 22),)},)), ACCEPT), entry=input_())
    assert fates(Program((limited,))) == {"accept", "drop"}
    assert fates(Program((limited,)), dport=23) == {"drop"}


def test_a_negated_port_needs_a_port() -> None:
    other = chain("in", (Match(({"dport": ((22, 22),)},), negated=True), ACCEPT), entry=input_())
    assert fates(Program((other,)), dport=23) == {"accept"}
    assert fates(Program((other,)), proto=1) == {"drop"}
    assert fates(Program((other,), fragments=True), dport=23, fragment=1) == {"drop"}
    loose = chain("in", (Match(({"dport": ((22, 22),)},), True, absent_ok=True), ACCEPT), entry=input_())
    assert fates(Program((loose,)), proto=1) == {"accept"}


def test_bits_and_exact_values_differ() -> None:
    bit = chain("in", (Match(({"tcp_flags": (AnyBit(2),)},)), ACCEPT), entry=input_())
    exact = chain("in", (Match(({"tcp_flags": (Bits(255, 2),)},)), ACCEPT), entry=input_())
    assert fates(Program((bit,)), tcp_flags=2 + 16) == {"accept"}
    assert fates(Program((exact,)), tcp_flags=2 + 16) == {"drop"}


def test_marks_notrack_and_nat_reach_the_next_hook() -> None:
    raw = Entry("prerouting", (4,), -300)
    mark = chain("raw", (tcp(22), Assign("mark", xor=7)), entry=raw)
    marked = chain("in", (Match(({"mark": ((7, 7),)},)), ACCEPT), entry=input_())
    assert fates(Program((mark, marked))) == {"accept"}
    assert fates(Program((mark, marked)), dport=23) == {"drop"}
    notrack = chain("raw", (tcp(22), NoTrack()), entry=raw)
    untracked = chain("in", (Match(({"state": states("untracked")},)), ACCEPT), entry=input_())
    assert fates(Program((notrack, untracked))) == {"accept"}
    assert fates(Program((notrack, untracked)), dport=23) == {"drop"}
    late = chain("raw", (tcp(22), NoTrack()), entry=Entry("prerouting", (4,), -150))
    assert fates(Program((late, untracked))) == {"drop"}
    nat = chain(
        "nat",
        (tcp(22), Nat("redirect", {"dport": ((8080, 8080),)})),
        entry=Entry("prerouting", (4,), kind="nat"),
    )
    assert fates(Program((nat, chain("in", (tcp(8080), ACCEPT), entry=input_())))) == {"accept"}


def test_a_verdict_map_without_the_value_falls_through() -> None:
    vmap = Branches((({"dport": ((22, 22),)}, DROP), ({"dport": ((80, 80),)}, Jump("web"))))
    program = Program((chain("in", (vmap,), (ACCEPT,), entry=input_()), chain("web", (RETURN,))))
    assert fates(program) == {"drop"}
    assert fates(program, dport=80) == fates(program, dport=81) == {"accept"}
    assert {w.matched for w in ways(program, {**SSH, "dport": 81})} == {frozenset({"in/2"})}


def test_a_sleeping_table_sees_nothing() -> None:
    asleep = Entry("input", (4,), 0, "drop", dormant=True)
    assert fates(Program((chain("in", (DROP,), entry=asleep),))) == {"accept"}


def test_faults_of_a_reader_are_told() -> None:
    bad = Program(
        (chain("in", (Jump("nowhere"),), (Match(({"colour": ((1, 1),)},)),), (Jump("in"),), entry=input_()),)
    )
    assert faults(bad) == [
        "rule in/1: jumps to nowhere, which does not exist",
        "rule in/2: no dimension colour",
        "chain in calls itself",
    ]
