"""Play a transcript on live hosts: stage them, type its commands, and hold what they print against what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.staging import stage
from tests.transcripts import HERE, Transcript, compare, fill

from wardkeep.engine.platform import open_platform
from wardkeep.lab import OUTSIDE, Host, Lab

SOURCE = Path(__file__).parents[2] / "src"
LONGEST = 600  # seconds for one command


def play(transcript: Transcript, lab: Lab, debian: str, folder: Path) -> str:
    """Returns the differences, for a person; "" when every command did as the transcript says."""
    state, programs = folder / "state", folder / "bin"
    programs.mkdir()
    (programs / "wardkeep").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wardkeep "$@"\n')
    (programs / "wardkeep").chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(SOURCE), "WARDKEEP_STATE": str(state),
        "NO_COLOR": "1", "LC_ALL": "C.UTF-8",
    }  # fmt: skip

    def run(command: str) -> tuple[str, int]:
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=LONGEST, check=False,
        )  # fmt: skip
        return done.stdout + done.stderr, done.returncode

    open_platform(state, create=True).close()
    hosts: dict[str, Host] = {}
    try:
        for name, states in transcript.hosts.items():
            staged = stage(lab, states, debian=debian)
            hosts[name] = staged.host
            staged.write(state)
            add = f"wardkeep host add {name} {staged.host.url_of(staged.user)} --identity {staged.host.key} --accept-key"
            output, status = run(add)
            assert status == 0, output
        wrong, words = [], dict[str, str]()
        for said in transcript.said:
            if said.where == HERE:
                # What a host command or a plan has restarted is up again: a person would see nothing else.
                for host in hosts.values():
                    if OUTSIDE not in host.cuts:
                        host.wait_ready()
                output, status = run(fill(said.command, words))
            elif said.command == "reboot":
                hosts[said.where].reboot()
                output, status = "", 0
            else:
                ran = hosts[said.where].run(fill(said.command, words), timeout=LONGEST)
                output, status = ran.stdout + ran.stderr, ran.exit
            wrong.append(compare(said, output, status, words))
        return "\n".join(text for text in wrong if text)
    finally:
        for host in hosts.values():
            host.remove()
