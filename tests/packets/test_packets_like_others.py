"""In long lists a packet like one that came through is tried before boxes are subtracted: much less work, the same answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bench.firewall_dumps import hosting
from tests.packets.random_programs import Maker

from wardkeep.packets import search
from wardkeep.packets.audit import analyse
from wardkeep.packets.leaf import Budget
from wardkeep.packets.worlds import Owners, worlds
from wardkeep.rulesets.files import load

WORK = 1.8e7  # boxes compared for the lists below; 3.3e7 without packets like others


def test_rules_behind_gates_of_state_flags_and_networks_are_found_with_little_work(tmp_path: Path) -> None:
    dump = tmp_path / "iptables-save"
    dump.write_text(hosting(6_200))
    (rule_set,) = load([dump])
    count = len(Owners.of(rule_set.program).names)
    budget = Budget(WORK)
    for flat in worlds(rule_set.program):
        wanted = np.zeros(count, dtype=bool)
        wanted[np.unique(flat.owner[flat.owner >= 0])] = True
        assert not search.Search(flat, flat.owner, wanted, budget).run().doubtful
    assert budget.left > 0


@pytest.mark.parametrize("seed", range(150))
def test_the_verdicts_are_the_same_with_and_without(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program = Maker(seed).program()
    verdicts = []
    for listed in (0, 10**9):
        monkeypatch.setattr(search, "LISTED", listed)
        told = analyse(program)
        verdicts.append([(a.rule, a.verdict, a.hidden_by, a.cover) for a in told.rules])
    assert verdicts[0] == verdicts[1]
