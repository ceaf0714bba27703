"""What this machine can carry, found by trying it: permission cannot be read off. Each probe says "" or why not.

What they make ends with them: namespaces, a control group, a folder of the cache that the next probe removes if this one was killed.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from wardkeep.lab import processes
from wardkeep.lab.records import Places

# What a namespace host and every network are made of. In the cache's own folder: not every file system can be written over.
LAYERS = (
    'mount --make-rprivate / && cd "$0" && mkdir upper work root && '
    "mount -t overlay overlay -o lowerdir=/etc,upperdir=$0/upper,workdir=$0/work root && "
    "mount -t proc proc root && mount -t sysfs -o ro sysfs root && ip link add name a type veth peer name b && "
    "ip link add name c type bridge && ip addr add fd77:77:77::1/64 dev a && "
    "{ ! command -v nft >/dev/null || nft add table inet probe; }"
)
TAP = "ip tuntap add dev probe mode tap"


def namespaces() -> str:
    """The kernel's kinds of namespace."""
    absent = [
        kind for kind in ("net", "mnt", "pid", "uts", "ipc") if not Path("/proc/self/ns", kind).exists()
    ]
    return f"this kernel has no namespaces of {' '.join(absent)}" if absent else ""


def overlay() -> str:
    """The file system that keeps apart what a host writes."""
    known = Path("/proc/filesystems").read_text().split()
    # Not loaded may still be loadable: only a kernel without modules can be judged by this.
    has_modules = Path("/proc/modules").exists()
    return "" if "overlay" in known or has_modules else "this kernel has no overlay file system"


@functools.cache
def layers() -> str:
    """Layers, cables, a switch, IPv6 and nftables, in namespaces that end with the attempt."""
    return _tried(LAYERS, "this machine does not let namespaces be made")


@functools.cache
def tap() -> str:
    """A machine's network card."""
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    return _tried(TAP, "this machine does not let a network card be made")


def processor() -> str:
    """The processor that machines are made for."""
    here = platform.machine()
    return "" if here == "x86_64" else f"machines are made for x86_64, and this is {here}"


@functools.cache
def control_groups() -> str:
    """`true` in a container: runc needs control groups that it may write, which no other probe tells."""
    with _folder() as folder:
        (folder / "root").mkdir()
        (folder / "config.json").write_text(json.dumps(_bundle(folder.name)))
        done = subprocess.run(
            ["runc", "--root", str(folder / "state"), "run", "--bundle", str(folder), folder.name],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
    return _why(done, "this machine does not let containers be run")


def _bundle(name: str) -> dict[str, object]:
    programs = [f"/{part}" for part in ("usr", "lib", "lib64") if Path("/", part).exists()]
    mounts = [{"destination": part, "type": "bind", "source": part, "options": ["bind", "ro"]} for part in programs]  # fmt: skip
    mounts += [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"]},
    ]
    return {
        "ociVersion": "1.0.0",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/usr/bin/true"], "cwd": "/"},
        "root": {"path": "root"},
        "mounts": mounts,
        "linux": {
            "cgroupsPath": f"/wardkeep-{name}",
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "uts", "ipc", "network", "cgroup")],
            "resources": {"pids": {"limit": 100}},
        },
    }


def _tried(script: str, otherwise: str) -> str:
    with _folder() as folder:
        words = ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "sh", "-c", script, str(folder)]  # fmt: skip
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    return _why(done, otherwise)


def _why(done: subprocess.CompletedProcess[str], otherwise: str) -> str:
    last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
    if logged := re.search(r' level=error msg="(.*)"$', last):
        last = logged[1].replace('\\"', '"')
    return f"{otherwise}: {last}" if done.returncode else ""


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder of the cache for one probe. Those of probes that were killed are removed."""
    cache = Places.usual().cache
    cache.mkdir(parents=True, exist_ok=True)
    for old in cache.glob("probe-*"):
        pid, birth = (*old.name.split("-"), "", "")[1:3]
        if not (pid.isdigit() and processes.is_alive(int(pid), birth)):
            shutil.rmtree(old, ignore_errors=True)
    mine = f"probe-{os.getpid()}-{processes.born(os.getpid())}-"
    with tempfile.TemporaryDirectory(dir=cache, prefix=mine) as made:
        yield Path(made)


PROBES: dict[str, tuple[Callable[[], str], ...]] = {
    "namespace": (namespaces, overlay, layers),
    "container": (namespaces, overlay, layers, control_groups),
    "vm": (namespaces, layers, tap, processor),
}
