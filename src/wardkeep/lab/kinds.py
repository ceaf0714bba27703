"""The kinds of host, the cheapest first: which class each is, and whether it works on this machine, or why not."""

from __future__ import annotations

import functools
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.lab.containers import ContainerHost
from wardkeep.lab.host import Host
from wardkeep.lab.machines import VmHost
from wardkeep.lab.namespaces import NamespaceHost
from wardkeep.lab.needs import OFFERS, cheapest
from wardkeep.lab.probes import PROBES
from wardkeep.lab.recipes import SUITES

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
