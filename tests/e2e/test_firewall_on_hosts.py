"""What a plan for the packet filter must not do. How an open host is closed: tests/scenarios/open-host.transcript."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.operating import operating

from wardkeep.lab import Host

pytestmark = pytest.mark.e2e


def test_a_policy_that_forgets_the_operator_changes_nothing(debian_host: Host, tmp_path: Path) -> None:
    policy = '\n[policy.firewall]\nallow = ["443/tcp"]\n'
    with operating(tmp_path / "state", debian_host, "firewall", policy) as day:
        plan = day.plan()
        assert plan.plan.changes == ()
        assert {one.todo for one in plan.plan.withheld} != set()
        assert any("22/tcp" in one.reason for one in plan.plan.withheld)
        assert debian_host.stage("nft list tables") == ""


def test_a_table_that_cuts_the_way_in_is_taken_back_by_the_host(debian_host: Host, tmp_path: Path) -> None:
    """The way in is cut behind our back while the change is made: nobody can confirm, so the host goes back."""
    with operating(tmp_path / "state", debian_host, "firewall") as day:
        plan = day.plan()
        # A foreign table that waits for ours: with it in force, no new connection gets in.
        debian_host.stage(
            "systemd-run --quiet --unit=trap sh -c 'until nft list table inet wardkeep >/dev/null 2>&1; do sleep 0.05; done;"
            ' nft add table inet trap; nft add chain inet trap input "{ type filter hook input priority 0; }";'
            " nft add rule inet trap input ct state new tcp dport 22 drop; sleep 45; nft delete table inet trap'"
        )
        outcome = day.apply(plan)
        assert outcome["state"] == "undone", outcome
        assert debian_host.stage("nft list tables") == ""
        assert day.look()["default_deny"] == "fail"  # and Wardkeep is in again
