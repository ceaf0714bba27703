"""What is done at once for most rules is what the long way comes to: the boxes that a rule's conditions let through are worked out once
and kept, and entries are closed for good because one before them holds all their packets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bench.firewall_dumps import hosting
from bench.firewall_nat import marked
from tests.packets.random_programs import Maker

from wardkeep.packets.flat import Flat
from wardkeep.packets.leaf import Budget
from wardkeep.packets.program import Program
from wardkeep.packets.search import Search, landing
from wardkeep.packets.unfold import Unfolding
from wardkeep.packets.worlds import worlds
from wardkeep.packets.writer import Held
from wardkeep.rulesets.files import load


def lists(program: Program) -> list[list[object]]:
    names = ("lo", "hi", "target", "certain", "owner", "act", "fate")
    return [
        [flat.route, flat.spans, *(getattr(flat, name).tolist() for name in names)]
        for flat in worlds(program)
    ]


def the_long_way(program: Program, monkeypatch: pytest.MonkeyPatch) -> list[list[object]]:
    monkeypatch.setattr(Unfolding, "held", lambda *_, **_more: None)
    return lists(program)


@pytest.mark.parametrize("seed", range(200))
def test_boxes_that_are_kept_write_a_rule_as_its_conditions_one_by_one_would(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Maker(seed).program()
    assert lists(program) == the_long_way(program, monkeypatch)


def test_and_so_in_dumps_with_needs_translation_and_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, kept = [], 0
    held = Unfolding.held

    def counted(unfolding: Unfolding, *told: object, **more: object) -> Held | None:
        nonlocal kept
        found = held(unfolding, *told, **more)  # type: ignore[arg-type]
        kept += found is not None
        return found

    for text in (hosting(1200), marked().text):
        (tmp_path / "iptables-save").write_text(text)
        programs += [one.program for one in load([tmp_path / "iptables-save"])]
    monkeypatch.setattr(Unfolding, "held", counted)
    at_once = [lists(program) for program in programs]
    assert kept > 300
    assert at_once == [the_long_way(program, monkeypatch) for program in programs]


@pytest.mark.parametrize("seed", range(50))
def test_the_first_place_behind_an_entry_to_which_one_before_it_leads(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 40))
    target = np.minimum(np.arange(count) + 1 + rng.choice((0, 0, 1, 3, 40), size=count), count)
    for n, found in enumerate(landing(target).tolist()):
        behind = [int(t) for k, t in enumerate(target[:n]) if t > max(n, k + 1)]
        assert found == min(behind, default=count)


def one_wide_before_another(bypass: bool) -> Flat:
    """Entries 1 (everything) and 2 (a part of it), and, with a bypass, 0 that leads a part of 2's packets past 1."""
    program = Maker(1).program()
    flat = next(iter(worlds(program)))
    width = flat.lo.shape[1]
    lo, hi = np.zeros((3, width), dtype=np.int32), np.tile(flat.space[1], (3, 1))
    hi[0, 0] = hi[2, 0] = 0
    return Flat(
        flat.family, flat.route, flat.columns, lo, hi.astype(np.int32),
        np.array([2 if bypass else 1, 3, 3], dtype=np.int32), np.ones(3, dtype=bool), np.arange(3, dtype=np.int32),
        np.zeros(3, dtype=np.int8), np.zeros(3, dtype=np.int8), flat.space, frozenset(),
    )  # fmt: skip


@pytest.mark.parametrize("bypass", [False, True])
def test_an_entry_is_closed_for_good_by_one_that_holds_all_its_packets_unless_some_go_around_it(
    bypass: bool,
) -> None:
    flat = one_wide_before_another(bypass)
    search = Search(flat, flat.owner, np.ones(3, dtype=bool), Budget(1e9))
    search.shut(np.array([2]), np.array([1]))
    assert search.group.tolist() == [0, 1, 2 if bypass else -1]
    assert flat.owner.tolist() == [0, 1, 2]
    assert (2 in search.run().reached) is bypass
