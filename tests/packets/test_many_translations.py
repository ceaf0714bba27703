"""Dumps in which much is translated: one copy for all of it says what a copy for each rule says, in far fewer entries."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.firewall_dumps import translating

from wardkeep.packets import worlds
from wardkeep.packets.audit import analyse
from wardkeep.packets.program import Program
from wardkeep.rulesets.files import Source, rule_sets


def entries(program: Program) -> int:
    return sum(len(flat.lo) for flat in worlds.worlds(program))


def test_200_rules_of_dnat_share_a_copy_and_nothing_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    text = translating(450, 200)
    program = rule_sets([Source(Path("dump"), "iptables", text)])[0].program
    shared, together = analyse(program), entries(program)
    monkeypatch.setattr(worlds, "MOST_NATTED", 10**9)
    alone, each = analyse(program), entries(program)
    assert [a.verdict for a in shared.rules] == [a.verdict for a in alone.rules]
    assert "undecided" not in {a.verdict for a in shared.rules}
    assert together * 5 < each
