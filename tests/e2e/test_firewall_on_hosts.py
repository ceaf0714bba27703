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


PROBED = """
[policy.firewall]
allow = ["22/tcp", "9100/tcp"]
must_allow = ["22/tcp", "9100/tcp"]
must_deny = ["5432/tcp"]
"""
LISTEN = (
    "systemd-run --quiet --unit=exporter systemd-socket-activate -l 9100 -l 5432 sleep 600;"
    " until ss -Hltn 'sport = :9100' | grep -q .; do sleep 0.1; done"
)


def test_a_change_is_confirmed_after_what_is_foretold_was_tried_from_outside(
    debian_host: Host, tmp_path: Path
) -> None:
    debian_host.stage(LISTEN)
    with operating(tmp_path / "state", debian_host, "firewall", PROBED) as day:
        outcome = day.apply(day.plan())
        assert outcome["state"] == "applied", outcome
        (noted,) = [
            e["body"]
            for e in day.platform.ledger.read()
            if e["kind"] == "apply" and e["body"]["phase"] == "finished"
        ]
        for change in noted["changes"]:
            expected = {
                one["says"].split()[-4 if "let in" in one["says"] else -3]: one["expect"]
                for one in change["probes"]
            }
            assert expected == {"22/tcp": "open", "9100/tcp": "open", "5432/tcp": "silent"}
            assert {one["verdict"] for one in change["probes"]} == {"pass"}


def test_a_change_that_drops_a_probe_is_not_confirmed_and_goes_back(
    debian_host: Host, tmp_path: Path
) -> None:
    """Behind our back another table drops what must be open, while ssh goes on: only a probe from outside can tell."""
    debian_host.stage(LISTEN)
    with operating(tmp_path / "state", debian_host, "firewall", PROBED) as day:
        plan = day.plan()
        debian_host.stage(
            "systemd-run --quiet --unit=trap sh -c 'until nft list table inet wardkeep >/dev/null 2>&1; do sleep 0.02; done;"
            ' nft "add table inet trap; add chain inet trap input { type filter hook input priority 0; };'
            " add rule inet trap input tcp dport 9100 drop\"'"
        )
        outcome = day.apply(plan)
        assert outcome["state"] == "undone", outcome
        assert "to 9100/tcp is let in: Port 9100: no answer" in outcome["summary"]
        assert "22/tcp" not in outcome["summary"]
        assert debian_host.stage("nft list tables") == "table inet trap\n"
        first = outcome["changes"][0]
        assert [one["verdict"] for one in first["probes"]] == ["pass", "fail", "pass"]
        # Once nothing drops it any more, the same change is confirmed.
        debian_host.stage("nft delete table inet trap")
        assert day.apply(day.plan())["state"] == "applied"
