"""`wardkeep install` on a live Debian: the service runs sandboxed, as its own user, and answers; removing it keeps the state."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from wardkeep.lab import Host

pytestmark = pytest.mark.e2e
TREE = Path(__file__).parents[2]
NOT_NEEDED = (
    "mypy",
    "mypyc",
    "playwright",
    "ruff",
    "pip",
    "setuptools",
    "hypothesis",
    "_pytest",
    "pytest",
    "wardkeep",
)


@pytest.fixture
def installed(debian_host: Host, tmp_path: Path) -> Host:
    """A host with the wheel of this tree in /opt/wardkeep, beside the packages it depends on."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip(f"Debian 12 has Python 3.11, and the packages here are for {sys.version.split()[0]}")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(TREE),
    ]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(tmp_path.glob("wardkeep-*.whl"))
    bundle = tmp_path / "packages.tar"
    packages = sysconfig.get_path("purelib")
    left_out = [f"--exclude=./{name}" for name in NOT_NEEDED]
    subprocess.run(
        ["tar", "-C", packages, *left_out, "--exclude=__pycache__", "-cf", bundle, "."], check=True
    )
    site = "/opt/wardkeep/lib/python3.11/site-packages"
    debian_host.stage(f"python3 -m venv --without-pip /opt/wardkeep && mkdir -p {site}")
    debian_host.copy_in(bundle, "/tmp/packages.tar")
    debian_host.copy_in(wheel, "/tmp/wardkeep.zip")
    unpack = f"tar -xf /tmp/packages.tar -C {site} && python3 -m zipfile -e /tmp/wardkeep.zip {site}"
    debian_host.stage(unpack, timeout=300)
    return debian_host


def test_the_service_runs_with_its_own_user_and_is_removed_without_its_state(installed: Host) -> None:
    program = "/opt/wardkeep/bin/python -m wardkeep"
    out = installed.stage(f"{program} install --yes", timeout=120)
    assert "NoNewPrivileges=yes" in out
    until = time.monotonic() + 60
    answer = (
        "python3 -c \"import urllib.request as r; print(r.urlopen('http://127.0.0.1:8420/sign-in').status)\""
    )
    while installed.run(answer).stdout.strip() != "200":
        journal = installed.run("journalctl -u wardkeep --no-pager -n 30").stdout
        assert time.monotonic() < until, journal
        time.sleep(1)
    shown = installed.stage("systemctl show wardkeep -p MainPID,User,ActiveState").split()
    told = dict(line.split("=", 1) for line in shown)
    assert (told["User"], told["ActiveState"]) == ("wardkeep", "active")
    status = installed.stage(f"cat /proc/{told['MainPID']}/status")
    capabilities = {line.split()[1] for line in status.splitlines() if line.startswith("Cap")}
    assert capabilities == {"0" * 16}
    assert "NoNewPrivs:\t1" in status

    rows = json.loads(
        installed.run(f"runuser -u wardkeep -- {program} controls --json --state /var/lib/wardkeep").stdout
    )
    assert len(rows) == 25
    assert "sign-in/link?token=" in installed.stage("journalctl -u wardkeep --no-pager")

    installed.stage(f"{program} install --remove")
    assert installed.run("systemctl is-active wardkeep").stdout.strip() != "active"
    assert installed.run("test -d /var/lib/wardkeep/ledger").exit == 0
