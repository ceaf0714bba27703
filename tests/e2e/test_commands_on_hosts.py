"""As an operator types it: add a host, plan, apply, drill, undo; and the running service takes over from a killed command."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from wardkeep.lab import Host

pytestmark = pytest.mark.e2e


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Terminal:
    """`wardkeep …` in processes of its own, on a state folder of its own."""

    def __init__(self, folder: Path) -> None:
        source = str(Path(__file__).parents[2] / "src")
        self.environment = {
            **os.environ,
            "PYTHONPATH": source,
            "WARDKEEP_STATE": str(folder),
            "NO_COLOR": "1",
        }

    def begin(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "wardkeep", *words], env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *words: str, status: int = 0) -> str:
        process = self.begin(*words)
        out, err = process.communicate(timeout=240)
        assert process.returncode == status, f"{words}: {process.returncode}\n{out}\n{err}"
        return out

    def json(self, *words: str, status: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", status=status))


@pytest.fixture
def terminal(tmp_path: Path, debian_host: Host) -> Terminal:
    made = Terminal(tmp_path / "state")
    debian_host.add_operator("ops")
    debian_host.stage(
        "printf 'PasswordAuthentication yes\\n' > /etc/ssh/sshd_config.d/50-weak.conf; systemctl restart ssh"
    )
    made.run("up", "--once", status=1)
    made.run("host", "remove", made.json("host", "list")[0]["name"], "--yes")
    url = debian_host.url_of("ops")
    made.run("host", "add", "app-1", url, "--identity", str(debian_host.key), "--accept-key")
    return made


def test_the_way_of_an_operator(terminal: Terminal) -> None:
    (plan,) = terminal.json("plan", "app-1", "system_access", status=1)
    assert any("PasswordAuthentication no" in change.get("diff", "") for change in plan["changes"])
    terminal.run("apply", plan["id"], status=2)  # nobody is there to be asked
    applied = terminal.json("apply", plan["id"], "--yes")
    assert applied["state"] == "applied"
    terminal.run("apply", plan["id"], "--yes", status=2)  # a plan is carried out once
    (drilled,) = terminal.json("drill", "system_access", "--host", "app-1")
    assert drilled["verdict"] == "pass"
    assert terminal.json("apply", "--undo", plan["id"], "--yes")["state"] == "undone"
    terminal.run("drill", "system_access", "--host", "app-1", status=1)


def test_the_running_service_takes_over_from_a_killed_command(terminal: Terminal, debian_host: Host) -> None:
    (plan,) = terminal.json("plan", "app-1", "system_access", status=1)
    service = terminal.begin("up", "--listen", f"127.0.0.1:{free_port()}")
    try:
        debian_host.slow(0.5)  # so that the act is seen before it is over, however busy this machine is
        command = terminal.begin("apply", plan["id"], "--yes", "--json")
        while not [one for one in terminal.json("plan", "--list") if one["state"] == "begun"]:
            assert command.poll() is None, f"ended before it was seen: {command.communicate()}"
        os.kill(command.pid, signal.SIGKILL)
        killed = time.monotonic()
        command.communicate()
        debian_host.heal()
        while not (ended := [one for one in terminal.json("plan", "--list") if one["state"] == "applied"]):
            assert time.monotonic() < killed + 90
        assert ended[0]["plan"] == plan["id"]
    finally:
        service.terminate()
        service.communicate(timeout=60)
    assert service.returncode == 0
