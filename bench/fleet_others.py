"""pyinfra and Ansible, in a virtual environment of their own, asking hosts the questions that Wardkeep asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.fleet.sshd import Sshd


class Others:
    """Both tools, set up in `folder`. `reason` says why they cannot be used here, "" when they can."""

    def __init__(self, folder: Path, questions: Sequence[tuple[str, str]], at_once: int) -> None:
        self._folder, self._questions, self._at_once = folder, questions, at_once
        self._bin = folder / "venv" / "bin"
        self.reason = self._install()

    def _install(self) -> str:
        try:
            subprocess.run(
                [sys.executable, "-m", "venv", str(self._folder / "venv")], check=True, timeout=120
            )
            subprocess.run(
                [str(self._bin / "pip"), "install", "-q", "pyinfra>=3", "ansible-core"],
                check=True, timeout=300, capture_output=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "installing them took too long"
        except subprocess.CalledProcessError as e:
            return f"they cannot be installed here (status {e.returncode})"
        return ""

    def ask(self, tool: str, servers: Sequence[Sshd]) -> None:
        """Every question of every host, each host's answers brought back. Raises CalledProcessError."""
        self._run(self._pyinfra(servers) if tool == "pyinfra" else self._ansible(servers))

    def start(self, tool: str) -> None:
        """The program started and ended, with nobody asked."""
        self._run([str(self._bin / ("pyinfra" if tool == "pyinfra" else "ansible-playbook")), "--version"])

    def _run(self, command: list[str]) -> None:
        env = {
            "PATH": f"{self._bin}:{os.environ['PATH']}",
            "HOME": str(self._folder),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_HOST_KEY_CHECKING": "False",
            "ANSIBLE_PIPELINING": "True",  # its fastest way
        }
        subprocess.run(command, check=True, env=env, cwd=self._folder, capture_output=True, timeout=900)

    def _pyinfra(self, servers: Sequence[Sshd]) -> list[str]:
        hosts = [
            (
                f"h{n}",
                {
                    "ssh_hostname": s.address, "ssh_port": s.port, "ssh_user": "root", "ssh_key": str(s.identity),
                    "ssh_strict_host_key_checking": "no", "ssh_known_hosts_file": "/dev/null",
                },
            )
            for n, s in enumerate(servers)
        ]  # fmt: skip
        (self._folder / "inventory.py").write_text(f"hosts = {hosts!r}\n")
        (self._folder / "deploy.py").write_text(
            "from pyinfra import host\nfrom pyinfra.facts.server import Command\n"
            f"for script in {[script for _, script in self._questions]!r}:\n"
            "    assert host.get_fact(Command, command=script)\n"
        )
        return [
            str(self._bin / "pyinfra"),
            "-y",
            "--parallel",
            str(self._at_once),
            "inventory.py",
            "deploy.py",
        ]

    def _ansible(self, servers: Sequence[Sshd]) -> list[str]:
        lines = [
            f"h{n} ansible_host={s.address} ansible_port={s.port} ansible_user=root "
            f"ansible_ssh_private_key_file={s.identity} ansible_python_interpreter=/usr/bin/python3"
            for n, s in enumerate(servers)
        ]
        (self._folder / "inventory.ini").write_text("\n".join(lines) + "\n")
        tasks = [
            {
                "name": name,
                "ansible.builtin.shell": script,
                "register": f"answer_{name}",
                "changed_when": False,
            }
            for name, script in self._questions
        ]
        play = [{"hosts": "all", "gather_facts": False, "tasks": tasks}]
        (self._folder / "play.yml").write_text(json.dumps(play))
        return [
            str(self._bin / "ansible-playbook"), "-f", str(self._at_once), "-i", "inventory.ini", "play.yml",
        ]  # fmt: skip
