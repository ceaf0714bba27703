"""Pairs of boxes that share packets, found by the index, against a look at every pair."""

from __future__ import annotations

import numpy as np
import pytest

from wardkeep.packets import overlaps, walks
from wardkeep.packets.overlaps import Overlapping
from wardkeep.packets.program import Chain, Entry, Match, Program, Rule, Verdict
from wardkeep.packets.relations import relations


def boxes(rng: np.random.Generator, count: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of all widths: single values, short and long ranges, whole columns."""
    top = 1000
    lo = rng.integers(0, top, (count, columns))
    width = np.array([1, 2, 7, 100, top])[rng.integers(0, 5, (count, columns))]
    lo[width == top] = 0
    return lo, np.minimum(lo + width - 1, top - 1)


@pytest.mark.parametrize("seed", range(20))
def test_the_boxes_that_hold_a_packet_are_those_of_a_look_at_every_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = int(rng.integers(1, 5))
    lo, hi = boxes(rng, int(rng.integers(1, 60)), columns)
    points = rng.integers(0, 40 if seed % 2 else 1000, (int(rng.integers(1, 40)), columns))
    rows, entries = walks.pairs(points, lo, hi)
    plain = [
        (n, m)
        for n in range(len(points))
        for m in range(len(lo))
        if (lo[m] <= points[n]).all() and (hi[m] >= points[n]).all()
    ]
    assert list(zip(rows.tolist(), entries.tolist(), strict=True)) == plain


@pytest.mark.parametrize("seed", range(40))
def test_the_pairs_are_those_of_a_look_at_every_pair(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    if seed % 2:
        monkeypatch.setattr(overlaps, "MOST_PAIRS", 50)  # in many portions
    columns = int(rng.integers(1, 5))
    lo, hi = boxes(rng, int(rng.integers(1, 60)), columns)
    alo, ahi = boxes(rng, int(rng.integers(1, 40)), columns)
    found = [
        pair
        for ones, others in Overlapping(lo, hi).pairs(alo, ahi)
        for pair in zip(ones.tolist(), others.tolist(), strict=True)
    ]
    plain = [
        (n, m)
        for n in range(len(alo))
        for m in range(len(lo))
        if (lo[m] <= ahi[n]).all() and (hi[m] >= alo[n]).all()
    ]
    assert found == plain


def test_of_many_rules_that_hardly_meet_few_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    true_repeat = np.repeat

    def counted(a: np.ndarray, repeats: np.ndarray) -> np.ndarray:
        nonlocal looked
        out = true_repeat(a, repeats)
        looked += len(out)
        return out

    rng = np.random.default_rng(1)
    lo = np.stack([rng.permutation(20_000), np.zeros(20_000, dtype=int)], axis=1)
    hi = np.stack([lo[:, 0], np.full(20_000, 9)], axis=1)
    monkeypatch.setattr(overlaps.np, "repeat", counted)
    total = sum(len(ones) for ones, _ in Overlapping(lo, hi).pairs(lo, hi))
    assert total == 20_000
    assert looked < 5 * 20_000


def related(rows: list[tuple[dict, str]]) -> list[tuple[str, str, str]]:
    rules = tuple(
        Rule(f"r{n}", (Match((row,)), Verdict(verdict)), n)  # type: ignore[arg-type]
        for n, (row, verdict) in enumerate(rows)
    )
    program = Program((Chain("in", rules, Entry("input", (4,), 0, "drop")),))
    return [(one.kind, one.first, one.second) for one in relations(program).pairs]


def test_relations_against_the_definition() -> None:
    """Random rules of two dimensions: every pair of opposite decisions that overlaps, in order, by its kind."""
    rng = np.random.default_rng(7)
    rows: list[tuple[dict, str]] = []
    for _ in range(60):
        a, b = np.sort(rng.integers(0, 50, 2)).tolist()
        c, d = np.sort(rng.integers(0, 50, 2)).tolist()
        decision = ("accept", "drop")[int(rng.integers(0, 2))]
        rows.append(({"src4": ((a, b),), "dst4": ((c, d),)}, decision))
    wanted = []
    for n, (one, yes) in enumerate(rows):
        for m in range(n + 1, len(rows)):
            other, no = rows[m]
            spans = [(one[k][0], other[k][0]) for k in one]
            if yes == no or not all(p[0] <= q[1] and q[0] <= p[1] for p, q in spans):
                continue
            if all(p[0] <= q[0] and q[1] <= p[1] for p, q in spans):
                continue  # hidden
            wider = all(q[0] <= p[0] and p[1] <= q[1] for p, q in spans)
            wanted.append(("generalisation" if wider else "correlation", f"r{n}", f"r{m}"))
    assert len(wanted) > 100
    assert related(rows) == wanted
