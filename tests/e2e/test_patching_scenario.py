"""A host behind on patches: the check fails, the plan says what moves, apply mends, the drill passes, sabotage goes red."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.e2e import archive
from tests.e2e.operating import operating

from wardkeep.lab import Host

pytestmark = pytest.mark.e2e
BOTH = pytest.mark.parametrize("debian_host", ["12", "13"], indirect=True)
ALL_PASS = {
    "lists_are_fresh": "pass",
    "no_update_is_pending": "pass",
    "nothing_is_held_back": "pass",
    "origins_are_named": "pass",
    "dpkg_is_consistent": "pass",
    "nothing_runs_old_code": "pass",
}


def version(host: Host) -> str:
    return host.stage("dpkg-query -W -f '${Version}' demo")


def runs_new_code(host: Host) -> bool:
    return "(deleted)" not in host.stage("readlink /proc/$(pidof demod)/exe")


@BOTH
def test_behind_patched_restarted_drilled_and_sabotaged(debian_host: Host, tmp_path: Path) -> None:
    archive.publish(debian_host)
    with operating(tmp_path / "state", debian_host, "security_patching") as day:
        assert day.look() == {**ALL_PASS, "no_update_is_pending": "fail"}

        plan = day.plan()
        (upgrade,) = plan.plan.changes
        assert upgrade.says == "Upgrade demo"
        assert upgrade.packages == (("demo", "1.0-1", "1.0-1+deb1u1"),)
        assert upgrade.restarts == ("demo.service",)
        outcome = day.apply(plan)
        assert outcome["state"] == "applied", outcome
        assert version(debian_host) == "1.0-1+deb1u1"

        # The package does not restart its service: the fix is installed, and not yet in force.
        assert day.look() == {**ALL_PASS, "nothing_runs_old_code": "fail"}
        assert not runs_new_code(debian_host)
        restart = day.plan()
        assert day.apply(restart)["state"] == "applied"
        assert day.look() == ALL_PASS
        assert runs_new_code(debian_host)

        drilled = day.drill()
        assert [step.verdict for step in drilled.steps] == ["pass", "pass"], drilled
        assert day.look() == ALL_PASS  # the drill left nothing behind
        assert debian_host.run("ls -d /tmp/wardkeep-drill.* /opt/wardkeep-drill.*").stdout == ""

        # Sabotage: somebody puts the old version back and holds it there.
        debian_host.stage(
            "apt-get -q -y --allow-downgrades install demo=1.0-1 >/dev/null 2>&1; apt-mark hold demo; systemctl restart demo"
        )
        assert day.look() == {**ALL_PASS, "no_update_is_pending": "fail", "nothing_is_held_back": "fail"}
        held = day.plan()
        assert held.plan.changes == ()
        assert [one.reason for one in held.plan.withheld] == ["demo is on hold"]
        assert day.entries("apply") >= 2
        assert day.entries("drill") == 1


def test_old_and_missing_lists_are_never_a_clean_pass(debian_host: Host, tmp_path: Path) -> None:
    archive.publish(debian_host)
    debian_host.stage("apt-get -q -y upgrade >/dev/null 2>&1; systemctl restart demo")
    with operating(tmp_path / "state", debian_host, "security_patching") as day:
        assert day.look() == ALL_PASS
        archive.sign(debian_host, age=timedelta(days=9))
        stale = {**ALL_PASS, "lists_are_fresh": "fail", "no_update_is_pending": "unknown"}
        assert day.look() == stale

        # The archive signs again; the remedy fetches, and the answer can be believed again.
        archive.sign(debian_host, fetch=False)
        fetch = day.plan()
        assert day.apply(fetch)["state"] == "applied"
        assert day.look() == ALL_PASS

        debian_host.stage("rm -rf /var/lib/apt/lists/*")
        seen = day.look()
        assert (seen["lists_are_fresh"], seen["no_update_is_pending"]) == ("unknown", "unknown")


WATCHED = "/etc /usr /opt /var/lib/apt /var/lib/dpkg /var/cache/apt /root /home"


@BOTH
@pytest.mark.parametrize("row", ["security_patching", "firewall"])
def test_looking_changes_nothing_on_the_host(debian_host: Host, tmp_path: Path, row: str) -> None:
    archive.publish(debian_host)
    debian_host.stage("nft -f -", stdin="table ip t {\n chain c {\n tcp dport 9 counter drop\n }\n}\n")
    state = f"nft list ruleset; ls /tmp; ip netns list; find {WATCHED} -printf '%p %m %s %T@ %C@\\n' | sort"
    with operating(tmp_path / "state", debian_host, row) as day:
        before = debian_host.stage(state)
        day.look()
        assert debian_host.stage(state) == before
