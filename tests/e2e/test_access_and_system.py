"""The rows system_access and operating_system on live hosts, by the commands a person types.

broken → check fails on the right rules → plan → apply → they pass → drill passes → sabotage → red again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests import staging

from wardkeep.engine.platform import open_platform
from wardkeep.lab import Host

pytestmark = pytest.mark.e2e
TREE = Path(__file__).parents[2]
BOTH = pytest.mark.parametrize("debian_host", ["12", "13"], indirect=True)
Wardkeep = Callable[..., tuple[int, Any]]
POLICY = """
[policy.system_access]
machines = ["ops"]
"""
# What a plan mends of everything that the two states break. The rest is a person's to decide.
MENDED = {
    "system_access.no_root_login", "system_access.no_password_login", "system_access.no_empty_password",
    "system_access.dead_connections_end", "system_access.logins_recorded", "system_access.no_empty_password_field",
    "system_access.no_keys_of_root", "system_access.sudo_is_recorded", "system_access.idle_sessions_end",
    "system_access.login_records_last", "operating_system.updates_are_automatic",
}  # fmt: skip


@pytest.fixture
def wardkeep(tmp_path: Path) -> Wardkeep:
    """Run a command on a new platform: (exit status, its JSON)."""
    state = tmp_path / "state"
    open_platform(state, create=True).close()
    (state / "wardkeep.toml").write_text(POLICY)
    environment = {**os.environ, "PYTHONPATH": str(TREE / "src"), "WARDKEEP_STATE": str(state)}

    def run(*words: str) -> tuple[int, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "wardkeep", *words, "--json"],
            capture_output=True, text=True, env=environment, timeout=300, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr[-2000:]
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else done.stderr

    return run


def add(wardkeep: Wardkeep, host: Host, user: str) -> None:
    url = host.add_operator(user) if user != "root" else host.url
    status, told = wardkeep("host", "add", "h1", url, "--identity", str(host.key), "--accept-key")
    assert status == 0, told


def verdicts(wardkeep: Wardkeep) -> dict[str, set[str]]:
    """Rule → the verdicts of its subjects, after a new look."""
    _, told = wardkeep("check", "system_access", "operating_system")
    found: dict[str, set[str]] = {}
    (host,) = [one for one in told["hosts"] if one["host"] == "h1"]
    assert not host["problem"]
    for finding in host["findings"]:
        found.setdefault(finding["rule"], set()).add(finding["verdict"])
    return found


@BOTH
def test_broken_planned_applied_drilled_sabotaged(wardkeep: Wardkeep, debian_host: Host) -> None:
    add(wardkeep, debian_host, "ops")
    for state in staging.chain(["access-neglected", "upkeep-neglected"]):
        debian_host.stage(state.stage)
    before = verdicts(wardkeep)
    assert {rule for rule in MENDED if "fail" not in before[rule]} == set()

    status, told = wardkeep("apply", "h1", "--yes")
    assert told["state"] == "applied", json.dumps(told, indent=1)
    after = verdicts(wardkeep)
    assert {rule for rule in MENDED if after[rule] != {"pass"}} == set()
    assert after["system_access.configuration_in_force"] == {"pass"}

    status, told = wardkeep("drill", "system_access", "operating_system", "--host", "h1")
    assert status == 0, told

    debian_host.stage(
        "rm /etc/ssh/sshd_config.d/*wardkeep* /etc/apt/apt.conf.d/zz-wardkeep; systemctl restart ssh"
    )
    red = verdicts(wardkeep)
    assert "fail" in red["system_access.no_root_login"] & red["operating_system.updates_are_automatic"]
    status, told = wardkeep("drill", "system_access", "--host", "h1")
    assert status == 1, told


def test_root_is_not_cut_off_while_wardkeep_enters_as_root(wardkeep: Wardkeep, debian_host: Host) -> None:
    add(wardkeep, debian_host, "root")
    _, told = wardkeep("plan", "h1", "system_access")
    assert "Wardkeep itself enters as root" in json.dumps(told)
    wardkeep("apply", "h1", "--yes")
    assert debian_host.run("sshd -T | grep -x 'permitrootlogin without-password'").exit == 0
    assert debian_host.run("grep -q lab /root/.ssh/authorized_keys").exit == 0
    status, told = wardkeep("check", "h1")
    assert status in (1, 3), told


def test_configuration_written_and_never_loaded_is_seen(wardkeep: Wardkeep, debian_host: Host) -> None:
    add(wardkeep, debian_host, "ops")
    debian_host.stage("sleep 1; echo 'PermitRootLogin no' > /etc/ssh/sshd_config.d/10-late.conf")
    assert verdicts(wardkeep)["system_access.configuration_in_force"] == {"fail"}
    debian_host.stage("systemctl reload ssh; sleep 1")
    assert verdicts(wardkeep)["system_access.configuration_in_force"] == {"pass"}


def test_what_a_plan_changed_is_taken_back_to_the_byte(wardkeep: Wardkeep, debian_host: Host) -> None:
    add(wardkeep, debian_host, "ops")
    digests = (
        "find /etc/ssh /etc/profile.d /etc/apt/apt.conf.d /etc/sudoers.d /root/.ssh -type f | sort | xargs sha256sum; "
        "stat -c '%a %U' /root/.ssh/authorized_keys; sshd -T | sort; systemctl is-enabled apt-daily.timer || true"
    )
    before = debian_host.stage(digests)
    _, told = wardkeep("apply", "h1", "--yes")
    assert told["state"] == "applied", json.dumps(told, indent=1)
    assert debian_host.stage(digests) != before
    assert debian_host.stage("sshd -T | grep permitrootlogin") == "permitrootlogin no\n"
    _, told = wardkeep("apply", told["plan"], "--undo", "--yes")
    assert debian_host.stage(digests) == before, told
