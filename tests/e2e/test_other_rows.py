"""The rows of a first observation on a live neglected host, by the commands a person types: seen, mended where it can be, drilled."""

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
from wardkeep.fleet.inventory import parse_url
from wardkeep.lab import Host

pytestmark = pytest.mark.e2e
TREE = Path(__file__).parents[2]
ROWS = ("keys", "log_archive", "backups", "vm_scans")
FAILING = {
    "keys.private_keys_closed", "keys.service_keys_young", "log_archive.journal_survives",
    "log_archive.logs_travel_encrypted", "backups.newest_backup_is_fresh", "vm_scans.programs_unchanged", "vm_scans.set_id_owned",
}  # fmt: skip
Wardkeep = Callable[..., tuple[int, Any]]


@pytest.fixture
def wardkeep(tmp_path: Path, debian_host: Host) -> Wardkeep:
    """Run a command on a new platform with the host `h1`: (exit status, its JSON)."""
    state = tmp_path / "state"
    open_platform(state, create=True).close()
    environment = {**os.environ, "PYTHONPATH": str(TREE / "src"), "WARDKEEP_STATE": str(state)}

    def run(*words: str) -> tuple[int, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "wardkeep", *words, "--json"],
            capture_output=True, text=True, env=environment, timeout=300, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr[-2000:]
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else done.stderr

    status, told = run(
        "host", "add", "h1", debian_host.url, "--identity", str(debian_host.key), "--accept-key"
    )
    assert status == 0, told
    return run


def verdicts(wardkeep: Wardkeep) -> dict[str, set[str]]:
    _, told = wardkeep("check", *ROWS)
    found: dict[str, set[str]] = {}
    (host,) = [one for one in told["hosts"] if one["host"] == "h1"]
    for finding in host["findings"]:
        found.setdefault(finding["rule"], set()).add(finding["verdict"])
    return found


@pytest.mark.parametrize("debian_host", ["12", "13"], indirect=True)
def test_a_neglected_host_is_seen_mended_and_drilled(wardkeep: Wardkeep, debian_host: Host) -> None:
    status, told = wardkeep("drill", "vm_scans", "--host", "h1")
    assert status == 0, told
    for state in staging.chain(["neglected"]):
        debian_host.stage(state.stage)
    before = verdicts(wardkeep)
    assert {rule for rule in FAILING if "fail" not in before[rule]} == set()
    status, told = wardkeep("drill", "keys", "--host", "h1")
    assert status == 1, told

    _, told = wardkeep("apply", "h1", "--yes")
    assert told["state"] == "applied", json.dumps(told, indent=1)
    after = verdicts(wardkeep)
    assert after["keys.private_keys_closed"] == after["log_archive.journal_survives"] == {"pass"}
    status, told = wardkeep("drill", "keys", "log_archive", "--host", "h1")
    assert status == 0, told
    assert debian_host.run("test -e /var/tmp/wardkeep-drill-set-id").exit == 1

    debian_host.stage("chmod 666 /etc/ssh/ssh_host_ed25519_key")
    assert "fail" in verdicts(wardkeep)["keys.private_keys_closed"]


def test_what_an_intruder_left_is_seen_in_the_next_look(wardkeep: Wardkeep, debian_host: Host) -> None:
    before = verdicts(wardkeep)
    assert before["vm_scans.set_id_not_writable"] == before["vm_scans.listeners_known"] == {"pass"}
    for state in staging.chain(["intruder-left"]):
        debian_host.stage(state.stage)
    _, told = wardkeep("check", "vm_scans")
    failing = {
        (f["rule"], f["subject"])
        for host in told["hosts"]
        for f in host["findings"]
        if f["verdict"] == "fail"
    }
    assert ("vm_scans.set_id_not_writable", "file:/var/tmp/left") in failing
    assert ("vm_scans.set_id_in_place", "file:/var/tmp/left") in failing
    assert ("vm_scans.listeners_known", "program:/opt/waiting") in failing
    status, told = wardkeep("scan", "host", "h1")
    assert status == 0, told
    _, told = wardkeep("scan", "ports", "h1")
    there = {one["port"] for one in told["ports"] if one["state"] == "open"}
    assert parse_url(debian_host.url).port in there
    after = verdicts(wardkeep)
    assert after["vm_scans.packages_unchanged"] == {"pass"}
    assert "unknown" not in after["vm_scans.outside_as_inside"]
