"""What the engine foretells, the kernel counts: one witness frame at each live rule, none at the dead ones."""

from __future__ import annotations

import pytest
from bench.firewall_kernel import host, in_prerouting, judge
from bench.firewall_rules import make


@pytest.mark.parametrize("kind", ["acl", "fw", "ipc"])
def test_counters_of_the_kernel_are_the_verdicts(kind: str) -> None:
    made = make(kind, 500, seed=5)
    with host() as pair:
        judged = judge(pair, in_prerouting(made.program))
    assert judged.mismatches == ()
    assert judged.live > 300
    assert judged.dead >= len(made.dead) > 0
