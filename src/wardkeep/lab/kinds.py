"""The kinds of host, the cheapest first: which class each is, and whether it works on this machine, or why not."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.lab.containers import ContainerHost
from wardkeep.lab.host import Host
from wardkeep.lab.machines import VmHost
from wardkeep.lab.namespaces import NamespaceHost
from wardkeep.lab.needs import OFFERS, cheapest
from wardkeep.lab.recipes import SUITES
from wardkeep.lab.records import Places

CLASSES: dict[str, type[Host]] = {kind.kind: kind for kind in (NamespaceHost, ContainerHost, VmHost)}
# Program → the Debian package that brings it.
PROGRAMS = {
    "namespace": {
        "ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux", "nft": "nftables", "sshd": "openssh-server",
        "ssh-keygen": "openssh-client",
    },
    "container": {
        "ip": "iproute2", "podman": "podman", "runc": "runc", "netavark": "netavark", "mmdebstrap": "mmdebstrap",
        "ssh-keygen": "openssh-client",
    },
    "vm": {
        "ip": "iproute2", "qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", "swtpm": "swtpm",
        "mmdebstrap": "mmdebstrap", "mkfs.ext4": "e2fsprogs", "ssh-keygen": "openssh-client",
    },
}  # fmt: skip
ELSEWHERE = ("/usr/lib/podman", "/usr/libexec/podman", "/usr/sbin", "/sbin")


@dataclass(frozen=True)
class Kind:
    """One kind of host on this machine. `why_not` is "" when it works; `packages` are the Debian packages that are missing."""

    name: str
    offers: frozenset[str]
    debian: tuple[str, ...]
    why_not: str
    packages: tuple[str, ...] = ()


def kind_class(name: str) -> type[Host]:
    return CLASSES[name]


def all_kinds() -> list[Kind]:
    """Every kind, the cheapest first."""
    return [Kind(name, OFFERS[name], _debian(name), why_not(name), _absent(name)) for name in CLASSES]


def machine_debian() -> str:
    """The Debian that this machine runs: "12", or "" if it is none."""
    text = Path("/etc/os-release").read_text()
    found = re.search(r'^VERSION_ID="?(\d+)', text, re.M)
    return found.group(1) if found and re.search(r"^ID=debian$", text, re.M) else ""


def _debian(name: str) -> tuple[str, ...]:
    return (machine_debian(),) if name == "namespace" else tuple(SUITES)


@functools.cache
def why_not(name: str) -> str:
    """Why this kind does not work on this machine; "" when it does."""
    if os.geteuid() != 0:
        return "needs root"
    if absent := _absent(name):
        return f"needs the Debian packages {' '.join(absent)}"
    return next((said for probe in PROBES[name] if (said := probe())), "")


def _absent(name: str) -> tuple[str, ...]:
    path = os.pathsep.join((os.environ.get("PATH", ""), *ELSEWHERE))
    return tuple(sorted({p for program, p in PROGRAMS[name].items() if not shutil.which(program, path=path)}))


def _namespaces() -> str:
    absent = [
        kind for kind in ("net", "mnt", "pid", "uts", "ipc") if not Path("/proc/self/ns", kind).exists()
    ]
    return f"this kernel has no namespaces of {' '.join(absent)}" if absent else ""


def _overlay() -> str:
    known = Path("/proc/filesystems").read_text().split()
    # Not loaded may still be loadable: only a kernel without modules can be judged by this.
    has_modules = Path("/proc/modules").exists()
    return "" if "overlay" in known or has_modules else "this kernel has no overlay file system"


@functools.cache
def _really() -> str:
    """Make what a namespace host is made of, in namespaces that end with the attempt: permission cannot be read off."""
    places = Places.usual()
    places.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=places.cache, prefix="probe-") as folder:
        attempt = (
            'mount --make-rprivate / && cd "$0" && mkdir upper work root && '
            "mount -t overlay overlay -o lowerdir=/etc,upperdir=$0/upper,workdir=$0/work root && "
            "mount -t proc proc root && ip link add type veth"
        )
        command = [
            "unshare",
            "--mount",
            "--net",
            "--pid",
            "--uts",
            "--ipc",
            "--fork",
            "sh",
            "-c",
            attempt,
            folder,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
    return f"this machine does not let namespaces be made: {last}" if done.returncode else ""


def _tap() -> str:
    return "" if Path("/dev/net/tun").exists() else "there is no /dev/net/tun"


def _processor() -> str:
    here = platform.machine()
    return "" if here == "x86_64" else f"machines are made for x86_64, and this is {here}"


PROBES: dict[str, tuple[Callable[[], str], ...]] = {
    "namespace": (_namespaces, _overlay, _really),
    "container": (_namespaces, _overlay, _really),
    "vm": (_namespaces, _really, _tap, _processor),
}


def choose(needs: frozenset[str], debian: str = "", kind: str = "") -> tuple[str, str]:
    """(kind, Debian version) for what is asked. Raises BadInput, or Unavailable with the reason."""
    if debian and debian not in SUITES:
        raise BadInput(f"the lab has no Debian {debian}", todo=f"Ask for {' or '.join(SUITES)}")
    if kind and kind not in CLASSES:
        raise BadInput(f"`{kind}` is no kind of host", todo=f"There are {', '.join(CLASSES)}")
    least = cheapest(needs)
    order = list(CLASSES)
    if kind and not needs <= OFFERS[kind]:
        lacking = ", ".join(sorted(needs - OFFERS[kind]))
        raise BadInput(f"a {kind} does not offer {lacking}", todo=f"The cheapest that does is a {least}")
    reasons = []
    for name in [kind] if kind else order[order.index(least) :]:
        if debian and debian not in _debian(name):
            reasons.append(f"a {name} here is Debian {machine_debian() or 'of no known version'}")
        elif said := why_not(name):
            reasons.append(f"a {name} does not work on this machine: it {said}")
            if is_required():  # a dearer kind must not hide that one is broken where all should work
                break
        else:
            return name, debian or _debian(name)[0 if name != "vm" else -1]
    raise Unavailable("; ".join(reasons))


def is_required() -> bool:
    """Whether every kind must work here ($WARDKEEP_LAB is `required`): then an absent one is a fault."""
    return os.environ.get("WARDKEEP_LAB") == "required"
