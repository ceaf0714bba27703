"""Verdicts about rules, on random programs, against taking rules out and trying every packet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from tests.packets.random_programs import Maker
from tests.packets.test_engine_against_reference import every_point

from wardkeep.packets.audit import Analysis, analyse, decides_only
from wardkeep.packets.program import Chain, Program, Unknown
from wardkeep.packets.ranks import Ranks, rank
from wardkeep.packets.reference import ways
from wardkeep.packets.worlds import worlds


def without(program: Program, *gone: str) -> Program:
    return replace(
        program,
        chains=tuple(replace(c, rules=tuple(r for r in c.rules if r.id not in gone)) for c in program.chains),
    )


def small_enough(program: Program, ranks: Mapping[str, Ranks]) -> list[dict[str, int | str]] | None:
    """Every packet that the program can tell apart, or None if there are too many."""
    packets: list[dict[str, int | str]] = []
    for flat in worlds(program, ranks=ranks):
        points = every_point(flat)
        if points is None:
            return None
        base = {"family": flat.family, "route": flat.route}
        seen: set[tuple[int, ...]] = set()
        own = [n for n, name in enumerate(flat.columns.names) if "'" not in name]
        for point in points:
            if (key := tuple(int(v) for v in point[own])) in seen:
                continue
            seen.add(key)
            named = {
                flat.columns.names[n]: flat.columns.ranks[flat.columns.names[n]].value(int(point[n]))
                for n in own
            }
            packets.append({**named, **base})
    return packets


def fates(
    program: Program, packets: list[dict[str, int | str]], domain: Mapping[str, tuple[int | str, ...]]
) -> list[frozenset[str]]:
    return [frozenset(way.fate for way in ways(program, packet, domain)) for packet in packets]


def check(seed: int, simple: bool) -> dict[str, int]:
    return check_program(seed, replace(Maker(seed, simple, few=True).program(), conntrack=True))


def check_program(seed: int, program: Program, most: int = 100) -> dict[str, int]:
    """How often each verdict was given about a program's rules and was right; none if it tells more packets apart than `most`."""
    ranks = rank([program])
    packets = small_enough(program, ranks)
    if packets is None or len(packets) > most:
        return {}
    domain = {n: tuple(r.value(i) for i in range(r.size)) for n, r in ranks.items() if n != "family"}
    told = analyse(program)
    matched = {r for packet in packets for way in ways(program, packet, domain) for r in way.matched}
    usual = fates(program, packets, domain)
    counts: dict[str, int] = {}
    rules = {rule.id: rule for chain in program.chains for rule in chain.rules}
    vague = any(isinstance(p, Unknown) for r in rules.values() for p in r.body) or "queue" in repr(program)
    nat = "Nat(" in repr(program) or "values=((1, 2)" in repr(program)
    for answer in told.rules:
        counts[answer.verdict] = counts.get(answer.verdict, 0) + 1
        assert (answer.verdict in ("live", "removable")) == (answer.rule in matched), (seed, answer)
        if answer.verdict in ("live", "removable") and decides_only(rules[answer.rule]):
            same = fates(without(program, answer.rule), packets, domain) == usual
            if answer.verdict == "removable":
                assert same, (seed, answer)
            elif not vague and not nat:
                assert not same, (seed, answer)
        if answer.verdict == "dead":
            check_reason(program, answer.rule, told, packets, domain, seed)
    return counts


def check_reason(
    program: Program, rule: str, told: Analysis, packets: list[dict[str, int | str]],
    domain: Mapping[str, tuple[int | str, ...]], seed: int,
) -> None:  # fmt: skip
    """Without the rules that hide it a dead rule lives; the cover is among them."""
    answer = told.of(rule)
    assert set(answer.cover) <= set(answer.hidden_by), (seed, answer)
    if answer.cover:
        rules = [r for c in program.chains for r in c.rules]
        others = [r.id for r in rules if decides_only(r) and r.id not in answer.cover and r.id != rule]
        bare = without(program, *others)
        assert not any(rule in way.matched for packet in packets for way in ways(bare, packet, domain)), (
            seed,
            answer,
        )


def total(seeds: range, simple: bool) -> dict[str, int]:
    out: dict[str, int] = {}
    for seed in seeds:
        for verdict, count in check(seed, simple).items():
            out[verdict] = out.get(verdict, 0) + count
    return out


def test_verdicts_of_simple_programs() -> None:
    counts = total(range(500), simple=True)
    assert min(counts["live"], counts["dead"], counts["removable"]) > 10


def test_verdicts_of_programs_with_everything() -> None:
    counts = total(range(400), simple=False)
    assert min(counts["live"], counts["dead"], counts["never-called"]) > 20
    assert counts["removable"] > 2


def test_a_cover_hides_its_rule_by_itself() -> None:
    """In one chain of accepts and drops, keep a dead rule and its cover only: it is still dead; take one more: it lives."""
    tried = 0
    for seed in range(300):
        program = Maker(seed, simple=True).program()
        told = analyse(program)
        base = next(c for c in program.chains if c.entry)
        if any(
            "return" in repr(r.body) or "Jump" in repr(r.body) or "Goto" in repr(r.body) for r in base.rules
        ):
            continue
        for answer in told.rules:
            if (
                answer.verdict != "dead"
                or not answer.cover
                or answer.chain != base.id
                or not answer.cover_is_minimal
            ):
                continue
            kept = {answer.rule, *answer.cover}
            assert analyse(only(base, kept)).of(answer.rule).verdict == "dead"
            for one in answer.cover:
                assert analyse(only(base, kept - {one})).of(answer.rule).verdict != "dead", (seed, answer)
            tried += 1
    assert tried > 10


def only(chain: Chain, kept: set[str]) -> Program:
    return Program((replace(chain, rules=tuple(r for r in chain.rules if r.id in kept)),), conntrack=True)


def test_witnesses_are_packets_that_match() -> None:
    for seed in range(200):
        program = Maker(seed, simple=True).program()
        for answer in analyse(program).rules:
            if answer.witness and not answer.witness.later:
                packet = {
                    **answer.witness.packet,
                    "family": answer.witness.family,
                    "route": answer.witness.route,
                }
                found = ways(program, packet)
                assert any(answer.rule in way.matched for way in found), (seed, answer)
                if answer.witness.certain and "values=((1, 2)" not in repr(program):
                    assert all(answer.rule in way.matched for way in found) or "Nat(" in repr(program), (
                        seed,
                        answer,
                    )


def test_the_budget_ends_in_undecided_and_never_in_dead() -> None:
    program = Maker(3, simple=True).program()
    full, starved = analyse(program), analyse(program, work=0)
    assert {a.verdict for a in starved.rules} <= {"undecided", "never-called", "dead"}
    for answer in starved.rules:
        if answer.verdict == "dead":
            assert full.of(answer.rule).verdict == "dead"


def test_points_are_told_in_ranks() -> None:
    """The test's own tool: every packet of a world is tried once."""
    found = (every_point(flat) for seed in range(20) for flat in worlds(Maker(seed, simple=True).program()))
    points = next(p for p in found if p is not None and len(p) > 5)
    assert len(np.unique(points, axis=0)) == len(points)
