"""What is left of a lab on this machine: looked for by its id everywhere, not in its own record."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

from wardkeep.lab import Places
from wardkeep.lab.containers import listed
from wardkeep.lab.processes import marked


def left_of(lab: str, places: Places) -> list[str]:
    """Processes, namespaces, links, mounts, containers, files and records that carry the lab's id."""
    found = [f"process {pid}" for pid, _ in marked(lab)]
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if f"/{lab}/".encode() in Path(entry.path, "cmdline").read_bytes():
                    found.append(f"process {entry.name} by its command")
    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split()
    found += [f"netns {name}" for name in names if lab in name]
    found += [f"link {name}" for name in os.listdir("/sys/class/net") if lab in name]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [f"mount {line.split()[4]}" for line in mounts if lab in line]
    found += [f"container {name}" for name in listed(places) if lab in name]
    for folder in (places.run / lab, places.cache / "labs" / lab):
        if folder.exists():
            found.append(f"folder {folder}")
    return found
