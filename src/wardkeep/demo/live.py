"""The story's scene on live hosts: the program itself in processes of its own, the clinic's hosts by the lab.

Every process carries the lab's mark, so the lab's reaper ends it with the hosts, however the story ends.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wardkeep.demo.staging import Clinic
from wardkeep.demo.telling import Ran
from wardkeep.lab import Lab
from wardkeep.lab.processes import environment, wait_until

PATIENCE = 180  # seconds until the console must have said where it is
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # what colours a line in a terminal


@dataclass
class Live:
    """`state` is the platform's folder, `folder` takes the pack; `verdict_of` and `rule_on` read it (`telling.Scene`).

    With `coloured` the program writes as to a terminal, its progress straight to this one's stderr.
    """

    lab: Lab
    clinic: Clinic
    state: Path
    folder: Path
    verdict_of: Callable[[str], str]
    rule_on: Callable[[str, str], str]
    coloured: bool = False

    def row(self, row: str) -> str:
        """The row's verdict in the matrix now."""
        return self.verdict_of(row)

    def rule(self, host: str, rule: str) -> str:
        """The rule's worst verdict on the host now."""
        return self.rule_on(host, rule)

    def names(self) -> dict[str, str]:
        """What fills the angle brackets of the story."""
        return {
            "db_url": self.clinic.urls["db-1"], "web_url": self.clinic.urls["web-1"],
            "db_key": self.clinic.fingerprints["db-1"], "web_key": self.clinic.fingerprints["web-1"],
            "key": str(self.lab.key), "neighbour": self.clinic.neighbour.address_in("clinic"),
            "folder": str(self.folder), "port": str(_free_port()),
        }  # fmt: skip

    def _command(self, words: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "wardkeep", *words]

    def _environment(self) -> dict[str, str]:
        source = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH", ""))))
        more = {"FORCE_COLOR": "1"} if self.coloured else {}
        columns = min(shutil.get_terminal_size((100, 24)).columns, 100)
        return {
            **environment(self.lab.book.lab), "PYTHONPATH": path, "PYTHONUNBUFFERED": "1",
            "WARDKEEP_STATE": str(self.state), "COLUMNS": str(columns), **more,
        }  # fmt: skip

    def wardkeep(self, words: Sequence[str], line: Callable[[str], None]) -> Ran:
        """Run the program; each line of its output is given to `line` as it comes."""
        said = []
        with subprocess.Popen(
            self._command(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=None if self.coloured else subprocess.STDOUT, text=True, errors="replace", env=self._environment(),
        ) as child:  # fmt: skip
            assert child.stdout
            for text in child.stdout:
                said.append(CODES.sub("", text))
                line(text.rstrip("\n"))
        return Ran(child.returncode, "".join(said))

    def background(self, words: Sequence[str], until: str) -> Ran:
        """Start the program as a process of the lab; returns when it has printed `until` as a whole line, or ended."""
        name = words[0]
        log = self.lab.book.disks / f"{name}.log"
        command = ["env", *(f"{key}={value}" for key, value in self._environment().items() if key in OURS)]
        self.lab.spawn([*command, *self._command(words)], name)

        def settled() -> bool:
            whole = log.read_text().rpartition("\n")[0]
            return until in whole or not self.lab.running(name)[0]

        wait_until(settled, PATIENCE)
        said = CODES.sub("", log.read_text())
        return Ran(0 if self.lab.running(name)[0] else 1, "\n".join(said.splitlines()[-3:]) + "\n")

    def on_host(self, host: str, script: str) -> Ran:
        """Run a line as root on a host of the clinic."""
        done = self.clinic.host(host).run(script, timeout=120)
        return Ran(done.exit, done.stdout + done.stderr)


OURS = frozenset({"PYTHONPATH", "PYTHONUNBUFFERED", "WARDKEEP_STATE", "COLUMNS"})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
