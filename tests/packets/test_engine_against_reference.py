"""The engine says of thousands of random programs exactly what trying every packet says."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from tests.packets.random_programs import Maker

from wardkeep.packets.flat import Fate, Flat, Ints
from wardkeep.packets.leaf import Budget, Leaf
from wardkeep.packets.program import Program
from wardkeep.packets.ranks import Ranks, rank
from wardkeep.packets.reference import ways
from wardkeep.packets.search import Search, preferred
from wardkeep.packets.worlds import Owners, worlds

MOST_PACKETS = 600
FATES = {Fate.DROP: "drop", Fate.REJECT: "reject", Fate.ACCEPT: "accept"}


def every_point(flat: Flat) -> np.ndarray | None:
    spans = [range(lo, hi + 1) for lo, hi in zip(*flat.space.tolist(), strict=True)]
    if np.prod([float(len(s)) for s in spans] or [1.0]) > MOST_PACKETS:
        return None
    found = list(itertools.product(*spans))
    return np.array(found, dtype=np.int32).reshape(len(found), len(spans))


def some_points(flat: Flat, seed: int, most: int = 16) -> np.ndarray | None:
    """All that some packets of a large world may become: every value of what is rewritten, for packets at random."""
    rng = np.random.default_rng(seed)
    lo, hi = flat.space
    own = [n for n, name in enumerate(flat.columns.names) if "'" not in name]
    again = [n for n in range(len(lo)) if n not in own]
    if np.prod([float(hi[n] - lo[n] + 1) for n in again] or [1.0]) * len(flat) > 200_000:
        return None
    became = list(itertools.product(*(range(lo[n], hi[n] + 1) for n in again)))
    found = np.zeros((most, len(became), len(lo)), dtype=np.int32)
    found[:, :, own] = rng.integers(lo[own], hi[own] + 1, size=(most, len(own)))[:, None, :]
    found[:, :, again] = np.array(became, dtype=np.int32).reshape(1, len(became), len(again))
    return found.reshape(-1, len(lo))


def by_walking(flat: Flat, points: np.ndarray) -> tuple[list[set[int]], list[set[str]]]:
    """For each point the owners that the unfolded list says are reached, and the fates."""
    leaf = Leaf(flat.lo, flat.hi, flat.target, flat.certain, preferred(flat))
    inside = leaf.contains(points)
    reached = leaf.walk(inside)[:-1].T & inside
    owners = [{int(o) for o in flat.owner[row] if o >= 0} for row in reached]
    fates = [{FATES[Fate(f)] for f in flat.fate[row] if f} for row in reached]
    return owners, fates


def by_trying(
    program: Program, flat: Flat, ranks: Mapping[str, Ranks], point: np.ndarray
) -> tuple[set[str], set[str]]:
    domain = {n: tuple(r.value(i) for i in range(r.size)) for n, r in ranks.items() if n != "family"}
    packet: dict[str, int | str] = {
        name: flat.columns.ranks[name].value(int(point[n]))
        for n, name in enumerate(flat.columns.names)
        if "'" not in name
    }
    found = ways(program, {**packet, "family": flat.family, "route": flat.route}, domain)
    return {r for way in found for r in way.matched}, {way.fate for way in found} - {"gone"}


def compare(seed: int, simple: bool) -> tuple[int, int]:
    """Packets and rules compared for one random program."""
    return compare_program(seed, Maker(seed, simple).program())


def compare_program(seed: int, program: Program, sampled: bool = False) -> tuple[int, int]:
    """Packets and rules compared for one program; `seed` is said where they differ. `sampled`: of large worlds some packets."""
    ranks = rank([program])
    owners = Owners.of(program)
    packets = rules = 0
    rule_ids = {r.id for c in program.chains for r in c.rules}
    for flat in worlds(program, ranks=ranks):
        points = whole = every_point(flat)
        if points is None and sampled:
            points = some_points(flat, seed)
        if points is None:
            continue
        own = [n for n, name in enumerate(flat.columns.names) if "'" not in name]
        walked: dict[tuple[int, ...], tuple[set[int], set[str]]] = {}
        for point, who, fates in zip(points, *by_walking(flat, points), strict=True):
            key = tuple(int(v) for v in point[own])
            have = walked.setdefault(key, (set(), set()))
            have[0].update(who)
            have[1].update(fates)
        live: set[str] = set()
        for key, (who, fates) in walked.items():
            point = np.zeros(len(flat.columns.names), dtype=np.int32)
            point[own] = key
            expected, expected_fates = by_trying(program, flat, ranks, point)
            told = {owners.names[o] for o in who} & rule_ids
            assert told == expected, (seed, flat.family, flat.route, key)
            assert fates == expected_fates, (seed, flat.family, flat.route, key)
            live |= expected
            packets += 1
        wanted = np.ones(len(owners.names), dtype=bool)
        found = Search(flat, flat.owner, wanted, Budget(1e9)).run()
        assert not found.doubtful
        alive = {owners.names[o] for o in found.reached} & rule_ids
        assert live <= alive if whole is None else live == alive, (seed, flat.family, flat.route)
        for number, (entry, point) in found.reached.items():
            leaf = Leaf(flat.lo, flat.hi, flat.target, flat.certain, preferred(flat))
            inside = leaf.contains(point[None, :])
            assert flat.owner[entry] == number
            assert inside[0, entry]
            assert leaf.walk(inside)[entry, 0]
        rules += len(rule_ids)
    return packets, rules


def test_simple_programs_agree_packet_by_packet() -> None:
    done = [compare(seed, simple=True) for seed in range(500)]
    assert sum(p for p, _ in done) > 5_000


def test_programs_with_everything_agree_packet_by_packet() -> None:
    done = [compare(seed, simple=False) for seed in range(300)]
    assert sum(p for p, _ in done) > 5_000


def test_a_mutant_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that takes every list for first match, blind to bypasses, is caught by the same comparison."""
    clipped = Search.clipped

    def first_match(self: Search, index: Ints, lo: Ints, hi: Ints) -> tuple[Leaf, Ints]:
        leaf, columns = clipped(self, index, lo, hi)
        target = np.where(leaf.skips, len(index), leaf.target)
        return replace(leaf, target=target), columns

    monkeypatch.setattr(Search, "clipped", first_match)
    caught = 0
    for seed in range(60):
        try:
            compare(seed, simple=False)
        except AssertionError:
            caught += 1
    assert caught
