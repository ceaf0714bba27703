"""podman on the lab's own storage, with settings of its own: nothing of the machine's podman is touched."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from wardkeep.core.errors import Unavailable
from wardkeep.lab.processes import MARK
from wardkeep.lab.records import Places

# The machine's own limits may be lower than podman's defaults, and crun may be missing: both are settled here.
SETTINGS = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
[network]
network_backend = "netavark"
"""


def storage(places: Places) -> Path:
    """The folder of podman's images and containers."""
    return places.cache / "podman"


def run_root(places: Places) -> Path:
    """The folder of what podman must forget when the machine goes down. A storage refuses to be used with another one.

    So it follows from the storage alone, and not from the labs' RUN: labs with different ones share a cache. At most 50 characters.
    """
    return Path("/run/wardkeep-podman", hashlib.sha256(str(storage(places)).encode()).hexdigest()[:12])


@dataclass(frozen=True)
class Ran:
    """How a command ended: exit status, stdout and stderr as text."""

    exit: int
    stdout: str
    stderr: str


def podman(
    places: Places, *args: str, stdin: str = "", check: bool = True, timeout: float = 120, lab: str = ""
) -> Ran:
    """Run podman. Raises Unavailable with its last words when it fails and `check` is set, and when it hangs."""
    file = places.cache / "containers.conf"
    if not file.exists() or file.read_text() != SETTINGS:
        places.cache.mkdir(parents=True, exist_ok=True)
        file.write_text(SETTINGS)
    now = run_root(places)
    where = ["--root", str(storage(places)), "--runroot", str(now), "--tmpdir", str(now / "tmp")]
    marks = {MARK: lab} if lab else {}
    try:
        done = subprocess.run(
            ["podman", *where, *args], input=stdin, capture_output=True, text=True, errors="replace",
            timeout=timeout, env={**os.environ, "CONTAINERS_CONF": str(file), **marks}, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Unavailable(f"podman {args[0]} did not end within {timeout:.0f} s") from None
    if check and done.returncode:
        raise Unavailable(f"podman {args[0]}: {done.stderr.strip()[-600:]}")
    return Ran(done.returncode, done.stdout, done.stderr)
