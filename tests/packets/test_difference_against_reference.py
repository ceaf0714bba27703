"""Differences, removals and answers to questions, against trying every packet of random programs."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from tests.packets.random_programs import Maker
from tests.packets.test_audit_against_reference import small_enough
from tests.packets.test_reference import ACCEPT, chain, input_, tcp

from wardkeep.packets.audit import analyse
from wardkeep.packets.difference import Case, difference, removals, without
from wardkeep.packets.dimensions import DIMENSIONS, holds, states
from wardkeep.packets.order import uses_conntrack
from wardkeep.packets.program import Chain, Program
from wardkeep.packets.questions import Question, reaches
from wardkeep.packets.ranks import Ranks, rank
from wardkeep.packets.reference import ways


def mutated(program: Program, seed: int) -> Program:
    """The program with a rule gone, two rules exchanged, or a policy turned."""
    rng = random.Random(seed)
    chains = list(program.chains)
    at = rng.randrange(len(chains))
    chain: Chain = chains[at]
    rules = list(chain.rules)
    kind = rng.choice(["gone", "exchanged", "policy", "moved"])
    if kind == "policy" and chain.entry:
        chain = replace(
            chain, entry=replace(chain.entry, policy="drop" if chain.entry.policy == "accept" else "accept")
        )
    elif kind == "exchanged" and len(rules) > 1:
        i, j = rng.sample(range(len(rules)), 2)
        rules[i], rules[j] = rules[j], rules[i]
    elif kind == "moved" and len(rules) > 1:
        rules.append(rules.pop(0))
    else:
        rules.pop(rng.randrange(len(rules)))
    chains[at] = replace(chain, rules=tuple(rules))
    return replace(program, chains=tuple(chains))


def inside(case: Case, packet: Mapping[str, int | str], ranks: Mapping[str, Ranks]) -> bool:
    if (case.witness.family, case.witness.route) != (packet["family"], packet["route"]):
        return False
    for name, (low, high) in case.box.items():
        places = [[ranks[name].value_at(n, last) for n in range(ranks[name].size)] for last in (False, True)]
        value = packet[name]
        if (
            isinstance(value, int)
            and isinstance(low, int)
            and isinstance(high, int)
            and ranks[name].__class__.__name__ == "RangeRanks"
        ):
            if not low <= value <= high:
                return False
        elif not places[0].index(low) <= places[0].index(value) <= places[0].index(high):
            return False
    return True


def outcomes(
    program: Program, packet: Mapping[str, int | str], domain: Mapping[str, tuple[int | str, ...]]
) -> tuple[str, ...]:
    found = {way.fate for way in ways(program, packet, domain)} - {"gone"}
    return tuple(sorted(found))


def check(seed: int, simple: bool) -> tuple[int, int]:
    old = Maker(seed, simple, few=True).program()
    tracked = uses_conntrack(old)
    old = replace(old, conntrack=tracked)
    new = mutated(old, seed)
    if "Nat(" in repr(old):
        return 0, 0
    ranks = rank([old, new])
    packets = small_enough(old, ranks)
    if packets is None or len(packets) > 150:
        return 0, 0
    domain = {n: tuple(r.value(i) for i in range(r.size)) for n, r in ranks.items() if n != "family"}
    told = difference(old, new)
    assert told.complete
    differing = 0
    for packet in packets:
        before, after = outcomes(old, packet, domain), outcomes(new, packet, domain)
        if not before or not after:
            continue
        cases = [case for case in told.cases if inside(case, packet, ranks)]
        if before != after:
            differing += 1
            assert cases, (seed, packet, before, after)
        if "values=((1, 2)" not in repr(old):
            assert len(cases) <= 1, (seed, packet)
            for case in cases:
                assert (case.before, case.after) == (before, after), (seed, packet, case)
    return len(packets), differing


def test_differences_are_exactly_the_packets_that_change() -> None:
    done = [check(seed, simple=seed % 2 == 0) for seed in range(500)]
    assert sum(p for p, _ in done) > 3_000
    assert sum(d for _, d in done) > 300


def test_a_program_does_not_differ_from_itself() -> None:
    for seed in range(60):
        program = Maker(seed).program()
        assert difference(program, program).equal


def test_rules_go_together_only_where_that_is_proved() -> None:
    gone = kept = 0
    for seed in range(90):
        program = replace(Maker(seed, simple=True).program(), conntrack=True)
        told = removals(program, analyse(program))
        assert told.proof.equal
        assert difference(program, without(program, set(told.rules))).equal
        gone, kept = gone + len(told.rules), kept + len(told.kept)
        ranks = rank([program])
        packets = small_enough(program, ranks)
        for packet in packets or ():
            assert outcomes(program, packet, {}) == outcomes(told.after, packet, {}), seed
    assert gone > 40
    assert kept > 0


def test_rules_go_together_in_programs_with_everything() -> None:
    gone = 0
    for seed in (*range(60), 10057, 10292):
        for simple in (True, False):
            program = Maker(seed, simple).program()
            told = removals(program, analyse(program))
            compared = difference(program, told.after, work=1e7)
            assert compared.equal or compared.undecided, seed
            gone += len(told.rules)
    assert gone > 100


def test_answers_to_questions() -> None:
    seen: dict[str, int] = {}
    for seed in range(300):
        program = replace(Maker(seed, simple=True).program(), conntrack=True)
        row = Maker(seed + 7, simple=True).row() if seed % 3 else {"state": states("new")}
        ranks = rank([program], [row])
        packets = small_enough(program, ranks)
        if packets is None or len(packets) > 150:
            continue
        domain = {n: tuple(r.value(i) for i in range(r.size)) for n, r in ranks.items() if n != "family"}
        question = Question((row,), ("input",), (4,))
        answer = reaches(program, question)
        seen[answer.reach] = seen.get(answer.reach, 0) + 1
        if answer.reach == "closed":
            assert answer.allowed is None
        for packet in packets:
            if not wanted(packet, row):
                continue
            found = outcomes(program, packet, domain)
            if answer.reach == "closed":
                assert "accept" not in found, (seed, packet)
            if answer.whole:
                assert found in (("accept",), ()), (seed, packet)
        if answer.allowed and answer.allowed.certain:
            packet = {**answer.allowed.packet, "family": answer.allowed.family, "route": answer.allowed.route}
            assert wanted(packet, row)
            assert outcomes(program, packet, domain) == ("accept",), (seed, packet)
        if answer.denied:
            packet = {**answer.denied.packet, "family": answer.denied.family, "route": answer.denied.route}
            found = outcomes(program, packet, domain)
            assert {"drop", "reject"} & set(found) or answer.denied.later, (seed, packet)
    assert min(seen["open"], seen["closed"], seen["perhaps"]) > 2


def wanted(packet: Mapping[str, int | str], row: Mapping[str, object]) -> bool:
    def has(name: str, values: object) -> bool:
        needs = DIMENSIONS[name].needs.items()
        return all(holds(v, packet.get(n, 0)) for n, v in needs) and holds(values, packet.get(name, ""))  # type: ignore[arg-type]

    return all(has(name, values) for name, values in row.items())


def test_programs_without_rules_differ_only_in_nothing() -> None:
    empty = Program(())
    told = difference(empty, empty)
    assert told.cases == ()
    dropping = Program((chain("in", (tcp(22), ACCEPT), entry=input_(policy="drop")),))
    assert difference(empty, dropping).cases
    assert difference(dropping, empty).cases
