"""The lab keeps its promises: real systemd, real sshd, reboot, freeze, and nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from tests.e2e.lab import LABEL, Lab, LabHost, podman

pytestmark = pytest.mark.e2e
BOTH = pytest.mark.parametrize("debian_host", ["bookworm", "trixie"], indirect=True)


def ssh(host: LabHost, command: str) -> subprocess.CompletedProcess[str]:
    options = [
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "ConnectTimeout=5",
    ]
    return subprocess.run(
        ["ssh", "-q", *options, "-i", str(host.key), "-p", str(host.port), "root@127.0.0.1", command],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


@BOTH
def test_a_host_is_real_debian_with_systemd_and_sshd(debian_host: LabHost) -> None:
    assert debian_host.run("systemctl is-system-running").stdout.strip() == "running"
    assert ssh(debian_host, ". /etc/os-release; echo $VERSION_CODENAME").stdout.strip() == debian_host.suite
    assert debian_host.run("cat /proc/1/comm").stdout.strip() == "systemd"
    assert debian_host.run("systemctl is-active systemd-udevd").stdout.strip() == "inactive"


def test_a_reboot_is_a_new_boot_with_the_same_keys(debian_host: LabHost) -> None:
    keys, born = debian_host.host_keys(), debian_host.run("stat -c %Y /proc/1").stdout
    debian_host.stage("echo stays > /root/mark")
    time.sleep(1)
    debian_host.reboot()
    assert ssh(debian_host, "cat /root/mark").stdout == "stays\n"
    assert debian_host.host_keys() == keys
    assert debian_host.run("stat -c %Y /proc/1").stdout != born


def test_a_paused_host_accepts_and_stays_silent(debian_host: LabHost) -> None:
    debian_host.pause()
    with socket.create_connection(("127.0.0.1", debian_host.port), 5) as s:
        s.settimeout(1)
        with pytest.raises(TimeoutError):
            s.recv(1)
    debian_host.unpause()
    assert ssh(debian_host, "echo back").stdout == "back\n"


def test_two_hosts_have_different_host_keys(lab: Lab, debian_host: LabHost) -> None:
    other = lab.host()
    assert set(other.host_keys()).isdisjoint(debian_host.host_keys())
    other.remove()


def test_staging_that_fails_says_so(debian_host: LabHost) -> None:
    with pytest.raises(RuntimeError, match="staging failed"):
        debian_host.stage("ls /no/such/place")


def test_kill_9_of_a_run_leaves_no_host(lab: Lab) -> None:
    script = "from tests.e2e.lab import Lab; import time\nwith Lab() as l: l.host(); print(l.run_id, flush=True); time.sleep(99)"
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    run_id = child.stdout.readline().strip()
    find = ("ps", "-aq", "--filter", f"label={LABEL}={run_id}")
    assert podman(*find).stdout.strip()
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    until = time.monotonic() + 20
    while podman(*find).stdout.strip() and time.monotonic() < until:
        time.sleep(0.2)
    assert not podman(*find).stdout.strip()
    child.stdout.close()
