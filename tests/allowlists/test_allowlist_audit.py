"""Every defect that was put in is found, and nothing else: precision and recall 1 on seeded lists."""

from __future__ import annotations

import pytest
from tests.allowlists.seeded import TODAY, Seeded, seeded

from wardkeep.allowlists import KINDS, Defect, Surroundings, audit, read_toml

LATER = {"already_permitted", "not_effective", "undeclared", "unused"}  # need the rules of a host


def told(made: Seeded) -> list[Defect]:
    around = Surroundings(TODAY, listeners=made.listeners, providers=made.providers)
    return audit(read_toml(made.text, "allowlist.toml"), around)


@pytest.mark.parametrize("seed", range(8))
def test_exactly_what_was_put_in_is_found(seed: int) -> None:
    made = seeded(seed, 1500)
    found = told(made)
    seen = [(d.kind, d.entry.line) for d in found]
    assert set(seen) == made.truth
    assert len(seen) == len(set(seen)), "a defect is told once"
    groups = {frozenset((d.entry.line, *(o.line for o in d.others))) for d in found if d.kind == "mergeable"}
    assert groups == made.merged
    assert all(d.seen and d.todo for d in found)


def test_every_kind_is_put_in() -> None:
    assert {kind for kind, _ in seeded(1, 100).truth} == set(KINDS) - LATER
